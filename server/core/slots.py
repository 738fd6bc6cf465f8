"""Which tag had which id when: tables of the ids of many tags, one for each slot of time, made when first asked for.

For what is not of now: late uploads ask for old slots, and tags that change their id faster than the table of current
ids covers. A slot's table holds for every tag the ids of the quanta that its clock can show in the slot and one more on
either side, so that a tag's drift of up to a quantum is covered. The newest slots stay in memory.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from server.core.kernels import clocks as clock_kernels
from server.core.kernels.aes import Aes
from server.core.kernels.clocks import Clocks
from server.core.tags import Tags

SLOT_MS: Final = 1_024_000
_MAX_ENTRIES: Final = 4_000_000  # of all slots together, 20 bytes each


@dataclass(frozen=True, slots=True)
class Entries:
    """Ids with their owners, sorted by id. Columns of m entries.

    Attributes:
        ids: uint64.
        tags: int32, rows in `Tags`.
        quanta: int64, numbers of the ids.
    """

    ids: NDArray[np.uint64]
    tags: NDArray[np.int32]
    quanta: NDArray[np.int64]

    def find(self, ids: NDArray[np.uint64]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return tag rows and quanta of `ids`, -1 where there is none. All 64 bits are compared."""
        if not len(self.ids):
            return np.full(len(ids), -1, np.int32), np.full(len(ids), -1, np.int64)
        at = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        is_hit = self.ids[at] == ids
        return np.where(is_hit, self.tags[at], -1).astype(np.int32), np.where(is_hit, self.quanta[at], -1)


NO_ENTRIES: Final = Entries(np.empty(0, np.uint64), np.empty(0, np.int32), np.empty(0, np.int64))


def derive(tags: Tags, aes: Aes, rows: NDArray[np.int32], first: NDArray[np.int64], last: NDArray[np.int64]) -> Entries:
    """Return the ids of tags for their quanta from `first` to `last`, both included.

    Args:
        tags: all enrolled tags.
        aes: derives.
        rows: shape (n,), rows in `tags` that have a key.
        first: shape (n,).
        last: shape (n,); below `first`: none.
    """
    counts = np.maximum(0, last - first + 1)
    owners = np.repeat(rows, counts)
    begins = np.cumsum(counts) - counts
    quanta = np.arange(counts.sum()) - np.repeat(begins - first, counts)
    ids = aes.derive(tags.keys[owners], tags.exponents[owners], quanta)
    order = np.argsort(ids, kind="stable")
    return Entries(ids[order], owners[order], quanta[order])


class Slots:
    """The ids of some tags at any time asked for. Only a cache: same tags and clocks, same answers.

    Args:
        tags: all enrolled tags.
        rows: int32, those of them that are to be found; with a key.
        clocks: of all of `tags`, as learnt so far.
        aes: derives.
        max_entries: of all cached slots together; the slot unused for longest goes first.
    """

    def __init__(
        self, tags: Tags, rows: NDArray[np.int32], clocks: Clocks, aes: Aes, *, max_entries: int = _MAX_ENTRIES
    ) -> None:
        self._tags, self._rows, self._clocks, self._aes = tags, rows, clocks, aes
        self._max_entries = max_entries
        self._slots: OrderedDict[int, Entries] = OrderedDict()

    def find(self, ids: NDArray[np.uint64], at_ms: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return tag rows and quanta of `ids` heard at `at_ms`, both shape (n,), -1 where there is none."""
        tags, quanta = np.full(len(ids), -1, np.int32), np.full(len(ids), -1, np.int64)
        slots = at_ms // SLOT_MS
        for number in np.unique(slots):
            here = slots == number
            tags[here], quanta[here] = self._slot(int(number)).find(ids[here])
        return tags, quanta

    def forget(self) -> None:
        """Drop all slots: a tag's clock has jumped."""
        self._slots.clear()

    def _slot(self, number: int) -> Entries:
        slot = self._slots.get(number)
        if slot is None:
            first = np.maximum(0, self._quanta(number * SLOT_MS) - 1)
            last = self._quanta((number + 1) * SLOT_MS - 1) + 1
            slot = self._slots[number] = derive(self._tags, self._aes, self._rows, first, last)
            while len(self._slots) > 1 and sum(len(s.ids) for s in self._slots.values()) > self._max_entries:
                self._slots.popitem(last=False)
        self._slots.move_to_end(number)
        return slot

    def _quanta(self, at_ms: int) -> NDArray[np.int64]:
        quanta = np.empty(len(self._rows), np.int64)
        clock_kernels.quanta_at(self._clocks, self._rows, np.full(len(self._rows), at_ms), quanta)
        return quanta
