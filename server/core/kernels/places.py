"""Who is where: last places by cell of the JIS X 0410 250 m mesh, and who is near, inside, nearest.

A cell is a pair of integers, 7.5 seconds of latitude by 11.25 of longitude, counted over the whole globe. Each tag
knows its cell; a snapshot of all last places in the order of their cells is made now and then, for following lists
from tag to tag costs ten times as much as reading neighbours. Answers are exact as of the snapshot: cells only say
where to look, distance decides. Metres are flat at the latitude of the question, which is right to 0.3 % at 50 km.
"""

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from server.core.kernels.fix import M_PER_E7, Fixes, Kind, Last
from server.core.kernels.jit import inlined, kernel
from server.core.kernels.layout import aligned
from server.core.kernels.line import bare, prefetch, wide

_ROWS_PER_DEG: Final = 480
_COLUMNS_PER_DEG: Final = 320
_E7: Final = 10_000_000
_RAD_PER_E7: Final = math.pi / 180e7
_MOVED: Final = int(Kind.MOVED)
_MAX_ROW: Final = 2**31 - 1
_AHEAD: Final = 16
_FIRST_REACH_M: Final = 150.0


class Cells(NamedTuple):
    """Cells where tags have been.

    Attributes:
        keys: int64 (m,), row of cells << 32 | column; -1 is unused. m is a power of two.
        counts: int32 (m + 1,), tags in a cell; the last is for all that found no cell.
        used: int64 (1,), cells in use.
    """

    keys: NDArray[np.int64]
    counts: NDArray[np.int32]
    used: NDArray[np.int64]


class Index(NamedTuple):
    """Last places in the order of their cells.

    Attributes:
        keys: int64 (m,), of `Cells`.
        starts: int32 (m + 2,), where a cell begins; the last cell is that of all without one, looked at always.
        rows: int32, flat, 4 a tag: tag, lat_e7, lon_e7, ms before or after `at_ms`.
        at_ms: int64 (2,), UTC of the snapshot; how many rows there are.
    """

    keys: NDArray[np.int64]
    starts: NDArray[np.int32]
    rows: NDArray[np.int32]
    at_ms: NDArray[np.int64]


class Found(NamedTuple):
    """Room for an answer.

    Attributes:
        tags: int32 (n,).
        away_m2: float64 (n,), square of the distance; not set by `inside`.
    """

    tags: NDArray[np.int32]
    away_m2: NDArray[np.float64]


def create_cells(cells: int) -> Cells:
    """Return room for at least `cells` cells; tags in more than that are found all the same, only slower."""
    size = 1 << max(4, math.ceil(math.log2(cells * 1.5)))
    return Cells(aligned(size, np.int64, -1), aligned(size + 1, np.int32), aligned(1, np.int64))


def create_index(cells: Cells, tags: int) -> Index:
    """Return an empty snapshot for `tags` tags."""
    size = cells.keys.size
    return Index(cells.keys, aligned(size + 2, np.int32), aligned(4 * tags, np.int32, None), aligned(2, np.int64))


def create_found(rows: int) -> Found:
    """Return room for `rows` tags."""
    return Found(aligned(rows, np.int32), aligned(rows, np.float64))


@inlined
def row_of(lat_e7: int) -> int:
    """Return the row of cells of a latitude, from the south pole."""
    return ((lat_e7 + 90 * _E7) * _ROWS_PER_DEG) // _E7


@inlined
def column_of(lon_e7: int) -> int:
    """Return the column of cells of a longitude, from 180 degrees west."""
    return ((lon_e7 + 180 * _E7) * _COLUMNS_PER_DEG) // _E7


@inlined
def cell_of(lat_e7: int, lon_e7: int) -> int:
    """Return the key of the cell of a place."""
    return (row_of(lat_e7) << 32) | column_of(lon_e7)


@inlined
def home_of(mask: int, key: int) -> int:
    """Return where the search for a key begins; mixed after splitmix64, for neighbours are asked for together."""
    mixed = (key ^ (key >> 29)) * wide(-4658895280553007687)
    return (mixed ^ (mixed >> 32)) & mask


@inlined
def slot_of(keys: NDArray[np.int64], mask: int, key: int) -> int:
    """Return where a key is among bare `keys`, or the unused slot where it would be; -1 if there is neither."""
    slot = home_of(mask, key)
    for _ in range(mask + 1):
        if keys[slot] == key or keys[slot] == -1:
            return slot
        slot = (slot + 1) & mask
    return -1


@kernel
def move(cells: Cells, last: Last, fixes: Fixes) -> int:
    """Take the tags of `fixes` over into the cells of their last places; return how many changed their cell."""
    words, keys, counts, mask = bare(last.words), bare(cells.keys), bare(cells.counts), cells.keys.size - 1
    moved = 0
    for i in range(fixes.tags.size):
        if i + _AHEAD < fixes.tags.size:
            prefetch(words, wide(fixes.tags[i + _AHEAD]) << 3)
        if fixes.kinds[i] == _MOVED:
            at = wide(fixes.tags[i]) << 3
            moved += _enter(cells, keys, counts, mask, words, at)
    return moved


@inlined
def _enter(
    cells: Cells, keys: NDArray[np.int64], counts: NDArray[np.int32], mask: int, words: NDArray[np.int32], at: int
) -> int:
    """Put one tag into the cell of its last place; return whether that is another one than before."""
    key, old = cell_of(wide(words[at]), wide(words[at + 1])), wide(words[at + 6]) - 1
    if 0 <= old <= mask and keys[old] == key:
        return 0
    slot = slot_of(keys, mask, key)
    if slot < 0 or (keys[slot] == -1 and cells.used[0] * 3 >= (mask + 1) * 2):
        slot = mask + 1  # no room for one more cell
    elif keys[slot] == -1:
        keys[slot] = key
        cells.used[0] += 1
    if old >= 0:
        counts[old] -= 1
    counts[slot] += 1
    words[at + 6] = slot + 1
    return 1


@kernel
def recell(cells: Cells, last: Last) -> None:
    """Enter all tags anew into fresh `cells`: the old ones are full of cells that nobody is in any more."""
    words, keys, counts, mask = bare(last.words), bare(cells.keys), bare(cells.counts), cells.keys.size - 1
    for tag in range(last.words.size >> 3):
        words[8 * tag + 6] = 0
        if last.longs[4 * tag + 1] != 0:
            _enter(cells, keys, counts, mask, words, 8 * tag)


@kernel
def rebuild(index: Index, cells: Cells, last: Last, at_ms: int) -> int:
    """Make a snapshot of all last places as of `at_ms` and return how many there are.

    Releases the GIL. While it runs, nothing may move a tag; ask the snapshot before it meanwhile.
    """
    starts, rows, words, longs = bare(index.starts), bare(index.rows), bare(last.words), bare(last.longs)
    begin = 0
    for slot in range(cells.counts.size):
        starts[slot] = begin
        begin += cells.counts[slot]
    for tag in range(last.words.size >> 3):
        slot = wide(words[8 * tag + 6]) - 1
        if slot >= 0:
            row = 4 * wide(starts[slot])
            starts[slot] += 1
            rows[row], rows[row + 1], rows[row + 2] = tag, words[8 * tag], words[8 * tag + 1]
            rows[row + 3] = min(max(longs[4 * tag + 1] - at_ms, -_MAX_ROW), _MAX_ROW)
    for slot in range(cells.counts.size, 0, -1):
        starts[slot] = starts[slot - 1]
    starts[0] = 0
    index.at_ms[0], index.at_ms[1] = at_ms, begin
    return begin


@kernel
def within(index: Index, lat_e7: int, lon_e7: int, radius_m: float, since_ms: int, found: Found) -> int:
    """Return how many tags were last heard within `radius_m` and not before `since_ms`; the first fill `found`.

    Args:
        index: to ask.
        lat_e7: of the middle.
        lon_e7: of the middle.
        radius_m: the border counts as inside.
        since_ms: UTC; times further than 24 days from the snapshot's count as so far.
        found: room for the answer, in the order of the cells.
    """
    return _look(index, _box(lat_e7, lon_e7, radius_m), (lat_e7, lon_e7, radius_m), since_ms, found, 0)


@kernel
def nearest(index: Index, lat_e7: int, lon_e7: int, k: int, since_ms: int, max_m: float, found: Found) -> int:
    """Return how many of the `k` nearest tags within `max_m` were found; the nearest first, of equals the lower tag.

    Args:
        index: to ask.
        lat_e7: of the middle.
        lon_e7: of the middle.
        k: at most so many.
        since_ms: UTC, heard not before.
        max_m: at most so far.
        found: room for at least `k`.
    """
    reach_m = min(_FIRST_REACH_M, max_m)
    while True:
        n = _look(index, _box(lat_e7, lon_e7, reach_m), (lat_e7, lon_e7, reach_m), since_ms, found, k)
        if n >= k or reach_m >= max_m:
            return n
        reach_m = min(reach_m * 2.0, max_m)


@kernel
def inside(index: Index, vertices: NDArray[np.int32], since_ms: int, found: Found) -> int:
    """Return how many tags were last heard in a polygon and not before `since_ms`; the first fill `found`.

    Args:
        index: to ask.
        vertices: shape (v, 2), lat_e7 and lon_e7, in either sense, not closed; v at least 3.
        since_ms: UTC, heard not before.
        found: room for the answer.
    """
    low_lat, low_lon = wide(vertices[0, 0]), wide(vertices[0, 1])
    high_lat, high_lon = low_lat, low_lon
    for i in range(vertices.shape[0]):
        low_lat, high_lat = min(low_lat, vertices[i, 0]), max(high_lat, vertices[i, 0])
        low_lon, high_lon = min(low_lon, vertices[i, 1]), max(high_lon, vertices[i, 1])
    box, n, since = (low_lat, low_lon, high_lat, high_lon), 0, since_ms - index.at_ms[0]
    if _is_wide(index, box):
        return _scan_inside(index, 0, index.at_ms[1], vertices, since, found, n)
    for y in range(row_of(low_lat), row_of(high_lat) + 1):
        for x in range(column_of(low_lon), column_of(high_lon) + 1):
            slot = slot_of(bare(index.keys), index.keys.size - 1, (y << 32) | x)
            if slot >= 0 and index.keys[slot] != -1:
                n = _scan_inside(index, index.starts[slot], index.starts[slot + 1], vertices, since, found, n)
    return _scan_inside(index, index.starts[index.keys.size], index.at_ms[1], vertices, since, found, n)


@inlined
def _scan_inside(
    index: Index, first: int, stop: int, vertices: NDArray[np.int32], since: int, found: Found, n: int
) -> int:
    rows = bare(index.rows)
    for row in range(4 * wide(first), 4 * wide(stop), 4):
        if rows[row + 3] >= since and is_inside(
            vertices, 0, vertices.shape[0], wide(rows[row + 1]), wide(rows[row + 2])
        ):
            if n < found.tags.size:
                found.tags[n] = rows[row]
            n += 1
    return n


@inlined
def is_inside(vertices: NDArray[np.int32], first: int, count: int, lat_e7: int, lon_e7: int) -> bool:
    """Return whether a place is in a polygon, exactly: a ray to the west crosses an odd number of sides."""
    odd, j = False, first + count - 1
    for i in range(first, first + count):
        yi, xi, yj, xj = (
            wide(vertices[i, 0]),
            wide(vertices[i, 1]),
            wide(vertices[j, 0]),
            wide(vertices[j, 1]),
        )
        if (yi > lat_e7) != (yj > lat_e7):
            left, right = (lon_e7 - xi) * (yj - yi), (xj - xi) * (lat_e7 - yi)
            odd ^= left < right if yj > yi else left > right
        j = i
    return odd


@inlined
def _box(lat_e7: int, lon_e7: int, radius_m: float) -> tuple[int, int, int, int]:
    shrink = max(math.cos(lat_e7 * _RAD_PER_E7), 1e-6)
    high = wide(radius_m / M_PER_E7) + 1
    broad = wide(radius_m / (M_PER_E7 * shrink)) + 1
    return (lat_e7 - high, lon_e7 - broad, lat_e7 + high, lon_e7 + broad)


@inlined
def _is_wide(index: Index, box: tuple[int, int, int, int]) -> bool:
    """Return whether a box has more cells than there are, so that it is cheaper to read everyone."""
    rows, columns = row_of(box[2]) - row_of(box[0]) + 1, column_of(box[3]) - column_of(box[1]) + 1
    return rows * columns > index.keys.size


@kernel
def _look(
    index: Index, box: tuple[int, int, int, int], circle: tuple[int, int, float], since_ms: int, found: Found, k: int
) -> int:
    """Collect who is in a circle; for k > 0 the nearest k in order."""
    since, n = since_ms - index.at_ms[0], 0
    if _is_wide(index, box):
        return _scan(index, 0, index.at_ms[1], circle, since, found, n, k)
    keys, mask = bare(index.keys), index.keys.size - 1
    for y in range(row_of(box[0]), row_of(box[2]) + 1):
        for x in range(column_of(box[1]), column_of(box[3]) + 1):
            slot = slot_of(keys, mask, (y << 32) | x)
            if slot >= 0 and keys[slot] != -1:
                n = _scan(index, index.starts[slot], index.starts[slot + 1], circle, since, found, n, k)
    return _scan(index, index.starts[mask + 1], index.at_ms[1], circle, since, found, n, k)


@inlined
def _scan(
    index: Index, first: int, stop: int, circle: tuple[int, int, float], since: int, found: Found, n: int, k: int
) -> int:
    lat_e7, lon_e7, radius_m = circle
    rows, shrink = bare(index.rows), math.cos(lat_e7 * _RAD_PER_E7)
    for row in range(4 * wide(first), 4 * wide(stop), 4):
        north_m, east_m = (rows[row + 1] - lat_e7) * M_PER_E7, (rows[row + 2] - lon_e7) * (M_PER_E7 * shrink)
        away_m2 = north_m * north_m + east_m * east_m
        if rows[row + 3] >= since and away_m2 <= radius_m * radius_m:
            n = _keep(found, n, k, wide(rows[row]), away_m2)
    return n


@inlined
def _keep(found: Found, n: int, k: int, tag: int, away_m2: float) -> int:
    """Add one to the answer; with k > 0 in order of distance, at most k."""
    if k == 0:
        if n < found.tags.size:
            found.tags[n], found.away_m2[n] = tag, away_m2
        return n + 1
    at = min(k, n)
    while at > 0 and (
        away_m2 < found.away_m2[at - 1] or (away_m2 == found.away_m2[at - 1] and tag < found.tags[at - 1])
    ):
        if at < k:
            found.tags[at], found.away_m2[at] = found.tags[at - 1], found.away_m2[at - 1]
        at -= 1
    if at < k:
        found.tags[at], found.away_m2[at] = tag, away_m2
    return min(n + 1, k)
