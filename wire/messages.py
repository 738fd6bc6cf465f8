"""Heartbeat, receipt and order as CBOR maps: field 0 is the version, unknown fields are ignored; see docs/WIRE.md."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from wire import fields as _f
from wire.condition import Condition
from wire.errors import MessageError

VERSION: Final = _f.VERSION
MAX_OCTETS: Final = _f.MAX_OCTETS
MAX_SETTLED: Final = 4_096
MAX_REASON: Final = _f.MAX_TEXT
STATES: Final = ("online", "offline")


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a detector says of itself once in a while, and, with state "offline", its last will.

    Attributes:
        detector: id.
        epoch: of its outbox.
        sent_at_ms: detector's wall time, Unix milliseconds; 0 in a last will, which is written at connect.
        uptime_s: seconds since the program started.
        queued_batches: batches without a receipt.
        oldest_queued_ms: when the oldest of them was made, Unix milliseconds.
        heard: advertisements heard since the start.
        dropped: advertisements of no enrolled format since the start.
        errors: malformed frames and failed calls since the start.
        software: name and version.
        state: "online" or "offline".
        rows_total: rows ever put into the outbox in this epoch.
        condition: of the machine, its radio and its camera; None from detectors that tell none.
    """

    detector: str
    epoch: int = 0
    sent_at_ms: int = 0
    uptime_s: int = 0
    queued_batches: int = 0
    oldest_queued_ms: int | None = None
    heard: int = 0
    dropped: int = 0
    errors: int = 0
    software: str = ""
    state: str = "online"
    rows_total: int = 0
    condition: Condition | None = None

    @classmethod
    def will(cls, detector: str, epoch: int = 0) -> Self:
        """Return the last will of a detector, to be published unsigned by the broker."""
        return cls(detector=detector, epoch=epoch, state="offline")

    def encode(self) -> bytes:
        """Return the heartbeat as CBOR."""
        condition = {} if self.condition is None else {13: self.condition.to_map()}
        return _f.dumps(
            {
                1: self.detector,
                2: self.epoch,
                3: self.sent_at_ms,
                4: self.uptime_s,
                5: self.queued_batches,
                6: self.oldest_queued_ms,
                7: self.heard,
                8: self.dropped,
                9: self.errors,
                10: self.software,
                11: self.state,
                12: self.rows_total,
                **condition,
            }
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the heartbeat in `data`.

        Raises:
            MessageError: malformed or of an unknown version.
        """
        fields = _f.loads(data)
        state = _f.text(fields, 11)
        if state not in STATES:
            raise MessageError("a heartbeat's state is online or offline")
        return cls(
            detector=_f.text(fields, 1),
            epoch=_f.uint(fields, 2, _f.UINT32),
            sent_at_ms=_f.uint(fields, 3),
            uptime_s=_f.uint(fields, 4),
            queued_batches=_f.uint(fields, 5),
            oldest_queued_ms=None if fields.get(6) is None else _f.uint(fields, 6),
            heard=_f.uint(fields, 7),
            dropped=_f.uint(fields, 8),
            errors=_f.uint(fields, 9),
            software=_f.text(fields, 10),
            state=state,
            rows_total=_f.uint(fields, 12),
            condition=None if fields.get(13) is None else Condition.from_map(fields[13]),
        )


@dataclass(frozen=True, slots=True)
class Receipt:
    """Which batches of an epoch the server committed, and which it refused for ever, each with a reason."""

    epoch: int
    accepted: tuple[int, ...] = ()
    refused: tuple[tuple[int, str], ...] = ()

    def encode(self) -> bytes:
        """Return the receipt as CBOR.

        Raises:
            MessageError: more batches than one receipt may settle.
        """
        if len(self.accepted) + len(self.refused) > MAX_SETTLED:
            raise MessageError(f"a receipt settles at most {MAX_SETTLED} batches")
        refused = [[sequence, reason[:MAX_REASON]] for sequence, reason in self.refused]
        return _f.dumps({1: self.epoch, 2: list(self.accepted), 3: refused})

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the receipt in `data`.

        Raises:
            MessageError: malformed or of an unknown version.
        """
        fields = _f.loads(data)
        accepted, refused = fields.get(2, []), fields.get(3, [])
        if not isinstance(accepted, list) or not isinstance(refused, list):
            raise MessageError("a receipt lists what it settles")
        if len(accepted) + len(refused) > MAX_SETTLED:
            raise MessageError(f"a receipt settles at most {MAX_SETTLED} batches")
        return cls(
            epoch=_f.uint(fields, 1, _f.UINT32),
            accepted=tuple(_sequence(item) for item in accepted),
            refused=tuple(_refusal(item) for item in refused),
        )


@dataclass(frozen=True, slots=True)
class Order:
    """Something the server wants of a detector. Orders of a kind that a detector does not know are ignored by it.

    Attributes:
        sequence: above that of every order before; a detector ignores what is not.
        issued_at_ms: Unix milliseconds.
        kind: what to do.
        body: text keys; values as the kind says.
    """

    sequence: int
    issued_at_ms: int
    kind: str
    body: Mapping[str, Any] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Return the order as CBOR."""
        return _f.dumps({1: self.sequence, 2: self.issued_at_ms, 3: self.kind, 4: dict(self.body)})

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the order in `data`.

        Raises:
            MessageError: malformed or of an unknown version.
        """
        fields = _f.loads(data)
        body = fields.get(4, {})
        if not isinstance(body, dict) or not all(isinstance(key, str) for key in body):
            raise MessageError("an order's body is a map with text keys")
        return cls(_f.uint(fields, 1), _f.uint(fields, 2), _f.text(fields, 3), body)


def _sequence(item: object) -> int:
    return _f.below(item, _f.UINT53, "a sequence")


def _refusal(item: object) -> tuple[int, str]:
    if not isinstance(item, list) or len(item) != 2 or not isinstance(item[1], str):
        raise MessageError("a refusal is a sequence and a reason")
    return _sequence(item[0]), item[1][:MAX_REASON]
