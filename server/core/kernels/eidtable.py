"""Whose id is this: a table of the previous, current and next ephemeral id of every tag.

A line holds 8 entries. An id is the output of AES, so it is its own hash: its low 28 bits choose the line, its high 36
are kept as a fingerprint beside the tag in one word. A stranger's id passes for a tag's in one of 10^10 cases; who
needs to be sure compares all 64 bits by `turn_of`, from a table that is otherwise cold, as `resolve` does.

Filled slots of a line come first, so a last slot that is empty ends a search. Who leaves a full line is replaced by
one who had to go past it, so there are no tombstones and years of rotations leave the table as good as new. After
Knuth, TAOCP 3, 6.4, algorithm R.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from server.core.kernels.jit import inlined, kernel
from server.core.kernels.layout import aligned
from server.core.kernels.line import bare, lowest, match, prefetch, wide

GENERATIONS: Final = 3
"""Previous, current, next."""
STRIDE: Final = 4
"""Words of a tag in `EidTable.ids`: its three ids and the one after, so that no tag's lie on two cache lines."""
MAX_TAGS: Final = (1 << 28) - 2
_LOAD: Final = 0.55
_MAX_HOPS: Final = 64
_TAG_BITS: Final = 28
_TAG: Final = (1 << _TAG_BITS) - 1
_PRINT: Final = ~_TAG
_AHEAD: Final = 16
_BLOCK: Final = 128


class EidTable(NamedTuple):
    """The table and what it was made from.

    Attributes:
        lines: int64, flat, 8 words a line: fingerprint in the high 36 bits, tag + 1 below; 0 is empty.
        ids: int64, flat, 4 words a tag: all 64 bits of its ids, previous, current and next, 0 is none; then the one
            that will be next, if it has been made, for the caller: it is in no line.
        size: number of lines.
    """

    lines: NDArray[np.int64]
    ids: NDArray[np.int64]
    size: int


def create(tags: int) -> EidTable:
    """Return an empty table for `tags` tags with three ids each: 76 bytes a tag.

    Raises:
        ValueError: more tags than fit a word beside the fingerprint.
    """
    if not 0 <= tags <= MAX_TAGS:
        raise ValueError(f"{tags} tags do not fit {_TAG_BITS} bits")
    lines = int(GENERATIONS * tags / (8 * _LOAD)) + 8
    return EidTable(aligned(lines * 8, np.int64), aligned(tags * STRIDE, np.int64), lines)


@inlined
def bare_table(table: EidTable) -> EidTable:
    """Return the table for use within a kernel, see `line.bare`."""
    return EidTable(bare(table.lines), bare(table.ids), table.size)


@inlined
def line_of(eid: int, lines: int) -> int:
    """Return the first word of the line that an id begins its search in; `lines` is their number."""
    return (((eid & _TAG) * lines) >> _TAG_BITS) << 3


@inlined
def find(table: EidTable, eid: int) -> int:
    """Return the tag whose fingerprint the id bears, -1 if none; the table is bare."""
    first = line_of(eid, table.size)
    bits = match(table.lines, first, _PRINT, eid & _PRINT)
    while bits == 0:
        if table.lines[first + 7] == 0:
            return -1
        first = first + 8 if first + 8 < table.size << 3 else 0  # the line is full: go on behind it
        bits = match(table.lines, first, _PRINT, eid & _PRINT)
    tag: int = (table.lines[first + lowest(bits)] & _TAG) - 1
    return tag


@inlined
def turn_of(ids: NDArray[np.int64], tag: int, eid: int) -> int:
    """Return which of the tag's ids `eid` is: -1 previous, 0 current, 1 next; 2: none, compared with all 64 bits."""
    at = tag * STRIDE
    previous, current, following = ids[at] == eid, ids[at + 1] == eid, ids[at + 2] == eid
    return following - previous if previous | current | following else 2


@kernel
def insert(table: EidTable, eids: NDArray[np.int64], tags: NDArray[np.int32]) -> int:
    """Put ids of tags into the lines and return how many found no place there.

    An id whose line and fingerprint are those of another one is left out and counted: better a tag unheard for one
    rotation, once in 10^10, than one taken for another. An id that is there already is left alone. 0 is no id.
    """
    here, failed = bare_table(table), 0
    for i in range(eids.size):
        if i + _AHEAD < eids.size:
            prefetch(here.lines, line_of(eids[i + _AHEAD], here.size))
        if eids[i] != 0:
            failed += _put(here, eids[i], wide(tags[i]))
    return failed


@inlined
def _put(table: EidTable, eid: int, tag: int) -> int:
    """Put one id; return 0 if it is there now, 1 if not."""
    lines, word, first = table.lines, (eid & _PRINT) | (tag + 1), line_of(eid, table.size)
    for _ in range(_MAX_HOPS):
        for at in range(first, first + 8):
            if lines[at] == 0:
                lines[at] = word
                return 0
            if lines[at] & _PRINT == eid & _PRINT:
                return 0 if lines[at] == word else 1
        first = _after(first, table.size)
    return 1


@inlined
def _after(first: int, size: int) -> int:
    return first + 8 if first + 8 < size << 3 else 0


@kernel
def remove(table: EidTable, eids: NDArray[np.int64], tags: NDArray[np.int32]) -> int:
    """Take ids of tags out of the lines and return how many were there. `table.ids` must still know them."""
    here, gone = bare_table(table), 0
    for i in range(eids.size):
        if i + _AHEAD < eids.size:
            prefetch(here.lines, line_of(eids[i + _AHEAD], here.size))
        if eids[i] != 0:
            gone += _take(here, eids[i], wide(tags[i]))
    return gone


@kernel
def _take(table: EidTable, eid: int, tag: int) -> int:
    """Take one entry out of a bare table; return whether it was there."""
    lines, word, first = table.lines, (eid & _PRINT) | (tag + 1), line_of(eid, table.size)
    for _ in range(_MAX_HOPS):
        for at in range(first, first + 8):
            if lines[at] == word:
                _close_gap(table, first, at)
                return 1
            if lines[at] == 0:
                return 0
        first = _after(first, table.size)
    return 0


@inlined
def _close_gap(table: EidTable, first: int, at: int) -> None:
    """Fill the gap `at` in the line `first` with one who had to go past it, else with the last of the line."""
    lines = table.lines
    later, hops = first, 0
    while hops < _MAX_HOPS and lines[later + 7] != 0:
        later = _after(later, table.size)
        hops += 1
        for other in range(later, later + 8):
            if lines[other] != 0 and _went_past(table, lines[other], first, hops):
                lines[at] = lines[other]
                first, at, hops = later, other, 0
                break
    last = first + 7
    while lines[last] == 0:
        last -= 1
    lines[at] = lines[last]
    lines[last] = 0


@inlined
def _went_past(table: EidTable, word: int, first: int, hops: int) -> bool:
    """Return whether an entry found `hops` lines behind `first` began its search at `first` or before."""
    at = ((word & _TAG) - 1) * STRIDE
    for j in range(at, at + GENERATIONS):
        if table.ids[j] & _PRINT == word & _PRINT:
            begun = line_of(table.ids[j], table.size)
            behind = (begun - first) >> 3 if begun >= first else ((begun - first) >> 3) + table.size
            return behind == 0 or behind > hops
    return False


@kernel
def load(table: EidTable, tags: NDArray[np.int32], ids: NDArray[np.int64]) -> int:
    """Give tags their three ids, whatever they had before; return how many ids found no place.

    Args:
        table: changed.
        tags: shape (n,).
        ids: shape (n, 3), previous, current, next; 0 where there is none.
    """
    here, failed = bare_table(table), 0
    for i in range(tags.size):
        tag = wide(tags[i])
        for j in range(GENERATIONS):
            if here.ids[tag * STRIDE + j] != 0:
                _take(here, here.ids[tag * STRIDE + j], tag)
        for j in range(GENERATIONS):
            here.ids[tag * STRIDE + j] = ids[i, j]
            if ids[i, j] != 0:
                failed += _put(here, ids[i, j], tag)
    return failed


@kernel
def rotate(table: EidTable, tags: NDArray[np.int32], next_ids: NDArray[np.int64]) -> int:
    """Move tags on by one rotation: their previous id leaves, `next_ids` enter; return how many found no place.

    In place, between two steps: 1 M tags that each rotate every 1024 s are a thousand a second.
    """
    here, failed = bare_table(table), 0
    for i in range(tags.size):
        if i + _AHEAD < tags.size:
            prefetch(here.ids, wide(tags[i + _AHEAD]) * STRIDE)
            prefetch(here.lines, line_of(next_ids[i + _AHEAD], here.size))
        tag = wide(tags[i])
        at = tag * STRIDE
        if here.ids[at] != 0:
            _take(here, here.ids[at], tag)
        here.ids[at], here.ids[at + 1], here.ids[at + 2] = here.ids[at + 1], here.ids[at + 2], next_ids[i]
        if next_ids[i] != 0:
            failed += _put(here, next_ids[i], tag)
    return failed


@kernel
def rebuild(table: EidTable, ids: NDArray[np.int64]) -> int:
    """Fill an empty table from `ids`, flat, 4 words a tag as in `EidTable`; return how many found no place.

    Releases the GIL: a thread builds the next table while the steps go on with the old one, then swaps them.
    """
    here, failed = bare_table(table), 0
    table.ids[:] = ids
    for i in range(ids.size):
        if i + _AHEAD < ids.size:
            prefetch(here.lines, line_of(ids[i + _AHEAD], here.size))
        if ids[i] != 0 and i % STRIDE < GENERATIONS:
            failed += _put(here, ids[i], i // STRIDE)
    return failed


@kernel
def resolve(table: EidTable, eids: NDArray[np.int64], tags: NDArray[np.int32], turns: NDArray[np.int32]) -> int:
    """Find whose ids these are; return how many have a tag.

    Works block by block in two stages, each asking memory for what the next one reads: a fingerprint that fits says
    where the tag's ids are, and all 64 bits of them decide.

    Args:
        table: to ask.
        eids: shape (n,).
        tags: shape (n,), written: -1 where no tag owns all 64 bits.
        turns: shape (n,), written: -1 the tag's previous id, 0 its current, 1 its next; 0 for no tag.
    """
    here, found, n = bare_table(table), 0, eids.size
    for i in range(min(_BLOCK, n)):
        prefetch(here.lines, line_of(eids[i], here.size))
    for start in range(0, n, _BLOCK):
        stop = min(start + _BLOCK, n)
        for i in range(stop, min(stop + _BLOCK, n)):
            prefetch(here.lines, line_of(eids[i], here.size))
        for i in range(start, stop):
            tag = find(here, eids[i])
            if tag >= 0:
                prefetch(here.ids, tag * STRIDE)
            tags[i] = tag
        for i in range(start, stop):
            turns[i] = 0
            if tags[i] >= 0:
                turn = turn_of(here.ids, wide(tags[i]), eids[i])
                tags[i], turns[i] = (tags[i], turn) if turn < 2 else (-1, 0)
                found += turn < 2
    return found
