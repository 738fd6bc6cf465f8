"""The desk where the city's orders arrive: only what the city signed for this gateway, just now, and once, is done.

Whatever is refused is counted. "order.received" is on the disk before an order is carried out; one that a death cut
short is carried out again at the next start, or, where it carries keys, which are never kept, when the city repeats it.
Handlers must bear that.
"""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge.docket import Docket, Standing
from edge.errors import JournalBrokenError, JournalError
from edge.journal import Journal, wall_ms
from edge.lanes import Handlers, Lanes
from wire import orders, seal
from wire.errors import MessageError, SealError
from wire.keys import CityBundle
from wire.messages import MAX_OCTETS, Order
from wire.orders import MAX_AGE_MS, Command, RotateKeys

log = logging.getLogger(__name__)

_ENVELOPE_OCTETS: Final = 2_048
_FORGED_PAUSE_MS: Final = 60_000
_SAME_PAUSE_MS: Final = 600_000
_ANSWER_PAUSE_MS: Final = 1_000
"""The city repeats no sooner than this; whoever does plays back, and each answer costs a write and a message."""
_MAX_REFUSALS: Final = 10
"""Refusals that are written down in a minute: what was signed once can be played back by anybody, ever again."""


class _Refused(Exception):  # noqa: N818 -- not an error of ours
    """Why something is no order for us; `order` where it is known that the city wants something."""

    def __init__(self, reason: str, header: seal.Header | None = None, order: Order | None = None) -> None:
        self.reason, self.header, self.order = reason, header, order
        super().__init__(reason)


@dataclass(slots=True)
class Desk:
    """Takes the orders of one gateway.

    Args:
        city: whose orders.
        detector: for whom.
        journal: where all is written down.
        handlers: what carries out a command; a command without one is refused.
        counts: of what is refused, by name.
        seal_key: returns the key that sealed orders are for, None while there is none.
        now_ms: wall time.
    """

    city: CityBundle
    detector: str
    journal: Journal
    handlers: Handlers
    counts: Counter[str] = field(default_factory=Counter)
    seal_key: Callable[[], X25519PrivateKey | None] = lambda: None
    now_ms: Callable[[], int] = wall_ms
    docket: Docket = field(init=False)
    lanes: Lanes = field(init=False)
    _noted: "_Noted" = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Set up the lanes."""
        self.docket = Docket(self.journal)
        self.lanes = Lanes(self.docket, self.handlers, self.counts)
        self._noted = _Noted()

    async def run(self) -> None:
        """Carry out orders for ever, first those that the last end of the program cut short."""
        try:
            self.resume()
        except JournalBrokenError:
            raise
        except JournalError as error:  # the city repeats what has no outcome
            self.counts["order_journal_failures"] += 1
            self._warn("order.unwritten", type(error).__name__)
        await self.lanes.run()

    def resume(self) -> None:
        """Queue what was received and has no outcome; of what carries keys, say that it was cut short."""
        for standing in self.docket.open_orders():
            if self.lanes.has(standing.sequence):
                continue  # came since the start
            if standing.encoded is None:
                said = {"sequence": standing.sequence, "kind": standing.kind, "order": standing.digest}
                self.journal.add("order.interrupted", said)
            else:
                order = Order.decode(standing.encoded)
                self.lanes.put(order, orders.read(order))

    def take(self, payload: bytes) -> None:
        """Take what arrived on the topic of orders: queue it, or count and write down why not.

        Raises:
            JournalBrokenError: the journal is damaged; whoever opens it anew gets a new one.
        """
        try:
            self._take(payload)
        except JournalBrokenError:
            raise
        except JournalError as error:  # not written down, so not done: the city will send it again
            self.counts["order_journal_failures"] += 1
            self._warn("order.unwritten", type(error).__name__)

    def _take(self, payload: bytes) -> None:
        try:
            header, order = self._opened(payload)
            if self._is_repeat(header, order):
                return
            command = self._read(header, order)
        except _Refused as refusal:
            self._refuse(refusal)
        else:
            self.docket.receive(order)
            self.counts["orders_taken"] += 1
            self.lanes.put(order, command)

    def _opened(self, payload: bytes) -> tuple[seal.Header, Order]:
        """Return an order that the city signed for this gateway a moment ago."""
        if len(payload) > MAX_OCTETS + _ENVELOPE_OCTETS:
            raise _Refused("malformed")
        try:
            envelope = seal.parse(payload)
        except SealError as error:
            raise _Refused("malformed") from error
        self._check_signature(envelope)
        header = envelope.header
        if (header.city, header.detector, header.content) != (self.city.city, self.detector, "order"):
            raise _Refused("foreign", header)
        try:
            order = Order.decode(self._contents(envelope))
        except MessageError as error:
            raise _Refused("malformed", header) from error
        if (header.sequence, header.epoch) != (order.sequence, 0) or order.sequence < 1:
            raise _Refused("malformed", header)
        if not self._is_fresh(order):
            raise _Refused("stale", header, order)
        return header, order

    def _check_signature(self, envelope: seal.Envelope) -> None:
        if self.city.order_key is None:
            raise _Refused("forged")
        try:
            envelope.check(self.city.order_key)
        except SealError as error:
            raise _Refused("forged") from error

    def _contents(self, envelope: seal.Envelope) -> bytes:
        if not envelope.header.recipient_kid:
            return envelope.read()
        key = self.seal_key()
        if key is None:
            raise _Refused("sealed-for-another", envelope.header)
        try:
            return envelope.open(key)
        except SealError as error:
            raise _Refused("sealed-for-another", envelope.header) from error

    def _is_fresh(self, order: Order) -> bool:
        """Return whether an order is of now, and later than this journal: what was before, it cannot know."""
        now_ms = self.now_ms()
        made_at_ms = self.journal.made_at_ms if self.journal.made_at_ms <= now_ms else 0  # the clock was put back
        return abs(now_ms - order.issued_at_ms) <= MAX_AGE_MS and order.issued_at_ms >= made_at_ms

    def _is_repeat(self, header: seal.Header, order: Order) -> bool:
        """Return whether the order has come before; the city, which has not heard so, is told once more.

        Raises:
            _Refused: its number has gone to another order.
        """
        known = self.docket.find(order.sequence)
        if known is None:
            if order.sequence <= self.journal.order_sequence:
                raise _Refused("replayed", header, order)
            return False
        if known.digest != orders.digest(order.kind, order.body):
            raise _Refused("replayed", header, order)
        self.counts["orders_repeated"] += 1
        if self._noted.may_answer(order.sequence, self.now_ms()):
            self.journal.send_again(known.entry)
        if known.is_open and not self.lanes.has(order.sequence):
            self._resume_with(known, order)
        return True

    def _resume_with(self, known: Standing, order: Order) -> None:
        log.info("order.resumed", extra={"detector": self.detector, "kind": known.kind, "sequence": known.sequence})
        self.lanes.put(order, orders.read(order))

    def _read(self, header: seal.Header, order: Order) -> Command:
        if order.kind not in orders.KINDS:
            raise _Refused("unknown", header, order)
        try:
            command = orders.read(order)
        except MessageError as error:
            raise _Refused("malformed", header, order) from error
        if type(command) not in self.handlers:
            reason = "no-enrolment" if isinstance(command, RotateKeys) else "no-camera"
            raise _Refused(reason, header, order)
        return command

    def _refuse(self, refusal: _Refused) -> None:
        self.counts[f"orders_{refusal.reason.replace('-', '_')}"] += 1
        now_ms = self.now_ms()
        if refusal.header is None:
            self._note_forged(refusal.reason, now_ms)
        elif refusal.order is not None and refusal.reason not in {"stale", "replayed"}:
            self.docket.conclude(refusal.order, "order.refused", {"reason": refusal.reason})
        elif self._noted.may_note(refusal, now_ms):
            self.journal.add("order.refused", _said(refusal))
            self._warn("order.refused", refusal.reason)

    def _note_forged(self, reason: str, now_ms: int) -> None:
        self._noted.forged += 1
        if now_ms - self._noted.forged_at_ms < _FORGED_PAUSE_MS:
            return
        self.journal.add("order.forged", {"count": self._noted.forged, "reason": reason})
        self._noted.forged, self._noted.forged_at_ms = 0, now_ms
        self._warn("order.forged", reason)

    def _warn(self, event: str, reason: str) -> None:
        log.warning(event, extra={"detector": self.detector, "reason": reason})


@dataclass(slots=True)
class _Noted:
    """What was written down lately, so that a flood writes little."""

    forged: int = 0
    forged_at_ms: int = -_FORGED_PAUSE_MS
    _lately: dict[tuple[object, ...], int] = field(default_factory=dict)
    _answered: dict[int, int] = field(default_factory=dict)

    def may_answer(self, sequence: int, now_ms: int) -> bool:
        """Return whether the repeat of an order is to be answered: not if one just was."""
        self._answered = {one: at_ms for one, at_ms in self._answered.items() if 0 <= now_ms - at_ms < _ANSWER_PAUSE_MS}
        if sequence in self._answered:
            return False
        self._answered[sequence] = now_ms
        return True

    def may_note(self, refusal: _Refused, now_ms: int) -> bool:
        """Return whether a refusal is news."""
        header = refusal.header
        key = (refusal.reason, header and header.detector, header and header.content, header and header.sequence)
        self._lately = {one: at_ms for one, at_ms in self._lately.items() if 0 <= now_ms - at_ms < _SAME_PAUSE_MS}
        in_a_minute = sum(now_ms - at_ms < _FORGED_PAUSE_MS for at_ms in self._lately.values())
        if key in self._lately or in_a_minute >= _MAX_REFUSALS:
            return False
        self._lately[key] = now_ms
        return True


def _said(refusal: _Refused) -> dict[str, Any]:
    said: dict[str, Any] = {"kind": "", "reason": refusal.reason}
    if refusal.header is not None:
        said["sequence"] = refusal.header.sequence
    if refusal.order is not None:
        said |= {"kind": refusal.order.kind, "order": orders.digest(refusal.order.kind, refusal.order.body)}
    return said
