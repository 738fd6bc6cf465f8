"""A place out of what several detectors heard of a tag in one bucket of time: the model of server/core/fix.py.

Power falls with distance, so detectors weigh by the range that their signal allows, by how well they know their own
place and by how far their kind is believed. A bucket is closed once, when little for it is awaited any more.
"""

import math
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from server.core import fix as model
from server.core.geo import M_PER_DEG
from server.core.kernels.jit import inlined, kernel
from server.core.kernels.layout import aligned
from server.core.kernels.line import bare, prefetch, wide
from server.core.kernels.poses import Poses
from server.core.kernels.suppress import (
    COUNT_SHIFT,
    DETECTOR_SHIFT,
    FIELD,
    NEWEST_SHIFT,
    RSSI_SHIFT,
    TAG,
    Openings,
    bare_openings,
)

WEIGHT_ONE: Final = 1 << 16
M_PER_E7: Final = M_PER_DEG * 1e-7
RANGE_M: Final = np.array([model.range_m(code - 128) for code in range(256)])
"""By rssi_dbm + 128."""
_RAD_PER_E7: Final = math.pi / 180e7
_AROUND_E7: Final = 3_600_000_000
_MIN_M: Final = model.MIN_ACCURACY_M
_AHEAD: Final = 8
_SPEED: Final = model.MAX_SPEED_M_S
_WALK: Final = model.WALK_M_S
_BOTH_HEAR_M: Final = 2 * model.MAX_RANGE_M
_FAR_M: Final = 1_000.0
_SMOOTH_MS: Final = model.SMOOTH_MS
_JUMP_HITS: Final = model.JUMP_HITS
_JUMP_SPAN_MS: Final = model.JUMP_SPAN_MS


class Kind(IntEnum):
    """What became of a fix."""

    MOVED = 0  # the newest place of its tag
    HISTORY = 1  # older than that: for the track
    DOUBTFUL = 2  # nobody could have got there: kept apart


_MOVED, _HISTORY, _DOUBTFUL = int(Kind.MOVED), int(Kind.HISTORY), int(Kind.DOUBTFUL)


class Last(NamedTuple):
    """The newest believed place of every tag, 32 bytes each, and places too far to reach that wait to be confirmed.

    Attributes:
        words: int32, flat, 8 a tag: lat_e7, lon_e7, at_ms (2 words), accuracy_m, held (row, 0 none), cell + 1, spare.
        longs: int64, the same memory: `longs[4 * tag + 1]` is at_ms, 0 before the first fix.
        floats: float32, the same memory: `floats[8 * tag + 4]` is accuracy_m.
        held: int32, flat, 8 a row: lat_e7, lon_e7, at_ms (2), since_ms (2), accuracy_m, hits. Row 0 is unused.
        held_longs: int64, the same memory.
        held_floats: float32, the same memory.
        free: int32 (rows,), rows of `held` that are free.
        counts: int64 (2,), how many are free, how many jumps were not held for want of a row.
    """

    words: NDArray[np.int32]
    longs: NDArray[np.int64]
    floats: NDArray[np.float32]
    held: NDArray[np.int32]
    held_longs: NDArray[np.int64]
    held_floats: NDArray[np.float32]
    free: NDArray[np.int32]
    counts: NDArray[np.int64]


class Held(NamedTuple):
    """Places too far to reach that wait to be confirmed; columns of the same length.

    Attributes:
        lat_e7: int32, of the newest one.
        lon_e7: int32.
        at_ms: int64, UTC, of the newest one.
        since_ms: int64, UTC, of the first one.
        accuracy_m: float32.
        hits: int32, how many buckets spoke for it.
    """

    lat_e7: NDArray[np.int32]
    lon_e7: NDArray[np.int32]
    at_ms: NDArray[np.int64]
    since_ms: NDArray[np.int64]
    accuracy_m: NDArray[np.float32]
    hits: NDArray[np.int32]


class Fixes(NamedTuple):
    """Places found, one a tag and bucket; columns of the same length.

    Attributes:
        tags: int32.
        lat_e7: int32, WGS 84 in 1e-7 degrees.
        lon_e7: int32.
        accuracy_m: float32, radius that holds the tag in two of three cases.
        at_ms: int64, UTC, last heard.
        detectors: int8, how many took part.
        kinds: int8, `Kind`.
    """

    tags: NDArray[np.int32]
    lat_e7: NDArray[np.int32]
    lon_e7: NDArray[np.int32]
    accuracy_m: NDArray[np.float32]
    at_ms: NDArray[np.int64]
    detectors: NDArray[np.int8]
    kinds: NDArray[np.int8]

    def head(self, n: int) -> "Fixes":
        """Return the first `n` rows, as views."""
        return Fixes._make(column[:n] for column in self)


class Heard(NamedTuple):
    """One line, opened: where its detectors are round the first of them, up to 7; scratch of `close`.

    Attributes:
        east_m, north_m: from the first one.
        weight: how much a detector counts, 0 for one that does not take part.
        range_m: within which two of three are heard that strongly.
        accuracy_m: of its own place.
        detector: its row.
    """

    east_m: NDArray[np.float64]
    north_m: NDArray[np.float64]
    weight: NDArray[np.float64]
    range_m: NDArray[np.float64]
    accuracy_m: NDArray[np.float64]
    detector: NDArray[np.float64]


class Stations(NamedTuple):
    """What lines refer to.

    Attributes:
        words: int32, flat, 4 a detector: lat_e7, lon_e7, accuracy_cm, weight in 1/65536 (below 0: it moves; 0: none).
        poses: of those that move.
    """

    words: NDArray[np.int32]
    poses: Poses


def create_last(tags: int, held: int) -> Last:
    """Return the places of `tags` tags never heard, of which `held` may jump at a time."""
    words, rows = aligned(8 * tags, np.int32), aligned(8 * (held + 1), np.int32)
    free = np.arange(held, 0, -1, dtype=np.int32)
    return Last(
        words,
        words.view(np.int64),
        words.view(np.float32),
        rows,
        rows.view(np.int64),
        rows.view(np.float32),
        free,
        np.array([held, 0], np.int64),
    )


def held(last: Last, tags: NDArray[np.int32]) -> tuple[NDArray[np.bool_], Held]:
    """Return which of `tags` have a place held apart, and those places."""
    rows = last.words.reshape(-1, 8)[tags, 5]
    which = rows[rows != 0]
    words, longs = last.held.reshape(-1, 8)[which], last.held_longs.reshape(-1, 4)[which]
    floats = last.held_floats.reshape(-1, 8)[which]
    return rows != 0, Held(words[:, 0], words[:, 1], longs[:, 1], longs[:, 2], floats[:, 6], words[:, 7])


def hold(last: Last, tags: NDArray[np.int32], places: Held) -> None:
    """Hold places apart as they were before a stop, once, on fresh places. What finds no row is dropped."""
    n = min(tags.size, int(last.counts[0]))
    rows = last.free[last.counts[0] - n : last.counts[0]][::-1].copy()
    last.counts[0] -= n
    last.words.reshape(-1, 8)[tags[:n], 5] = rows
    words, longs = last.held.reshape(-1, 8), last.held_longs.reshape(-1, 4)
    words[rows, 0], words[rows, 1], words[rows, 7] = places.lat_e7[:n], places.lon_e7[:n], places.hits[:n]
    longs[rows, 1], longs[rows, 2] = places.at_ms[:n], places.since_ms[:n]
    last.held_floats.reshape(-1, 8)[rows, 6] = places.accuracy_m[:n]


def create_fixes(rows: int) -> Fixes:
    """Return columns for up to `rows` fixes."""
    kinds = (np.int32, np.int32, np.int32, np.float32, np.int64, np.int8, np.int8)
    return Fixes._make(aligned(rows, kind, None) for kind in kinds)


def create_scratch() -> Heard:
    """Return what `close` works in."""
    return Heard._make(aligned(8, np.float64) for _ in Heard._fields)


@kernel
def close(
    openings: Openings, place: int, bucket: int, stations: Stations, last: Last, scratch: Heard, out: Fixes, start: int
) -> int:
    """Place all tags of a bucket, move them on, empty it; return how many rows `out` holds then.

    What comes late, of a bucket that was closed before, moves its tag on all the same if nothing newer is known of it.

    Args:
        openings: changed: the place is empty after.
        place: of the bucket in `openings`; `openings.places` for late rows.
        bucket: its number.
        stations: of the detectors.
        last: changed.
        scratch: of `create_scratch`.
        out: written from row `start`; must have room for all lines in use.
        start: how many rows of it are taken.
    """
    openings, last, out, scratch = bare_openings(openings), _bare_last(last), _bare_fixes(out), _bare_heard(scratch)
    words, ring = bare(stations.words), bare(stations.poses.ring)
    used: int = openings.used[place]
    first, began_ms = place * openings.pool, bucket * openings.bucket_ms
    for i in range(used):
        if i + _AHEAD < used:
            prefetch(last.words, (openings.lines[first + (i + _AHEAD << 3)] & TAG) << 3)
        at = first + (i << 3)
        header = openings.lines[at]
        tag, count, at_ms = header & TAG, header >> COUNT_SHIFT & 15, began_ms + (header >> NEWEST_SHIFT)
        lat_e7, lon_e7 = _open_line(openings.lines, at, count, words, ring, scratch)
        shrink = math.cos(lat_e7 * _RAD_PER_E7)
        _spread(count, shrink, scratch)
        seed = _group(count, last, tag, lat_e7, lon_e7, shrink, at_ms, scratch)
        if abs(scratch.north_m[seed]) > _FAR_M:  # the first detector is not of the group: measure where that is
            there = math.cos((lat_e7 + scratch.north_m[seed] / M_PER_E7) * _RAD_PER_E7)
            _spread(count, there / shrink, scratch)
            shrink = there
        north_m, east_m, accuracy_m, hearers = _middle(count, scratch)
        row = start + i
        out.tags[row], out.at_ms[row], out.detectors[row] = tag, at_ms, hearers
        out.lat_e7[row] = lat_e7 + round(north_m / M_PER_E7)
        out.lon_e7[row] = _round_lon(lon_e7 + round(east_m / (M_PER_E7 * shrink)))
        out.accuracy_m[row], out.kinds[row] = accuracy_m, _HISTORY
        _advance(last, out, row, shrink)
    openings.used[place] = 0
    return start + used


@inlined
def _bare_last(last: Last) -> Last:
    return Last(
        bare(last.words),
        bare(last.longs),
        bare(last.floats),
        bare(last.held),
        bare(last.held_longs),
        bare(last.held_floats),
        bare(last.free),
        bare(last.counts),
    )


@inlined
def _bare_fixes(out: Fixes) -> Fixes:
    return Fixes(
        bare(out.tags),
        bare(out.lat_e7),
        bare(out.lon_e7),
        bare(out.accuracy_m),
        bare(out.at_ms),
        bare(out.detectors),
        bare(out.kinds),
    )


@inlined
def _bare_heard(scratch: Heard) -> Heard:
    return Heard(
        bare(scratch.east_m),
        bare(scratch.north_m),
        bare(scratch.weight),
        bare(scratch.range_m),
        bare(scratch.accuracy_m),
        bare(scratch.detector),
    )


@inlined
def _open_line(
    lines: NDArray[np.int64], at: int, count: int, words: NDArray[np.int32], ring: NDArray[np.int32], out: Heard
) -> tuple[int, int]:
    """Fill `out` from the words of a line, from the first on, longitudes not shrunk yet; return where that is."""
    lat_e7, lon_e7 = 0, 0
    for j in range(count):
        word = lines[at + 1 + j]
        detector, pose = (word >> DETECTOR_SHIFT & FIELD) * 4, (word & FIELD) * 4
        here = ring[pose] if pose else words[detector]
        there = ring[pose + 1] if pose else words[detector + 1]
        accuracy_m = (ring[pose + 2] if pose else words[detector + 2]) * 0.01
        range_m = RANGE_M[word >> RSSI_SHIFT]
        if j == 0:
            lat_e7, lon_e7 = wide(here), wide(there)
        out.north_m[j], out.east_m[j] = (here - lat_e7) * M_PER_E7, _round_lon(there - lon_e7) * M_PER_E7
        out.range_m[j], out.accuracy_m[j], out.detector[j] = range_m, accuracy_m, detector
        out.weight[j] = abs(words[detector + 3]) / (range_m * range_m + accuracy_m * accuracy_m)
    return lat_e7, lon_e7


@inlined
def _round_lon(lon_e7: int) -> int:
    """Return a longitude, or a difference of two, between -180 and 180 degrees."""
    if lon_e7 > _AROUND_E7 >> 1:
        return lon_e7 - _AROUND_E7
    return lon_e7 + _AROUND_E7 if lon_e7 < -(_AROUND_E7 >> 1) else lon_e7


@inlined
def _spread(count: int, shrink: float, out: Heard) -> None:
    """Shrink what is east with the latitude."""
    for j in range(count):
        out.east_m[j] *= shrink


@inlined
def _group(count: int, last: Last, tag: int, lat_e7: int, lon_e7: int, shrink: float, at_ms: int, out: Heard) -> int:
    """Let only those count that can be right with the heaviest whom the last place allows; return which that is."""
    if count == 1:
        return 0
    seed, seed_weight, is_near, has_last = 0, -1.0, False, last.longs[4 * tag + 1] != 0
    elapsed_s = max(0, at_ms - last.longs[4 * tag + 1]) * 0.001 + 10.0
    north_m = (last.words[8 * tag] - lat_e7) * M_PER_E7
    east_m = _round_lon(last.words[8 * tag + 1] - lon_e7) * (M_PER_E7 * shrink)
    for j in range(count):
        slack_m = last.floats[8 * tag + 4] + out.accuracy_m[j] + out.range_m[j] + _SPEED * elapsed_s
        away2 = (out.north_m[j] - north_m) ** 2 + (out.east_m[j] - east_m) ** 2
        may = has_last and away2 <= slack_m * slack_m
        is_more = out.weight[j] > seed_weight or (out.weight[j] == seed_weight and out.detector[j] < out.detector[seed])
        if (may and not is_near) or (may == is_near and is_more):
            seed, seed_weight, is_near = j, out.weight[j], may
    for j in range(count):
        slack_m = _BOTH_HEAR_M + out.accuracy_m[j] + out.accuracy_m[seed]
        away2 = (out.north_m[j] - out.north_m[seed]) ** 2 + (out.east_m[j] - out.east_m[seed]) ** 2
        if away2 > slack_m * slack_m:
            out.weight[j] = 0.0
    return seed


@inlined
def _middle(count: int, heard: Heard) -> tuple[float, float, float, int]:
    """Return the weighted middle, its accuracy and how many took part."""
    total, north_m, east_m, square_m2, hearers = 0.0, 0.0, 0.0, 0.0, 0
    for j in range(count):
        weight = heard.weight[j]
        total += weight
        north_m += weight * heard.north_m[j]
        east_m += weight * heard.east_m[j]
        hearers += weight > 0.0
    north_m, east_m = north_m / total, east_m / total
    for j in range(count):
        away2 = (heard.north_m[j] - north_m) ** 2 + (heard.east_m[j] - east_m) ** 2
        square_m2 += heard.weight[j] * (away2 + heard.range_m[j] ** 2 + heard.accuracy_m[j] ** 2)
    # The square root of their number only: what shades one detector often shades its neighbour too.
    return north_m, east_m, max(_MIN_M, math.sqrt(square_m2 / total / math.sqrt(hearers))), hearers


@inlined
def _advance(last: Last, out: Fixes, row: int, shrink: float) -> None:
    """Move a tag on to its new fix, or hold the fix apart; write what became of it into `out`."""
    tag = wide(out.tags[row])
    at, at_ms = 8 * tag, out.at_ms[row]
    before_ms = last.longs[4 * tag + 1]
    if before_ms != 0 and at_ms < before_ms:
        return
    if before_ms != 0:
        apart_m = _apart_m(last.words[at], last.words[at + 1], out, row, shrink)
        slack_m = last.floats[at + 4] + out.accuracy_m[row]
        if apart_m - slack_m > _SPEED * ((at_ms - before_ms) * 0.001 + 10.0):
            if not _hold(last, out, row, shrink):
                out.kinds[row] = _DOUBTFUL
                return
        elif at_ms - before_ms <= _SMOOTH_MS:
            _smooth(last, out, row, at)
    out.kinds[row] = _MOVED
    last.words[at], last.words[at + 1] = out.lat_e7[row], out.lon_e7[row]
    last.longs[4 * tag + 1], last.floats[at + 4] = at_ms, out.accuracy_m[row]
    if last.words[at + 5] != 0:
        _release(last, at)


@inlined
def _apart_m(lat_e7: int, lon_e7: int, out: Fixes, row: int, shrink: float) -> float:
    north_m = (wide(out.lat_e7[row]) - lat_e7) * M_PER_E7
    east_m = _round_lon(wide(out.lon_e7[row]) - lon_e7) * (M_PER_E7 * shrink)
    return math.sqrt(north_m * north_m + east_m * east_m)


@inlined
def _smooth(last: Last, out: Fixes, row: int, at: int) -> None:
    """Draw a fix towards the last place, the more the better and fresher that is: one step of a Kalman filter."""
    walked_m = _WALK * (out.at_ms[row] - last.longs[(at >> 1) + 1]) * 0.001
    before_m2 = last.floats[at + 4] ** 2 + walked_m * walked_m
    gain = before_m2 / (before_m2 + out.accuracy_m[row] ** 2)
    lat_e7, lon_e7 = wide(last.words[at]), wide(last.words[at + 1])
    out.lat_e7[row] = lat_e7 + round(gain * (out.lat_e7[row] - lat_e7))
    out.lon_e7[row] = _round_lon(lon_e7 + round(gain * _round_lon(out.lon_e7[row] - lon_e7)))
    out.accuracy_m[row] = max(_MIN_M, math.sqrt(gain) * out.accuracy_m[row])


@inlined
def _hold(last: Last, out: Fixes, row: int, shrink: float) -> bool:
    """Keep a place apart that nobody can have reached; return whether it has been confirmed often enough."""
    at, at_ms = 8 * wide(out.tags[row]), out.at_ms[row]
    held = 8 * wide(last.words[at + 5])
    is_same = False
    if held:
        slack_m = last.held_floats[held + 6] + out.accuracy_m[row]
        elapsed_s = (at_ms - last.held_longs[(held >> 1) + 1]) * 0.001 + 10.0
        is_same = _apart_m(last.held[held], last.held[held + 1], out, row, shrink) - slack_m <= _SPEED * elapsed_s
    else:
        if last.counts[0] == 0:
            last.counts[1] += 1
            return False
        last.counts[0] -= 1
        last.words[at + 5] = last.free[last.counts[0]]
        held = 8 * wide(last.words[at + 5])
    if not is_same:
        last.held_longs[(held >> 1) + 2], last.held[held + 7] = at_ms, 0
    last.held[held], last.held[held + 1] = out.lat_e7[row], out.lon_e7[row]
    last.held_longs[(held >> 1) + 1], last.held_floats[held + 6] = at_ms, out.accuracy_m[row]
    last.held[held + 7] += 1
    held_ms: int = at_ms - last.held_longs[(held >> 1) + 2]
    return last.held[held + 7] >= _JUMP_HITS and held_ms >= _JUMP_SPAN_MS


@inlined
def _release(last: Last, at: int) -> None:
    last.free[last.counts[0]] = last.words[at + 5]
    last.counts[0] += 1
    last.words[at + 5] = 0
