"""One row per tag and window out of many packets, with the rows that must not wait; without clock or I/O.

A window is cut by the time of the packets, so that a replay gives the same rows. Three things close a row before its
window ends: the first sight of an id, a burst or sealed bytes that changed within one (a tag under SOS advertises ten
times a second, see docs/WIRE.md), and a full counter. A detector has no key: it cannot see SOS, only that somebody is
in haste; whoever floods one id is in haste once a second, no more.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Final

import cbor2

from wire.crowd import Knocks, Seats
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
        is_hasty: heard in a burst, so it may be a call for help.
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
    is_hasty: bool = False


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
        "hasty_ms",
        "is_told_in_haste",
        "last_ms",
        "sealed",
        "sum_dbm",
        "telemetry",
        "told",
        "windows",
    )

    def __init__(self) -> None:
        self.sealed: bytes | None = None
        self.told: bytes | None = None
        self.telemetry: bytes | None = None
        self.count = self.sum_dbm = self.best_dbm = 0
        self.first_ms = self.last_ms = self.best_ms = 0
        self.burst_from_ms = self.burst_packets = self.windows = 0
        self.hasty_ms = -BURST_MS
        self.is_told_in_haste = False

    def add(self, rssi_dbm: int, at_ms: int, sealed: bytes | None) -> None:
        if abs(at_ms - self.last_ms) > BURST_MS:
            self.is_told_in_haste = False
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

    def is_in_haste(self, at_ms: int) -> bool:
        """Whether it is in a burst that has not been told, or says something new in one, and is not so all the time."""
        if self.burst_packets < BURST_PACKETS or abs(at_ms - self.hasty_ms) < BURST_MS:
            return False
        return self.sealed != self.told or not self.is_told_in_haste


@dataclass(slots=True)
class Merge:
    """Open windows and closed rows of one detector.

    Args:
        window_ms: length of a window, town milliseconds.
        forget_ms: an id not heard for so long is new again.
        max_rows: most ids and most closed rows held. With so many ids, a new one must come twice (once is counted in
            `refused`) and takes the place of another (counted in `replaced`), see `wire/crowd.py`; with so many
            rows, open ones are left open. So memory is bounded, and only the resolution in time suffers.
    """

    window_ms: int
    forget_ms: int = 60_000
    max_rows: int = 10_000
    refused: int = field(default=0, init=False)
    replaced: int = field(default=0, init=False)
    ready: list[Merged] = field(default_factory=list, init=False, repr=False)
    _tags: dict[Key, _Tag] = field(default_factory=dict, init=False, repr=False)
    _opened_at_ms: int | None = field(default=None, init=False, repr=False)
    _swept_at_ms: int = field(default=0, init=False, repr=False)
    _knocks: Knocks = field(default_factory=Knocks, init=False, repr=False)
    _seats: Seats[Key, _Tag] = field(
        default_factory=lambda: Seats(lambda tag: (tag.windows, tag.last_ms)), init=False, repr=False
    )

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
            if len(self._tags) >= self.max_rows and not self._has_place(key, at_ms):
                self.refused += 1
                return False
            tag = self._tags[key] = _Tag()
            is_new = True
        else:
            is_new = tag.count == 0 and abs(at_ms - tag.last_ms) > self.forget_ms
        tag.add(rssi_dbm, at_ms, sealed)
        is_hasty = tag.is_in_haste(at_ms)
        if is_new or is_hasty or tag.count >= MAX_COUNT:
            return self._close_one(key, tag, is_hasty=is_hasty) and (is_new or is_hasty)
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
        still_open = False
        for key, tag in self._tags.items():
            if tag.count:
                tag.windows += 1
                still_open |= not self._close_one(key, tag)
        if not still_open:
            self._opened_at_ms = None

    def oldest_ms(self) -> int | None:
        """Return when the oldest packet of a row that was not settled was heard, None without rows."""
        times_ms = [row.first_heard_ms for row in self.ready]
        times_ms += [tag.first_ms for tag in self._tags.values() if tag.count]
        return min(times_ms, default=None)

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

    def _close_one(self, key: Key, tag: _Tag, *, is_hasty: bool = False) -> bool:
        if len(self.ready) >= self.max_rows:
            return False
        self.ready.append(_merged(key, tag, is_hasty=is_hasty))
        if is_hasty:
            tag.hasty_ms = tag.last_ms
            tag.is_told_in_haste = True
        tag.count = 0
        tag.telemetry = None
        tag.told = tag.sealed
        return True

    def _has_place(self, key: Key, at_ms: int) -> bool:
        """Return whether there is a place for a new id in a full table, made free where that is right."""
        if self._forget(at_ms):
            return True
        if not self._knocks.was_here(key):
            return False
        least = self._seats.least(self._tags)
        if least is None or (self._tags[least].count and not self._close_one(least, self._tags[least])):
            return False
        del self._tags[least]
        self.replaced += 1
        return True

    def _forget(self, now_ms: int) -> int:
        if abs(now_ms - self._swept_at_ms) < BURST_MS:
            return 0  # a full table under a flood of new ids is not searched for each of them
        self._swept_at_ms = now_ms
        gone = [key for key, tag in self._tags.items() if not tag.count and abs(now_ms - tag.last_ms) > self.forget_ms]
        for key in gone:
            del self._tags[key]
        return len(gone)


def _merged(key: Key, tag: _Tag, *, is_hasty: bool = False) -> Merged:
    mean_dbm = round(tag.sum_dbm / tag.count)
    times_ms = (tag.first_ms, tag.last_ms, tag.best_ms)
    count = min(
        tag.count, MAX_COUNT
    )  # more only where no row could be closed for hours: the count suffers, not the row
    return Merged(*key, tag.sealed, tag.telemetry, tag.best_dbm, mean_dbm, count, *times_ms, is_hasty)


def _checked(row: Merged) -> Merged:
    """Return a row read from disk if every field is of its kind; ValueError if not."""
    kind, octets, sealed, telemetry, *numbers, is_hasty = _VALUES(row)
    if type(is_hasty) is not bool:
        raise ValueError("a kept row that is neither hasty nor not")
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
