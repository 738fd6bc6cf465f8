"""Which tag has which id when: tables of the ids of all tags, one for each slot of time, made when first asked for.

A slot's table holds for every tag the ids of the quanta that its clock can show in the slot and one more on either
side, so that a tag's drift of up to a quantum is covered. Late uploads ask for old slots; the newest stay in memory.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server.core.tagclock import TagClock
from server.core.tags import Tags
from wire.eid import derive_many

SLOT_MS = 1_024_000
_BLOCK = 64  # quanta derived at a time: one AES key set-up at K = 10
_MAX_ENTRIES = 4_000_000  # of all slots together, 20 bytes each


@dataclass(frozen=True, slots=True)
class Slot:
    """Ids of one slot of time, sorted. Columns of m entries."""

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


class EidTable:
    """The ids of all tags at any time asked for. Only a cache: same tags and clocks, same answers.

    Args:
        tags: all enrolled tags.
        max_entries: of all cached slots together; the slot unused for longest goes first.
    """

    def __init__(self, tags: Tags, max_entries: int = _MAX_ENTRIES) -> None:
        self._tags = tags
        self._max_entries = max_entries
        self._slots: OrderedDict[int, Slot] = OrderedDict()
        self._blocks: OrderedDict[tuple[int, int], NDArray[np.uint64]] = OrderedDict()

    def find(
        self, ids: NDArray[np.uint64], at_ms: NDArray[np.int64], clocks: Sequence[TagClock]
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return tag rows and quanta of `ids` heard at `at_ms`, both shape (n,), -1 where there is none."""
        tags, quanta = np.full(len(ids), -1, np.int32), np.full(len(ids), -1, np.int64)
        slots = at_ms // SLOT_MS
        for number in np.unique(slots):
            here = slots == number
            tags[here], quanta[here] = self._slot(int(number), clocks).find(ids[here])
        return tags, quanta

    def forget(self) -> None:
        """Drop all slots: a tag's clock has jumped. The derived ids stay, for they depend on keys alone."""
        self._slots.clear()

    def ids_of(self, tag: int, first: int, last: int) -> NDArray[np.uint64]:
        """Return the ids of a tag for the quanta `first` to `last`, both included; none for a tag without a key."""
        blocks = [self._block(tag, number) for number in range(first // _BLOCK, last // _BLOCK + 1)]
        if not blocks:
            return np.empty(0, np.uint64)
        start = first // _BLOCK * _BLOCK
        return np.concatenate(blocks)[first - start : last - start + 1]

    def _slot(self, number: int, clocks: Sequence[TagClock]) -> Slot:
        slot = self._slots.get(number)
        if slot is None:
            slot = self._slots[number] = self._build(number, clocks)
            while len(self._slots) > 1 and sum(len(s.ids) for s in self._slots.values()) > self._max_entries:
                self._slots.popitem(last=False)
        self._slots.move_to_end(number)
        return slot

    def _build(self, number: int, clocks: Sequence[TagClock]) -> Slot:
        ids, tags, quanta = [np.empty(0, np.uint64)], [np.empty(0, np.int32)], [np.empty(0, np.int64)]
        for row, (tag, clock) in enumerate(zip(self._tags.all, clocks, strict=True)):
            if tag.identity_key is None:
                continue
            length_ms = 1000 << tag.rotation_exponent
            first = max(0, clock.beacon_ms(number * SLOT_MS) // length_ms - 1)
            last = clock.beacon_ms((number + 1) * SLOT_MS - 1) // length_ms + 1
            if last < first:
                continue
            ids.append(self.ids_of(row, first, last))
            tags.append(np.full(last - first + 1, row, np.int32))
            quanta.append(np.arange(first, last + 1))
        order = np.argsort(all_ids := np.concatenate(ids), kind="stable")
        return Slot(all_ids[order], np.concatenate(tags)[order], np.concatenate(quanta)[order])

    def _block(self, tag: int, number: int) -> NDArray[np.uint64]:
        key = (tag, number)
        block = self._blocks.get(key)
        if block is None:
            about = self._tags[tag]
            identity_key = about.identity_key
            if identity_key is None:
                raise ValueError("a tag without a key has no ids to derive")
            block = self._blocks[key] = derive_many(identity_key, about.rotation_exponent, number * _BLOCK, _BLOCK)
            if len(self._blocks) > 1 and len(self._blocks) * _BLOCK > 2 * self._max_entries:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(key)
        return block
