"""Whose sightings these are, what the tags say of themselves, and which of them to believe."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from server.core.eidtable import EidTable
from server.core.flags import Flag
from server.core.rows import KIND_EID, KIND_IBEACON, KIND_PLAIN_EID, KIND_UID, Heard
from server.core.tagclock import TagClock, found, judge, learn, step_beacon_ms
from server.core.tags import Tag, Tags
from wire.errors import SealError
from wire.status import StatusKeys, TagStatus, open_

_DAY_MS = 86_400_000
_MAX_SEARCH_QUANTA = 4096
_TRUSTED_ERROR_MS = 0  # a detector whose clock had to be corrected teaches no tag's clock


@dataclass(frozen=True, slots=True)
class Resolved:
    """What was found out about n rows of `Heard`.

    Attributes:
        tags: int32, row in `Tags`, -1: none of ours.
        flags: int16, `Flag` bits.
        battery_dv: int16, -1: not told.
        clocks: of the tags whose clock was learnt, by row in `Tags`.
    """

    tags: NDArray[np.int32]
    flags: NDArray[np.int16]
    battery_dv: NDArray[np.int16]
    clocks: dict[int, TagClock]


class Resolver:
    """Recognises tags and keeps their clocks.

    Args:
        tags: all enrolled tags.
        clocks: one for each of `tags`.
    """

    def __init__(self, tags: Tags, clocks: Sequence[TagClock]) -> None:
        self._tags = tags
        self._clocks = list(clocks)
        self._table = EidTable(tags)
        self._opened: dict[tuple[int, bytes, bytes], TagStatus | None] = {}

    def clock(self, tag: int) -> TagClock:
        """Return the clock of the tag in row `tag`."""
        return self._clocks[tag]

    def resolve(self, heard: Heard) -> Resolved:
        """Return whose rows these are; learns the tags' clocks on the way. Rows may be in any order."""
        is_eid = heard.kinds <= KIND_PLAIN_EID
        tags, quanta = np.full(len(heard), -1, np.int32), np.full(len(heard), -1, np.int64)
        tags[is_eid], quanta[is_eid] = self._table.find(heard.ids[is_eid], heard.last_ms[is_eid], self._clocks)
        flags, battery_dv = np.zeros(len(heard), np.int16), np.full(len(heard), -1, np.int16)
        learned: dict[int, TagClock] = {}
        self._opened.clear()
        for row in np.argsort(heard.last_ms, kind="stable").tolist():
            if not is_eid[row]:
                tags[row], flags[row] = self._static(int(heard.kinds[row]), int(heard.ids[row]))
            elif tags[row] < 0:
                tags[row], flags[row], battery_dv[row] = self._lost(heard, row, learned)
            else:
                flags[row], battery_dv[row] = self._rotating(heard, row, int(tags[row]), int(quanta[row]), learned)
        return Resolved(tags, flags, battery_dv, learned)

    def _static(self, kind: int, static_id: int) -> tuple[int, int]:
        tag = self._tags.by_static_id.get((kind, static_id), -1) if kind in (KIND_UID, KIND_IBEACON) else -1
        return tag, int(Flag.STATIC_ID) if tag >= 0 else 0

    def _rotating(
        self, heard: Heard, row: int, tag: int, quantum: int, learned: dict[int, TagClock]
    ) -> tuple[int, int]:
        clock = self._clocks[tag]
        if heard.kinds[row] != KIND_EID:
            return (int(Flag.STRIPPED) if clock.learned_at_ms is not None else 0), -1
        about = self._tags[tag]
        status = self._status(tag, _id_octets(heard, row), heard.sealed[row].tobytes())
        if status is None:
            return int(Flag.FORGED), -1
        at_ms, error_ms = int(heard.last_ms[row]), int(heard.clock_error_ms[row])
        beacon_ms = step_beacon_ms(quantum, about.rotation_exponent, status.step, clock.beacon_ms(at_ms))
        judged = judge(clock, at_ms=at_ms, beacon_ms=beacon_ms, clock_error_ms=error_ms)
        if not judged.is_of_its_time:
            return int(Flag.REPLAYED), -1
        if error_ms <= _TRUSTED_ERROR_MS:
            self._learned(tag, learn(clock, judged, at_ms=at_ms), learned)
        return _told(status), status.battery_dv

    def _lost(self, heard: Heard, row: int, learned: dict[int, TagClock]) -> tuple[int, int, int]:
        """Look for a tag that lost its clock: only those that the operator marked, only where they say so too."""
        if heard.kinds[row] != KIND_EID:
            return -1, 0, -1
        for tag, clock in enumerate(self._clocks):
            if not clock.is_lost:
                continue
            quantum = self._search(tag, clock, int(heard.ids[row]), int(heard.last_ms[row]))
            status = None if quantum is None else self._status(tag, _id_octets(heard, row), heard.sealed[row].tobytes())
            if quantum is None or status is None or not status.clock_lost:
                continue
            at_ms = int(heard.last_ms[row])
            near_ms = (quantum << self._tags[tag].rotation_exponent) * 1000
            beacon_ms = step_beacon_ms(quantum, self._tags[tag].rotation_exponent, status.step, near_ms)
            self._learned(tag, found(at_ms=at_ms, beacon_ms=beacon_ms), learned)
            self._table.forget()
            return tag, _told(status), status.battery_dv
        return -1, 0, -1

    def _search(self, tag: int, clock: TagClock, wanted: int, at_ms: int) -> int | None:
        """Return the quantum of `wanted`: the tag restarts at most a day, and the time it was off, behind."""
        exponent = self._tags[tag].rotation_exponent
        last = clock.beacon_ms(at_ms) // (1000 << exponent) + 1
        off_ms = 0 if clock.learned_at_ms is None else max(0, at_ms - clock.learned_at_ms)
        first = max(0, last - min(_MAX_SEARCH_QUANTA, (_DAY_MS + off_ms) // (1000 << exponent) + 2))
        at = np.flatnonzero(self._table.ids_of(tag, first, last) == np.uint64(wanted))
        return first + int(at[-1]) if len(at) else None

    def _status(self, tag: int, eid: bytes, sealed: bytes) -> TagStatus | None:
        key = (tag, eid, sealed)
        if key not in self._opened:
            self._opened[key] = _open(self._tags[tag], eid, sealed)
        return self._opened[key]

    def _learned(self, tag: int, clock: TagClock, learned: dict[int, TagClock]) -> None:
        self._clocks[tag] = learned[tag] = replace(clock, is_lost=False) if clock.is_lost else clock


def _open(tag: Tag, eid: bytes, sealed: bytes) -> TagStatus | None:
    keys: StatusKeys | None = tag.status_keys
    if keys is None:
        return None
    try:
        return open_(keys, eid, sealed)
    except SealError:
        return None


def _told(status: TagStatus) -> int:
    flags = Flag.SEALED
    if status.sos:
        flags |= Flag.SOS
    if status.moving:
        flags |= Flag.MOVING
    if status.clock_lost:
        flags |= Flag.CLOCK_LOST
    return int(flags)


def _id_octets(heard: Heard, row: int) -> bytes:
    return int(heard.ids[row]).to_bytes(8, "little")
