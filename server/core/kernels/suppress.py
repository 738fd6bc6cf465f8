"""What was heard twice counts once: repeats of (tag, detector) in a bucket of time.

Every tag heard in a bucket has one cache line out of a pool: a header and the 7 strongest detectors, so a repeat
touches one line whoever sent it. Which line is looked up in a sparse set (one int32 a tag and bucket, after Briggs
and Torczon, 1993): nothing is cleared when a bucket closes, and the lines in use are the list of who is to be placed.
"""

from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from server.core.kernels.columns import Columns
from server.core.kernels.jit import inlined, kernel
from server.core.kernels.layout import aligned
from server.core.kernels.line import bare, lowest, match, prefetch, wide

MAX_HEARERS: Final = 7
MAX_DETECTORS: Final = (1 << 24) - 2
MAX_POSES: Final = (1 << 24) - 2
MAX_BUCKET_MS: Final = 1 << 27
BLOCK: Final = 128
MAX_LATE: Final = 16_384

# A word of a line: pose in bits 0-23, detector in 24-47, rssi + 128 in 48-55. Larger is stronger. -1: unused.
DETECTOR_SHIFT: Final = 24
RSSI_SHIFT: Final = 48
FIELD: Final = (1 << 24) - 1
_DETECTOR: Final = FIELD << DETECTOR_SHIFT
# The header: tag in bits 0-31, hearers in 32-35, newest millisecond within the bucket in 36-62.
TAG: Final = (1 << 32) - 1
_COUNT: Final = 15 << 32
COUNT_SHIFT: Final = 32
NEWEST_SHIFT: Final = 36


class Verdict(IntEnum):
    """What became of a row."""

    UNKNOWN = 0  # nobody's, or nobody to be placed
    KEPT = 1  # the first of its tag and detector in its bucket: to be stored
    REPEAT = 2
    LATE = 3  # its bucket has been closed: placed apart, in the history
    EARLY = 4  # from the future
    CROWDED = 5  # weaker than the 7 strongest of its bucket
    NOWHERE = 6  # a detector without a place
    FULL = 7  # no line left in the pool


_UNKNOWN, _KEPT, _REPEAT = int(Verdict.UNKNOWN), int(Verdict.KEPT), int(Verdict.REPEAT)
_LATE, _EARLY = int(Verdict.LATE), int(Verdict.EARLY)
_CROWDED, _NOWHERE, _FULL = int(Verdict.CROWDED), int(Verdict.NOWHERE), int(Verdict.FULL)


class Openings(NamedTuple):
    """Buckets that are open. Bucket number b lives in place `b & (places - 1)`; one place more serves late rows.

    Attributes:
        slots: int32, flat, (places + 1) * tags: the line of a tag in a place, if it has one.
        lines: int64, flat, 8 words a line: `pool` words a place, then `late` words.
        used: int64 (places + 1,), lines in use.
        newest: int64 (2,), numbers of the newest bucket and of the oldest one that is open.
        places: how many buckets are open at a time.
        tags: how many are registered.
        pool: words of a place in `lines`.
        late: words of the place for late rows.
        bucket_ms: length of a bucket.
    """

    slots: NDArray[np.int32]
    lines: NDArray[np.int64]
    used: NDArray[np.int64]
    newest: NDArray[np.int64]
    places: int
    tags: int
    pool: int
    late: int
    bucket_ms: int


def create(tags: int, active_tags: int, *, bucket_ms: int, places: int = 2) -> Openings:
    """Return empty buckets.

    Args:
        tags: registered ones.
        active_tags: at most so many are heard in one bucket; what is beyond is counted as `FULL`.
        bucket_ms: length of a bucket.
        places: how many buckets are open at a time, a power of two from 2.

    Raises:
        ValueError: a figure out of range.
    """
    late = min(active_tags, MAX_LATE)
    if not 0 < bucket_ms < MAX_BUCKET_MS or places < 2 or places & (places - 1):
        raise ValueError(f"no {places} buckets of {bucket_ms} ms")
    return Openings(
        aligned((places + 1) * tags, np.int32),
        aligned((places * active_tags + late) * 8, np.int64, None),
        aligned(places + 1, np.int64),
        aligned(2, np.int64, -1),
        places,
        tags,
        active_tags * 8,
        late * 8,
        bucket_ms,
    )


class Rows(NamedTuple):
    """What is found out about the rows of a step. Buffers of at least n rows.

    Attributes:
        verdicts: uint8, `Verdict`.
        kept: int32, numbers of the rows to be stored, as many as `take` returns.
        poses: int32 (n,) or (0,): where a moving detector was, a row of the poses + 1; 0: at its station.
        where: int64 (BLOCK,), scratch.
        tally: int64 (8,), rows by verdict, added to; `KEPT` and `REPEAT` are not counted.
    """

    verdicts: NDArray[np.uint8]
    kept: NDArray[np.int32]
    poses: NDArray[np.int32]
    where: NDArray[np.int64]
    tally: NDArray[np.int64]


class Places(NamedTuple):
    """Where detectors are, for use within a kernel.

    Attributes:
        stations: bare, see `fix.Stations`.
        ring: bare, see `poses.Poses`.
    """

    stations: NDArray[np.int32]
    ring: NDArray[np.int32]


def rows(capacity: int) -> Rows:
    """Return buffers for steps of up to `capacity` rows of standing detectors."""
    return Rows(
        aligned(capacity, np.uint8),
        aligned(capacity, np.int32),
        aligned(0, np.int32),
        aligned(BLOCK, np.int64),
        aligned(len(Verdict), np.int64),
    )


@kernel
def take(openings: Openings, stations: NDArray[np.int32], ring: NDArray[np.int32], columns: Columns, out: Rows) -> int:
    """Accumulate all rows; return how many are `KEPT`.

    Works block by block in stages, each asking memory for what the next one reads, so that a row never waits for
    more than the bandwidth of the machine.

    Args:
        openings: changed.
        stations: int32, flat, 4 words a detector, see `fix.Stations`.
        ring: int32, flat, 4 words a pose, see `poses.Poses`.
        columns: input.
        out: written.
    """
    n, has_poses = columns.tags.size, out.poses.size > 0
    openings, columns, out = bare_openings(openings), _bare_columns(columns), _bare_rows(out)
    count, places = stations.size >> 2, Places(bare(stations), bare(ring))
    kept = 0
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        _sort_out(openings, columns, out, start, stop)
        _approach(openings, out, start, stop)
        for i in range(start, stop):
            where = out.where[i - start]
            verdict = ~where
            if where >= 0:
                pose = wide(out.poses[i]) if has_poses else 0
                detector = wide(columns.detectors[i])
                word = pose | detector << DETECTOR_SHIFT | (wide(columns.rssi_dbm[i]) + 128) << RSSI_SHIFT
                verdict = _NOWHERE
                if 0 <= detector < count:
                    verdict = admit(openings, places, where, word)
            out.verdicts[i] = verdict
            if verdict == _KEPT:
                out.kept[kept] = i
                kept += 1
            elif verdict != _REPEAT:
                out.tally[verdict] += 1
    return kept


@inlined
def bare_openings(openings: Openings) -> Openings:
    """Return the buckets for use within a kernel, see `line.bare`."""
    return Openings(
        bare(openings.slots),
        bare(openings.lines),
        bare(openings.used),
        bare(openings.newest),
        openings.places,
        openings.tags,
        openings.pool,
        openings.late,
        openings.bucket_ms,
    )


@inlined
def _bare_columns(columns: Columns) -> Columns:
    return Columns(
        bare(columns.tags),
        bare(columns.detectors),
        bare(columns.rssi_dbm),
        bare(columns.heard_at_ms),
        bare(columns.lat_deg),
        bare(columns.lon_deg),
        bare(columns.accuracy_m),
    )


@inlined
def _bare_rows(rows: Rows) -> Rows:
    return Rows(bare(rows.verdicts), bare(rows.kept), bare(rows.poses), bare(rows.where), bare(rows.tally))


@inlined
def _sort_out(openings: Openings, columns: Columns, out: Rows, start: int, stop: int) -> None:
    """Find buckets. `out.where`: tag, place from bit 32, ms within the bucket from 36; below 0 a verdict."""
    places, tags, bucket_ms = openings.places, openings.tags, openings.bucket_ms
    first = openings.newest[1]
    count = openings.newest[0] - first + 1
    open_from_ms, share = first * bucket_ms, 1.0 / bucket_ms
    for i in range(start, stop):
        tag = wide(columns.tags[i])
        since_ms = columns.heard_at_ms[i] - open_from_ms
        nth = wide((since_ms + 0.5) * share)  # half a millisecond away from where rounding would matter
        place = (first + nth) & (places - 1)
        where = tag | place << COUNT_SHIFT | (since_ms - nth * bucket_ms) << NEWEST_SHIFT
        if tag >= 0:
            prefetch(openings.slots, place * tags + tag)
        where = ~_LATE if since_ms < 0 else where
        where = ~_EARLY if nth >= count else where
        out.where[i - start] = where if tag >= 0 else ~_UNKNOWN


@inlined
def _approach(openings: Openings, out: Rows, start: int, stop: int) -> None:
    """Ask for the lines of tags that have one."""
    for i in range(start, stop):
        where = out.where[i - start]
        if where >= 0:
            tag, place = where & TAG, where >> COUNT_SHIFT & 15
            slot = wide(openings.slots[place * openings.tags + tag])
            if slot < openings.used[place]:
                prefetch(openings.lines, place * openings.pool + (slot << 3))


@inlined
def admit(openings: Openings, places: Places, where: int, word: int) -> int:
    """Put one row into the line of its tag and return its `Verdict`.

    More than 7 detectors: the strongest stay, of equal ones those of the higher number. Of two equally strong rows of
    a moving detector the one farther north, then east counts. So the order of the rows does not matter.
    """
    tag, place = where & TAG, where >> COUNT_SHIFT & 15
    lines, slot = openings.lines, wide(openings.slots[place * openings.tags + tag])
    at = place * openings.pool + (slot << 3)
    header = tag | where >> NEWEST_SHIFT << NEWEST_SHIFT
    is_open = slot < openings.used[place] and lines[at] & TAG == tag
    if is_open:
        bits = match(lines, at, _DETECTOR, word & _DETECTOR) & ~1
        if bits != 0:
            mine = at + lowest(bits)
            if _is_better(places.ring, word, lines[mine]):
                lines[mine] = word
            lines[at] = max(lines[at], header | lines[at] & _COUNT)
            return _REPEAT
    weight = places.stations[(word >> DETECTOR_SHIFT & FIELD) * 4 + 3]
    if weight == 0 or (weight < 0 and word & FIELD == 0):
        return _NOWHERE
    if not is_open:
        return _open(openings, place, header, word)
    return _join(lines, at, header, word)


@inlined
def _is_better(ring: NDArray[np.int32], word: int, known: int) -> bool:
    """Return whether a row of a detector says more than the one known of it."""
    if word >> RSSI_SHIFT != known >> RSSI_SHIFT:
        is_stronger: bool = word > known
        return is_stronger
    new, old = (word & FIELD) << 2, (known & FIELD) << 2
    if new == old:
        return False
    if ring[new] != ring[old]:
        is_north: bool = ring[new] > ring[old]
        return is_north
    is_east: bool = ring[new + 1] > ring[old + 1]
    return is_east


@inlined
def _open(openings: Openings, place: int, header: int, word: int) -> int:
    """Take a line out of the pool for a tag."""
    slot, lines = openings.used[place], openings.lines
    if slot << 3 >= (openings.pool if place < openings.places else openings.late):
        return _FULL
    openings.used[place] = slot + 1
    openings.slots[place * openings.tags + (header & TAG)] = slot
    at = place * openings.pool + (slot << 3)
    lines[at], lines[at + 1] = header | 1 << COUNT_SHIFT, word
    for j in range(2, 8):
        lines[at + j] = -1
    return _KEPT


@inlined
def _join(lines: NDArray[np.int64], at: int, header: int, word: int) -> int:
    """Add a detector to an open line, instead of the weakest where there are 7."""
    count = lines[at] >> COUNT_SHIFT & 15
    lines[at] = max(lines[at], header | lines[at] & _COUNT)
    if count < MAX_HEARERS:
        lines[at + 1 + count] = word
        lines[at] += wide(1) << COUNT_SHIFT
        return _KEPT
    weakest = at + 1
    for j in range(2, 8):
        if lines[at + j] < lines[weakest]:
            weakest = at + j
    if word < lines[weakest]:
        return _CROWDED
    lines[weakest] = word
    return _KEPT


@kernel
def take_late(
    openings: Openings,
    stations: NDArray[np.int32],
    ring: NDArray[np.int32],
    columns: Columns,
    out: Rows,
    picks: NDArray[np.int32],
) -> int:
    """Accumulate late rows of one bucket, given by number in `picks`, in the place for late ones; return those counted.

    Their verdicts stay `LATE` where they count, for they are stored as any other row.
    """
    bucket_ms, counted, has_poses = openings.bucket_ms, 0, out.poses.size > 0
    here, places, count = bare_openings(openings), Places(bare(stations), bare(ring)), stations.size >> 2
    for n in range(picks.size):
        i = picks[n]
        pose = wide(out.poses[i]) if has_poses else 0
        detector, within_ms = wide(columns.detectors[i]), columns.heard_at_ms[i] % bucket_ms
        where = wide(columns.tags[i]) | openings.places << COUNT_SHIFT | within_ms << NEWEST_SHIFT
        word = pose | detector << DETECTOR_SHIFT | (wide(columns.rssi_dbm[i]) + 128) << RSSI_SHIFT
        verdict = _NOWHERE
        if 0 <= detector < count:
            verdict = admit(here, places, where, word)
        if verdict not in (_KEPT, _REPEAT):
            out.verdicts[i] = verdict
            out.tally[_LATE] -= 1
            out.tally[verdict] += 1
        else:
            counted += 1
    return counted
