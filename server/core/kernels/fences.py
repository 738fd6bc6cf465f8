"""Arrivals, departures and stays at fences: the rules of server/core/fences.py and places.py over flat arrays.

A change of side counts when it has lasted for the fence's dwell and three places have shown it; between inside and
clearly outside, by the accuracy of the place and a margin, nothing changes. Every tag has its own list of watched
fences; which of all fences a place is in, whoever is there, is asked of `grid.match`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from server.core import fences as model
from server.core import places as waiting
from server.core.kernels.fix import M_PER_E7, Fixes, Kind, Last
from server.core.kernels.jit import inlined, kernel
from server.core.kernels.layout import aligned
from server.core.kernels.line import bare, prefetch, wide
from server.core.kernels.places import is_inside

WORDS: Final = 16
_MARGIN_M: Final = model.MARGIN_M
_VAGUE_M: Final = model.VAGUE_RADIUS_M
_BELIEVED: Final = 1.5
_MIN_HITS: Final = waiting.MIN_HITS
_SILENCE_MS: Final = waiting.SILENCE_MS
_MOVED: Final = int(Kind.MOVED)
_AHEAD: Final = 8
_RAD_PER_E7: Final = math.pi / 180e7
_CIRCLE, _POLYGON = 0, 1
_NEITHER, _IN, _OUT = 0, 1, 2
INSIDE: Final = _IN
OUTSIDE: Final = _OUT
# State of a watch, first word: side in bits 0-1, hits in 2-7, stay told in 8, listed in 9, one of the changed in 10,
# UTC ms since when from 16.
# Second word: UTC ms of the first place on the other side, 0: none.
_SIDE, _HITS, _TOLD, _LISTED, _CHANGED, _SINCE_SHIFT = 3, 63 << 2, 1 << 8, 1 << 9, 1 << 10, 16


class Change(IntEnum):
    """What happened at a fence."""

    ARRIVED = 1
    DEPARTED = 2
    STAYED = 3


_ARRIVED, _DEPARTED, _STAYED = int(Change.ARRIVED), int(Change.DEPARTED), int(Change.STAYED)


@dataclass(frozen=True, slots=True)
class Circle:
    """A fence round a point.

    Attributes:
        lat_deg: WGS 84.
        lon_deg: WGS 84.
        radius_m: the border counts as inside.
        dwell_ms: how long a change must last before it is told.
        stay_ms: after how long inside a stay is told, once; 0: never.
    """

    lat_deg: float
    lon_deg: float
    radius_m: float
    dwell_ms: int = 0
    stay_ms: int = 0


@dataclass(frozen=True, slots=True)
class Polygon:
    """A fence along lines between vertices, (lat_deg, lon_deg) in either sense, not closed, at least 3."""

    vertices_deg: Sequence[tuple[float, float]]
    dwell_ms: int = 0
    stay_ms: int = 0


class Fences(NamedTuple):
    """All fences.

    Attributes:
        words: int32, flat, 16 a fence: kind, box (lat, lon, lat, lon), first vertex, vertices, lat_e7, lon_e7,
            radius_cm, believed_cm (up to which accuracy inside is believed), margin_cm, dwell_ms, stay_ms, cosine of
            the latitude in 2^-30, spare.
        vertices: int32 (v, 2), lat_e7 and lon_e7 of all polygons.
    """

    words: NDArray[np.int32]
    vertices: NDArray[np.int32]

    @classmethod
    def of(cls, fences: Sequence[Circle | Polygon]) -> Self:
        """Return the arrays of `fences`, in their order."""
        words = aligned((len(fences), WORDS), np.int32)
        vertices: list[tuple[int, int]] = []
        for row, fence in zip(words, fences, strict=True):
            if isinstance(fence, Circle):
                one = cls.of_circles(*(np.array([value]) for value in (fence.lat_deg, fence.lon_deg, fence.radius_m)))
                row[:] = one.words
            else:
                corners = [(_e7(lat), _e7(lon)) for lat, lon in fence.vertices_deg]
                low, high_ = [min(c) for c in zip(*corners, strict=True)], [max(c) for c in zip(*corners, strict=True)]
                centre = ((low[0] + high_[0]) // 2, (low[1] + high_[1]) // 2)
                row[7:9] = centre
                _measure(row[None, :], np.array([_equal_radius_m(corners, centre)]))
                row[0], row[1:5], row[5], row[6] = _POLYGON, (*low, *high_), len(vertices), len(corners)
                vertices += corners
            row[12], row[13] = fence.dwell_ms, fence.stay_ms
        return cls(words.reshape(-1), np.array(vertices, np.int32).reshape(-1, 2))

    @classmethod
    def of_circles(
        cls,
        lat_deg: NDArray[np.float64],
        lon_deg: NDArray[np.float64],
        radius_m: NDArray[np.float64],
        dwell_ms: NDArray[np.int32] | int = 0,
    ) -> Self:
        """Return the arrays of `Circle`s whose stays are never told, columns of the same length, in their order."""
        words = aligned((len(lat_deg), WORDS), np.int32)
        centre = np.floor(np.stack([lat_deg, lon_deg], axis=1) * 1e7 + 0.5).astype(np.int32)
        high = np.ceil(radius_m / M_PER_E7).astype(np.int32)
        wide = np.ceil(radius_m / (M_PER_E7 * np.cos(np.radians(lat_deg)))).astype(np.int32)
        words[:, 1:3] = centre - np.stack([high, wide], axis=1)
        words[:, 3:5] = centre + np.stack([high, wide], axis=1)
        words[:, 7:9], words[:, 12] = centre, dwell_ms
        _measure(words, radius_m)
        return cls(words.reshape(-1), np.empty((0, 2), np.int32))


class Watches(NamedTuple):
    """Which tag is watched at which fence, and how they stand.

    Attributes:
        starts: int32 (tags + 1,), where the watches of a tag begin.
        fences: int32 (w,), rows of the fences.
        states: int64, flat, 2 a watch, see above.
        listed: int32, flat, 2 an entry: tag and watch that may become an arrival by silence.
        changed: int32 (w,), watches whose state is not what it was when the list was last emptied, see `changed`.
        counts: int64 (3,), entries in `listed`, watches that found no room there, entries in `changed`.
    """

    starts: NDArray[np.int32]
    fences: NDArray[np.int32]
    states: NDArray[np.int64]
    listed: NDArray[np.int32]
    changed: NDArray[np.int32]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, tags: NDArray[np.int32], fences: NDArray[np.int32], *, registered: int) -> Self:
        """Return the watches of pairs of tag and fence; nothing is known yet of how they stand.

        Args:
            tags: shape (w,), in any order.
            fences: shape (w,), rows of the fences.
            registered: number of all tags.
        """
        order = np.argsort(tags, kind="stable")
        starts = np.searchsorted(tags[order], np.arange(registered + 1)).astype(np.int32)
        room = max(64, len(tags) // 8)
        return cls(
            starts,
            np.ascontiguousarray(fences[order], np.int32),
            aligned(2 * len(tags), np.int64),
            aligned(2 * room, np.int32),
            aligned(len(tags), np.int32, None),
            aligned(3, np.int64),
        )


class Standing(NamedTuple):
    """How watches stand; columns of the same length.

    Attributes:
        sides: int8, 0 not known, 1 inside, 2 outside: what the family was told.
        since_ms: int64, UTC, since when.
        waiting_ms: int64, UTC of the first place on the other side; 0: no change is being waited for.
        hits: int32, how many places there have been on the other side.
    """

    sides: NDArray[np.int8]
    since_ms: NDArray[np.int64]
    waiting_ms: NDArray[np.int64]
    hits: NDArray[np.int32]


def standing(watches: Watches, numbers: NDArray[np.int32]) -> Standing:
    """Return how the watches `numbers` stand."""
    states = watches.states.reshape(-1, 2)[numbers]
    words = states[:, 0]
    return Standing(
        (words & _SIDE).astype(np.int8),
        words >> _SINCE_SHIFT,
        states[:, 1].copy(),
        ((words & _HITS) >> 2).astype(np.int32),
    )


def stand(watches: Watches, tags: NDArray[np.int32], numbers: NDArray[np.int32], how: Standing) -> None:
    """Let the watches `numbers`, of `tags`, stand as they stood before a stop; to be called once, on fresh watches."""
    states = watches.states.reshape(-1, 2)
    states[numbers, 0] = how.sides | how.hits.astype(np.int64) << 2 | how.since_ms << _SINCE_SHIFT
    states[numbers, 1] = how.waiting_ms
    for tag, watch in zip(
        *(a[(how.sides == _OUT) & (how.waiting_ms != 0)].tolist() for a in (tags, numbers)), strict=True
    ):
        _list(watches, tag, watch)


def changed(watches: Watches) -> NDArray[np.int32]:
    """Return the watches that changed since this was last asked."""
    numbers = watches.changed[: watches.counts[2]].copy()
    watches.states.reshape(-1, 2)[numbers, 0] &= ~_CHANGED
    watches.counts[2] = 0
    return numbers


class Events(NamedTuple):
    """What happened; columns of the same length.

    Attributes:
        tags: int32.
        fences: int32, row of the fence.
        kinds: int8, `Change`.
        at_ms: int64, UTC.
    """

    tags: NDArray[np.int32]
    fences: NDArray[np.int32]
    kinds: NDArray[np.int8]
    at_ms: NDArray[np.int64]

    def head(self, n: int) -> "Events":
        """Return the first `n` rows, as views."""
        return Events._make(column[:n] for column in self)


def create_events(rows: int) -> Events:
    """Return columns for up to `rows` events."""
    return Events._make(aligned(rows, kind, None) for kind in (np.int32, np.int32, np.int8, np.int64))


@kernel
def cross(fences: Fences, watches: Watches, fixes: Fixes, events: Events, start: int) -> int:
    """Hold new places against the fences of their tags; return how many rows `events` holds then.

    Args:
        fences: all.
        watches: changed.
        fixes: those that moved their tag count, in order of time for each tag.
        events: written from row `start`; what does not fit is counted in the return value and not written.
        start: how many rows of it are taken.
    """
    count = start
    starts, rows, states, words = bare(watches.starts), bare(watches.fences), bare(watches.states), bare(fences.words)
    for i in range(fixes.tags.size):
        if i + 3 * _AHEAD < fixes.tags.size:
            prefetch(starts, wide(fixes.tags[i + 3 * _AHEAD]))
            first = wide(starts[fixes.tags[i + 2 * _AHEAD]])
            prefetch(rows, first)
            prefetch(states, 2 * first)
            tag = fixes.tags[i + _AHEAD]
            for watch in range(starts[tag], starts[tag + 1]):
                prefetch(words, WORDS * wide(rows[watch]))
        if fixes.kinds[i] == _MOVED:
            tag = wide(fixes.tags[i])
            for watch in range(starts[tag], starts[tag + 1]):
                side = _side(words, fences.vertices, wide(rows[watch]), fixes, i)
                if side != _NEITHER:
                    at = 2 * wide(watch)
                    was, waited = states[at], states[at + 1]
                    kind, at_ms = _step(states, at, words, WORDS * wide(rows[watch]), side, fixes.at_ms[i])
                    if states[at] != was or states[at + 1] != waited:
                        _note(watches, watch)
                    count = _tell(events, count, tag, rows[watch], kind, at_ms)
                    if states[at] & _LISTED == 0 and states[at + 1] != 0 and states[at] & _SIDE == _OUT:
                        _list(watches, tag, watch)
    return count


@kernel
def sweep(fences: Fences, watches: Watches, last: Last, now_ms: int, events: Events, start: int) -> int:
    """Complete arrivals of those who were heard twice inside and then not at all; return the rows `events` holds then.

    Leaving is never concluded from silence; silence has its own explanation.

    Args:
        fences: all.
        watches: changed.
        last: places of the tags.
        now_ms: UTC, of the data: up to when everything has arrived.
        events: as `cross`.
        start: how many rows of it are taken.
    """
    count, kept, states = start, 0, watches.states
    for entry in range(watches.counts[0]):
        tag, watch = wide(watches.listed[2 * entry]), wide(watches.listed[2 * entry + 1])
        at, fence = 2 * watch, watches.fences[watch]
        if states[at + 1] == 0 or states[at] & _SIDE != _OUT:
            states[at] &= ~_LISTED
            continue
        silent_ms = now_ms - last.longs[4 * tag + 1]
        if (states[at] & _HITS) >> 2 >= 2 and silent_ms >= max(fences.words[WORDS * fence + 12], _SILENCE_MS):
            count = _tell(events, count, tag, fence, _ARRIVED, states[at + 1])
            states[at], states[at + 1] = states[at] & _CHANGED | _IN | states[at + 1] << _SINCE_SHIFT, 0
            _note(watches, watch)
            continue
        watches.listed[2 * kept], watches.listed[2 * kept + 1] = tag, watch
        kept += 1
    watches.counts[0] = kept
    return count


@inlined
def _step(
    states: NDArray[np.int64], at: int, words: NDArray[np.int32], fence: int, side: int, at_ms: int
) -> tuple[int, int]:
    """Move one watch on; return what happened (0: nothing) and when."""
    state = states[at]
    known = state & _SIDE
    if known == _NEITHER:
        states[at] = state & _CHANGED | side | at_ms << _SINCE_SHIFT
        return 0, at_ms
    if side == known:
        states[at], states[at + 1] = state & ~_HITS, 0
        stay_ms = words[fence + 13]
        if side == _IN and stay_ms > 0 and state & _TOLD == 0 and at_ms - (state >> _SINCE_SHIFT) >= stay_ms:
            states[at] |= _TOLD
            return _STAYED, at_ms
        return 0, at_ms
    since_ms = states[at + 1] if states[at + 1] != 0 else at_ms
    hits = min(((state & _HITS) >> 2) + 1, 63)
    dwell_ms = words[fence + 12]
    if at_ms - since_ms < dwell_ms or (hits < _MIN_HITS and dwell_ms > 0):
        states[at], states[at + 1] = state & ~_HITS | hits << 2, since_ms
        return 0, at_ms
    states[at], states[at + 1] = side | state & (_LISTED | _CHANGED) | since_ms << _SINCE_SHIFT, 0
    return _ARRIVED if side == _IN else _DEPARTED, since_ms


@inlined
def _tell(events: Events, count: int, tag: int, fence: int, kind: int, at_ms: int) -> int:
    if kind == 0:
        return count
    if count < events.tags.size:
        events.tags[count], events.fences[count] = tag, fence
        events.kinds[count], events.at_ms[count] = kind, at_ms
    return count + 1


@inlined
def _list(watches: Watches, tag: int, watch: int) -> None:
    entry = watches.counts[0]
    if 2 * entry >= watches.listed.size:
        watches.counts[1] += 1
        return
    watches.listed[2 * entry], watches.listed[2 * entry + 1] = tag, watch
    watches.counts[0] += 1
    watches.states[2 * watch] |= _LISTED


@inlined
def _note(watches: Watches, watch: int) -> None:
    if watches.states[2 * watch] & _CHANGED == 0:
        watches.states[2 * watch] |= _CHANGED
        watches.changed[watches.counts[2]] = watch
        watches.counts[2] += 1


@inlined
def _side(words: NDArray[np.int32], vertices: NDArray[np.int32], fence: int, fixes: Fixes, i: int) -> int:
    """Return on which side of a fence a fix is: inside, clearly outside, or neither."""
    at, lat_e7, lon_e7 = WORDS * fence, wide(fixes.lat_e7[i]), wide(fixes.lon_e7[i])
    if is_in(words, vertices, at, lat_e7, lon_e7):
        return _IN if fixes.accuracy_m[i] <= words[at + 10] * 0.01 else _NEITHER
    beyond_m = fixes.accuracy_m[i] + words[at + 11] * 0.01
    north_m, east_m = _to_box_m(words, at, lat_e7, lon_e7)
    if north_m > beyond_m or east_m > beyond_m:
        return _OUT
    return _OUT if _outside_m(words, vertices, at, lat_e7, lon_e7) > beyond_m else _NEITHER


@inlined
def is_in(words: NDArray[np.int32], vertices: NDArray[np.int32], at: int, lat_e7: int, lon_e7: int) -> bool:
    """Return whether a place is in the fence whose words begin at `at`."""
    if lat_e7 < words[at + 1] or lat_e7 > words[at + 3] or lon_e7 < words[at + 2] or lon_e7 > words[at + 4]:
        return False
    if words[at] == _CIRCLE:
        radius_m: float = words[at + 9] * 0.01
        return _from_centre_m(words, at, lat_e7, lon_e7) <= radius_m
    return is_inside(vertices, wide(words[at + 5]), wide(words[at + 6]), lat_e7, lon_e7)


@inlined
def _from_centre_m(words: NDArray[np.int32], at: int, lat_e7: int, lon_e7: int) -> float:
    east = M_PER_E7 * words[at + 14] / 1073741824.0
    north_m, east_m = (lat_e7 - words[at + 7]) * M_PER_E7, (lon_e7 - words[at + 8]) * east
    return math.sqrt(north_m * north_m + east_m * east_m)


@inlined
def _to_box_m(words: NDArray[np.int32], at: int, lat_e7: int, lon_e7: int) -> tuple[float, float]:
    """Return how far a place is from the box of a fence, north or south and east or west."""
    north = max(words[at + 1] - lat_e7, lat_e7 - words[at + 3], 0)
    east = max(words[at + 2] - lon_e7, lon_e7 - words[at + 4], 0)
    return north * M_PER_E7, east * (M_PER_E7 * words[at + 14] / 1073741824.0)


@kernel
def _outside_m(words: NDArray[np.int32], vertices: NDArray[np.int32], at: int, lat_e7: int, lon_e7: int) -> float:
    """Return how far a place that is not inside is from the border."""
    if words[at] == _CIRCLE:
        radius_m: float = words[at + 9] * 0.01
        return max(0.0, _from_centre_m(words, at, lat_e7, lon_e7) - radius_m)
    east = M_PER_E7 * words[at + 14] / 1073741824.0
    first, count, best = wide(words[at + 5]), wide(words[at + 6]), np.inf
    j = first + count - 1
    for i in range(first, first + count):
        ax, ay = (vertices[j, 1] - lon_e7) * east, (vertices[j, 0] - lat_e7) * M_PER_E7
        ex, ey = (vertices[i, 1] - lon_e7) * east - ax, (vertices[i, 0] - lat_e7) * M_PER_E7 - ay
        square = ex * ex + ey * ey
        along = 0.0 if square == 0.0 else min(1.0, max(0.0, -(ax * ex + ay * ey) / square))
        px, py = ax + along * ex, ay + along * ey
        best = min(best, px * px + py * py)
        j = i
    return math.sqrt(best)


def _e7(degrees: float) -> int:
    return math.floor(degrees * 1e7 + 0.5)


def _measure(words: NDArray[np.int32], radius_m: NDArray[np.float64]) -> None:
    """Write what follows from centre and radius, shape (n, 16)."""
    words[:, 9] = np.round(radius_m * 100)
    words[:, 10] = np.round(_BELIEVED * np.maximum(radius_m, _VAGUE_M) * 100)
    words[:, 11] = np.round(np.maximum(_MARGIN_M, radius_m / 5) * 100)
    words[:, 14] = np.round(np.cos(words[:, 7] * _RAD_PER_E7) * 2**30)


def _equal_radius_m(corners: Sequence[tuple[int, int]], centre: tuple[int, int]) -> float:
    """Return the radius of the circle of the same area."""
    east = M_PER_E7 * math.cos(centre[0] * _RAD_PER_E7)
    flat = [((lat - centre[0]) * M_PER_E7, (lon - centre[1]) * east) for lat, lon in corners]
    doubled = sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(flat, [*flat[1:], flat[0]], strict=True))
    return math.sqrt(abs(doubled) / 2 / math.pi)
