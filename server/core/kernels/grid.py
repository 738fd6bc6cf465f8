"""Which of all fences a place is in, one to a million of them: a grid of cells, then the fence itself."""

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from server.core.kernels.fences import WORDS, Fences, is_in
from server.core.kernels.jit import inlined, kernel
from server.core.kernels.layout import aligned
from server.core.kernels.line import bare, prefetch, wide
from server.core.kernels.places import cell_of, column_of, home_of, row_of, slot_of

_MAX_CELLS: Final = 1024
_BLOCK: Final = 64


class Grid(NamedTuple):
    """Fences by cell.

    Attributes:
        keys: int64 (m,), of the cells; -1 is unused. m is a power of two.
        starts: int32 (m + 1,), where the fences of a cell begin.
        fences: int32, rows of the fences by cell, rising within one.
        large: int32, rows of fences that are larger than 1,024 cells and looked at for every place.
    """

    keys: NDArray[np.int64]
    starts: NDArray[np.int32]
    fences: NDArray[np.int32]
    large: NDArray[np.int32]


def create(fences: Fences) -> Grid:
    """Return the grid of `fences`."""
    cells = _cells_of(fences)
    large, narrow = (np.flatnonzero(which).astype(np.int32) for which in (cells > _MAX_CELLS, cells <= _MAX_CELLS))
    total = int(cells[narrow].sum())
    size = 1 << max(4, math.ceil(math.log2(max(1, total) * 1.5)))
    keys, starts = aligned(size, np.int64, -1), aligned(size + 1, np.int32)
    _count(fences, narrow, keys, starts)
    starts[:] = np.cumsum(starts)
    rows = aligned(int(starts[-1]), np.int32)
    _place(fences, narrow, keys, starts.copy(), rows)
    return Grid(keys, starts, rows, large)


@kernel
def match(
    fences: Fences, grid: Grid, lat_e7: NDArray[np.int32], lon_e7: NDArray[np.int32], out: NDArray[np.int32]
) -> int:
    """Return how many pairs of place and fence there are, the place being inside; the first fill `out`.

    Works block by block in stages, each asking memory for what the next one reads; one place at a time would wait for
    three misses in a row, and for one more each fence.

    Args:
        fences: all.
        grid: of them.
        lat_e7: shape (n,).
        lon_e7: shape (n,).
        out: shape (m, 2), number of the place and row of the fence.
    """
    keys, mask, words, pairs = bare(grid.keys), grid.keys.size - 1, bare(fences.words), 0
    starts, rows, slots = bare(grid.starts), bare(grid.fences), np.empty(_BLOCK, np.int64)
    for begin in range(0, lat_e7.size, _BLOCK):
        end = min(begin + _BLOCK, lat_e7.size)
        for i in range(begin, end):
            prefetch(keys, home_of(mask, cell_of(wide(lat_e7[i]), wide(lon_e7[i]))))
        for i in range(begin, end):
            slot = slot_of(keys, mask, cell_of(wide(lat_e7[i]), wide(lon_e7[i])))
            slots[i - begin] = slot if slot >= 0 and keys[slot] != -1 else -1
            prefetch(starts, max(slot, 0))
        _approach(slots, end - begin, starts, rows, words)
        for i in range(begin, end):
            slot, place = slots[i - begin], (i, wide(lat_e7[i]), wide(lon_e7[i]))
            if slot >= 0:
                pairs = _try(words, fences, grid.fences, starts[slot], starts[slot + 1], place, out, pairs)
            if grid.large.size:
                pairs = _try(words, fences, grid.large, 0, grid.large.size, place, out, pairs)
    return pairs


@inlined
def _approach(
    slots: NDArray[np.int64], count: int, starts: NDArray[np.int32], rows: NDArray[np.int32], words: NDArray[np.int32]
) -> None:
    """Ask memory for all fences of the cells of a block, first for their lists, then for themselves."""
    for i in range(count):
        if slots[i] >= 0:
            prefetch(rows, wide(starts[slots[i]]))
    for i in range(count):
        if slots[i] >= 0:
            for j in range(starts[slots[i]], starts[slots[i] + 1]):
                prefetch(words, WORDS * wide(rows[j]))


@inlined
def _try(
    words: NDArray[np.int32],
    fences: Fences,
    rows: NDArray[np.int32],
    first: int,
    stop: int,
    place: tuple[int, int, int],
    out: NDArray[np.int32],
    pairs: int,
) -> int:
    """Add those of `rows[first:stop]` that a place is in; return how many pairs there are then."""
    i, lat, lon = place
    for j in range(first, stop):
        if is_in(words, fences.vertices, WORDS * wide(rows[j]), lat, lon):
            if pairs < out.shape[0]:
                out[pairs, 0], out[pairs, 1] = i, rows[j]
            pairs += 1
    return pairs


def _cells_of(fences: Fences) -> NDArray[np.int64]:
    """Return how many cells the box of each fence touches, from above."""
    box = fences.words.reshape(-1, WORDS)[:, 1:5].astype(np.int64)
    rows = (box[:, 2] - box[:, 0]) * 480 // 10_000_000 + 2
    columns = (box[:, 3] - box[:, 1]) * 320 // 10_000_000 + 2
    return np.asarray(rows * columns)


@inlined
def _box(words: NDArray[np.int32], fence: int) -> tuple[int, int, int, int]:
    """Return the first and last row and column of cells that a fence touches."""
    at = WORDS * fence
    low_row, high_row = row_of(wide(words[at + 1])), row_of(wide(words[at + 3]))
    low_column, high_column = column_of(wide(words[at + 2])), column_of(wide(words[at + 4]))
    return low_row, high_row, low_column, high_column


@kernel
def _count(fences: Fences, narrow: NDArray[np.int32], keys: NDArray[np.int64], starts: NDArray[np.int32]) -> None:
    """Count the fences of each cell, into the element behind it."""
    words, bare_keys, mask = bare(fences.words), bare(keys), keys.size - 1
    for i in range(narrow.size):
        low_row, high_row, low_column, high_column = _box(words, wide(narrow[i]))
        for y in range(low_row, high_row + 1):
            for x in range(low_column, high_column + 1):
                slot = slot_of(bare_keys, mask, (y << 32) | x)
                keys[slot] = (y << 32) | x
                starts[slot + 1] += 1


@kernel
def _place(
    fences: Fences,
    narrow: NDArray[np.int32],
    keys: NDArray[np.int64],
    starts: NDArray[np.int32],
    rows: NDArray[np.int32],
) -> None:
    """Write the fences of each cell behind each other."""
    words, bare_keys, mask = bare(fences.words), bare(keys), keys.size - 1
    for i in range(narrow.size):
        low_row, high_row, low_column, high_column = _box(words, wide(narrow[i]))
        for y in range(low_row, high_row + 1):
            for x in range(low_column, high_column + 1):
                slot = slot_of(bare_keys, mask, (y << 32) | x)
                rows[starts[slot]] = narrow[i]
                starts[slot] += 1
