"""One row per tag and window out of many packets, with the rows that must not wait; without clock or I/O.

A window is cut by the time of the packets, so that a replay gives the same rows. Three things close a row before its
window ends: the first sight of an id, sealed bytes that changed within a burst (a tag under SOS advertises ten times a
second, see docs/WIRE.md), and a full counter. A detector has no key: it cannot see SOS, only that somebody is in haste.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Final

import cbor2

from wire.errors import WireError

Key = tuple[int, bytes]
"""Kind and the 8 octets of an id, as `wire.frames.sighting_id` gives them."""

STATE_VERSION: Final = 1
MAX_COUNT: Final = 65_535
BURST_PACKETS: Final = 4
BURST_MS: Final = 1000


class MergeError(WireError):
    """The kept state of open windows cannot be read."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What one detector heard of one id in one window.

    Attributes:
        sealed: the last 6 sealed octets heard, at `last_heard_ms`; None for a frame without.
        telemetry: 16 octets of the last telemetry frame from the same address, or None.
        rssi_mean_dbm: arithmetic mean of the dBm values, rounded.
        best_heard_ms: when `rssi_best_dbm` was heard: the moment to look up a moving detector's position for.
    """

    kind: int
    id: bytes
    sealed: bytes | None
    telemetry: bytes | None
    rssi_best_dbm: int
    rssi_mean_dbm: int
    count: int
    first_heard_ms: int
    last_heard_ms: int
    best_heard_ms: int


_VALUES = attrgetter(*(f.name for f in fields(Merged)))


class _Tag:
    """One id: its open row (count > 0) and what the rules for haste need to know of it."""

    __slots__ = (
        "best_dbm",
        "best_ms",
        "burst_from_ms",
        "burst_packets",
        "count",
        "first_ms",
        "last_ms",
        "sealed",
        "sum_dbm",
        "telemetry",
        "told",
    )

    def __init__(self) -> None:
        self.sealed: bytes | None = None
        self.told: bytes | None = None
        self.telemetry: bytes | None = None
        self.count = self.sum_dbm = self.best_dbm = 0
        self.first_ms = self.last_ms = self.best_ms = 0
        self.burst_from_ms = self.burst_packets = 0

    def add(self, rssi_dbm: int, at_ms: int, sealed: bytes | None) -> None:
        if self.count == 0:
            self.first_ms = self.last_ms = at_ms
            self.sum_dbm = 0
        if self.count == 0 or rssi_dbm > self.best_dbm:
            self.best_dbm = rssi_dbm
            self.best_ms = at_ms
        self.count += 1
        self.sum_dbm += rssi_dbm
        self.first_ms = min(self.first_ms, at_ms)
        if at_ms >= self.last_ms:
            self.last_ms = at_ms
            self.sealed = sealed
        if 0 <= at_ms - self.burst_from_ms <= BURST_MS:
            self.burst_packets += 1
        else:
            self.burst_from_ms = at_ms
            self.burst_packets = 1


@dataclass(slots=True)
class Merge:
    """Open windows and closed rows of one detector.

    Args:
        window_ms: length of a window, town milliseconds.
        forget_ms: an id not heard for so long is new again.
        max_rows: most ids and most closed rows held; beyond, new ids are refused (counted in `refused`) and open rows
            are left open, so that memory is bounded and only the resolution in time suffers.
    """

    window_ms: int
    forget_ms: int = 60_000
    max_rows: int = 10_000
    refused: int = field(default=0, init=False)
    ready: list[Merged] = field(default_factory=list, init=False, repr=False)
    _tags: dict[Key, _Tag] = field(default_factory=dict, init=False, repr=False)
    _opened_at_ms: int | None = field(default=None, init=False, repr=False)
    _swept_at_ms: int = field(default=0, init=False, repr=False)

    def hear(self, key: Key, rssi_dbm: int, *, at_ms: int, sealed: bytes | None = None) -> bool:
        """Add one packet and return whether a row was closed that must not wait."""
        opened = self._opened_at_ms
        if opened is None:
            self._opened_at_ms = at_ms
        elif not -self.window_ms < at_ms - opened < self.window_ms:
            self.close()
            self._opened_at_ms = at_ms
        tag = self._tags.get(key)
        if tag is None:
            if len(self._tags) >= self.max_rows and not self._forget(at_ms):
                self.refused += 1
                return False
            tag = self._tags[key] = _Tag()
            is_new = True
        else:
            is_new = tag.count == 0 and abs(at_ms - tag.last_ms) > self.forget_ms
        tag.add(rssi_dbm, at_ms, sealed)
        in_haste = is_new or (tag.burst_packets >= BURST_PACKETS and tag.sealed != tag.told)
        if in_haste or tag.count >= MAX_COUNT:
            return self._close_one(key, tag) and in_haste
        return False

    def hear_telemetry(self, key: Key, telemetry: bytes) -> bool:
        """Add a telemetry frame to the open row of `key`; False when none is open."""
        tag = self._tags.get(key)
        if tag is None or tag.count == 0:
            return False
        tag.telemetry = telemetry
        return True

    def close_due(self, now_ms: int) -> bool:
        """Close the window when it is over at `now_ms`; return whether it was."""
        opened = self._opened_at_ms
        if opened is None or -self.window_ms < now_ms - opened < self.window_ms:
            return False
        self.close()
        self._forget(now_ms)
        return True

    def close(self) -> None:
        """Close every open row, as far as there is room; while some are left, so is their window."""
        still_open = [key for key, tag in self._tags.items() if tag.count and not self._close_one(key, tag)]
        if not still_open:
            self._opened_at_ms = None

    def settle(self, rows: int) -> None:
        """Forget the first `rows` closed rows: they are safe elsewhere."""
        del self.ready[:rows]

    def dump(self, skip: int = 0) -> bytes:
        """Return the state without the first `skip` closed rows, b"" when there is nothing to keep."""
        rows = self.ready[skip:]
        still_open = list(self._open())
        if not rows and not still_open:
            return b""
        return cbor2.dumps([STATE_VERSION, [list(_VALUES(row)) for row in rows], still_open])

    def load(self, state: bytes) -> None:
        """Take up a dumped state: its open rows come back closed, for their window is over by now.

        Raises:
            MergeError: not written by `dump`.
        """
        if not state:
            return
        try:
            version, closed, still_open = cbor2.loads(state)
            rows = [_checked(Merged(*row)) for row in closed]
            rows += [_checked(_merged((row[0], row[1]), _revived(row[2:]))) for row in still_open]
        except (ValueError, TypeError, LookupError, ArithmeticError, cbor2.CBORError) as error:
            raise MergeError("kept windows are unreadable") from error
        if version != STATE_VERSION:
            raise MergeError(f"kept windows of version {version}")
        self.ready += rows

    def _open(self) -> Iterator[list[object]]:
        for (kind, tag_id), tag in self._tags.items():
            if tag.count:
                yield [kind, tag_id, tag.sealed, tag.telemetry, tag.best_dbm, tag.sum_dbm, tag.count, tag.first_ms,
                       tag.last_ms, tag.best_ms]  # fmt: skip

    def _close_one(self, key: Key, tag: _Tag) -> bool:
        if len(self.ready) >= self.max_rows:
            return False
        self.ready.append(_merged(key, tag))
        tag.count = 0
        tag.telemetry = None
        tag.told = tag.sealed
        return True

    def _forget(self, now_ms: int) -> int:
        if abs(now_ms - self._swept_at_ms) < BURST_MS:
            return 0  # a full table under a flood of new ids is not searched for each of them
        self._swept_at_ms = now_ms
        gone = [key for key, tag in self._tags.items() if not tag.count and abs(now_ms - tag.last_ms) > self.forget_ms]
        for key in gone:
            del self._tags[key]
        return len(gone)


def _merged(key: Key, tag: _Tag) -> Merged:
    mean_dbm = round(tag.sum_dbm / tag.count)
    times_ms = (tag.first_ms, tag.last_ms, tag.best_ms)
    count = min(
        tag.count, MAX_COUNT
    )  # more only where no row could be closed for hours: the count suffers, not the row
    return Merged(*key, tag.sealed, tag.telemetry, tag.best_dbm, mean_dbm, count, *times_ms)


def _checked(row: Merged) -> Merged:
    """Return a row read from disk if every field is of its kind; ValueError if not."""
    kind, octets, sealed, telemetry, *numbers = _VALUES(row)
    if not all(type(number) is int for number in (kind, *numbers)):
        raise ValueError("a kept row with a number of another kind")
    if type(octets) is not bytes or len(octets) != 8:
        raise ValueError("a kept row without its id")
    if not _is_none_or(sealed, 6) or not _is_none_or(telemetry, 16):
        raise ValueError("a kept row with octets missing")
    return row


def _is_none_or(value: object, width: int) -> bool:
    return value is None or (isinstance(value, bytes) and len(value) == width)


def _revived(row: list[object]) -> _Tag:
    tag = _Tag()
    (tag.sealed, tag.telemetry, tag.best_dbm, tag.sum_dbm, tag.count, tag.first_ms, tag.last_ms, tag.best_ms) = row  # type: ignore[assignment]
    return tag
