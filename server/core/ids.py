"""Whose id is this: the ids of all tags, always the previous, current and next one, the one after made ahead of time.

The table of `kernels.eidtable` changes a few tags at a time, between two steps. What comes next for a tag is derived in
the background as soon as the one before has gone in, a whole rotation before it is needed.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from server.core.kernels import clocks as clock_kernels
from server.core.kernels.aes import Aes
from server.core.kernels.clocks import QUANTUM, WORDS, Clocks
from server.core.kernels.eidtable import GENERATIONS, STRIDE
from server.core.kernels.engine import Engine
from server.core.lost import LostTags
from server.core.rows import KIND_IBEACON, KIND_PLAIN_EID, KIND_UID
from server.core.slots import Slots
from server.core.tagclock import FIRST_CONTACT_MS
from server.core.tags import Tags

_MIN_EXPONENT: Final = 10
"""Tags that change their id faster than every 1024 s are looked up by slots of time."""
COVERED_MS: Final = (1_000 << _MIN_EXPONENT) - FIRST_CONTACT_MS
"""The table knows what every tag showed in the last so many milliseconds, though its clock be off as far as may be."""
_LOOK_EVERY_MS: Final = 1_000
_NEVER: Final = np.iinfo(np.int64).max
_CHUNK: Final = 4_096
"""Tags whose next ids are made in one piece of background work."""


class Owners(NamedTuple):
    """Whose ids n rows bear.

    Attributes:
        tags: int32 (n,), rows in `Tags`, -1: none of ours.
        quanta: int64 (n,), number of the id, -1 for none and for ids that never change.
    """

    tags: NDArray[np.int32]
    quanta: NDArray[np.int64]


class _Made(NamedTuple):
    tags: NDArray[np.int32]
    quanta: NDArray[np.int64]
    ids: NDArray[np.int64]


class Ids:
    """The ids of all tags of a city. Close it: it works in the background.

    Args:
        tags: all enrolled tags.
        clocks: of all of them; the quantum of the current id is kept there.
        table: whose table of ids to keep.
        aes: derives ids on the spot.
        background_aes: derives them ahead of time, in another thread.
    """

    def __init__(self, tags: Tags, clocks: Clocks, table: Engine, aes: Aes, background_aes: Aes) -> None:
        self._tags, self._clocks, self._table = tags, clocks, table
        self._aes, self._background_aes = aes, background_aes
        self._background = ThreadPoolExecutor(1, thread_name_prefix="ids")
        with_key = np.flatnonzero(tags.has_key).astype(np.int32)
        is_fast = tags.exponents[with_key] < _MIN_EXPONENT
        self._rows, fast = with_key[~is_fast], with_key[is_fast]
        self._due_ms = np.full(len(tags), _NEVER)
        self._following = table.table.ids[GENERATIONS::STRIDE]
        self._being_made: list[Future[_Made]] = []
        self._looked_ms = -1
        self._late = Slots(tags, with_key, clocks, self._aes)
        self._fast = Slots(tags, fast, clocks, self._aes) if len(fast) else None
        self._lost = LostTags(tags, clocks, background_aes, self._background)
        self._static = {kind: _sorted_static(tags, kind) for kind in (KIND_UID, KIND_IBEACON)}
        self.derived_late = 0

    def close(self) -> None:
        """Let the background go."""
        self._background.shutdown(wait=False, cancel_futures=True)

    def go_on(self, now_ms: int) -> None:
        """Move all tags on whose id has changed by now; the first call loads all of them."""
        self._take_made()
        is_first = self._looked_ms < 0
        if is_first:
            self._load(self._rows, now_ms)
        elif now_ms < self._looked_ms + _LOOK_EVERY_MS:
            return
        self._looked_ms = now_ms
        due = np.flatnonzero(self._due_ms <= now_ms).astype(np.int32)
        if len(due):
            self._move_on(due, now_ms)
        self._lost.go_on(now_ms)
        if is_first:
            self._lost.wait()

    def learned(self, tags: NDArray[np.int32], now_ms: int) -> None:
        """Take notice of clocks that were learnt, of rows `tags`: some tags may show other ids than was thought."""
        known = tags[self._due_ms[tags] != _NEVER]
        if len(known):
            self._move_on(known, now_ms)

    def found_again(self, tags: NDArray[np.int32], now_ms: int) -> None:
        """Take notice of tags that were lost and have another time now."""
        self.learned(np.unique(tags), now_ms)
        self._late.forget()
        if self._fast is not None:
            self._fast.forget()

    def find(self, kinds: NDArray[np.uint8], ids: NDArray[np.uint64], at_ms: NDArray[np.int64], now_ms: int) -> Owners:
        """Return whose ids these are; all columns of shape (n,), `kinds` as in `rows.Heard`, `at_ms` when heard."""
        tags, turns = self._table.resolve(ids.view(np.int64))
        quanta = (
            np.where(tags >= 0, self._clocks.words[QUANTUM::WORDS][tags] + turns, -1)
            if len(self._tags)
            else (np.full(len(ids), -1, np.int64))
        )
        is_static = kinds > KIND_PLAIN_EID
        if is_static.any():
            tags[is_static], quanta[is_static] = -1, -1
            for kind, (known, rows) in self._static.items():
                here = np.flatnonzero(kinds == kind)
                tags[here] = _look_up(known, rows, ids[here])
        missing = np.flatnonzero((tags < 0) & ~is_static)
        if self._fast is not None:
            missing = self._search(self._fast, missing, ids, at_ms, (tags, quanta))
        late = missing[at_ms[missing] < now_ms - COVERED_MS]
        self._search(self._late, late, ids, at_ms, (tags, quanta))
        return Owners(tags, quanta)

    def find_lost(self, ids: NDArray[np.uint64]) -> Owners:
        """Return which tag that lost its clock may bear an id."""
        if not self._lost:
            return Owners(np.full(len(ids), -1, np.int32), np.full(len(ids), -1, np.int64))
        return Owners(*self._lost.find(ids))

    def settle(self) -> None:
        """Wait for the background: what it was given is done, and taken over at the next `go_on`."""
        for made in self._being_made:
            made.result()
        self._lost.wait()

    @staticmethod
    def _search(
        slots: Slots,
        which: NDArray[np.intp],
        ids: NDArray[np.uint64],
        at_ms: NDArray[np.int64],
        found: tuple[NDArray[np.int32], NDArray[np.int64]],
    ) -> NDArray[np.intp]:
        """Look rows up in slots of time, write what was found, and return the rows that were not."""
        if len(which):
            found[0][which], found[1][which] = slots.find(ids[which], at_ms[which])
        return which[found[0][which] < 0]

    def _quanta_at(self, tags: NDArray[np.int32], now_ms: int) -> NDArray[np.int64]:
        quanta = np.empty(len(tags), np.int64)
        clock_kernels.quanta_at(self._clocks, tags, np.full(len(tags), now_ms), quanta)
        return quanta

    def _move_on(self, tags: NDArray[np.int32], now_ms: int) -> None:
        """Bring tags to the id that they show now."""
        quanta = self._quanta_at(tags, now_ms)
        steps = quanta - self._clocks.words[QUANTUM::WORDS][tags]
        one, other = tags[steps == 1], tags[(steps != 0) & (steps != 1)]
        if len(one):
            self._rotate(one, quanta[steps == 1])
        if len(other):
            self._load(other, now_ms)
        clock_kernels.due_at(self._clocks, tags, self._due_ms)

    def _rotate(self, tags: NDArray[np.int32], quanta: NDArray[np.int64]) -> None:
        following = self._following[tags]
        unready = np.flatnonzero(following == 0)
        if len(unready):
            self.derived_late += len(unready)
            following[unready] = self._derive(self._aes, tags[unready], quanta[unready] + 1)
        self._table.rotate(tags, following.view(np.uint64))
        self._clocks.words[QUANTUM::WORDS][tags] = quanta
        self._have_made(tags, quanta)

    def _load(self, tags: NDArray[np.int32], now_ms: int) -> None:
        """Give tags all three ids of now, whatever they had before."""
        quanta = self._quanta_at(tags, now_ms)
        around = quanta[:, None] + np.arange(-1, GENERATIONS - 1)
        ids = self._derive(self._aes, np.repeat(tags, GENERATIONS), np.maximum(0, around).ravel())
        ids[around.ravel() < 0] = 0
        self._table.load_eids(tags, ids.view(np.uint64).reshape(-1, GENERATIONS))
        self._clocks.words[QUANTUM::WORDS][tags] = quanta
        clock_kernels.due_at(self._clocks, tags, self._due_ms)
        self._have_made(tags, quanta)

    def _derive(self, aes: Aes, tags: NDArray[np.int32], quanta: NDArray[np.int64]) -> NDArray[np.int64]:
        return aes.derive(self._tags.keys[tags], self._tags.exponents[tags], quanta).view(np.int64)

    def _have_made(self, tags: NDArray[np.int32], quanta: NDArray[np.int64]) -> None:
        """Have the ids made that come after the next ones of `tags`."""
        self._following[tags] = 0
        for start in range(0, len(tags), _CHUNK):
            part = slice(start, start + _CHUNK)
            self._being_made.append(self._background.submit(self._make, tags[part], quanta[part]))

    def _make(self, tags: NDArray[np.int32], quanta: NDArray[np.int64]) -> _Made:
        return _Made(tags, quanta, self._derive(self._background_aes, tags, quanta + 2))

    def _take_made(self) -> None:
        """Take over what the background has made; an error of it is raised here."""
        while self._being_made and self._being_made[0].done():
            tags, quanta, ids = self._being_made.pop(0).result()
            is_wanted = self._clocks.words[QUANTUM::WORDS][tags] == quanta
            self._following[tags[is_wanted]] = ids[is_wanted]


def _sorted_static(tags: Tags, kind: int) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
    rows = np.flatnonzero((tags.static_kinds == kind) & ~tags.has_key).astype(np.int32)
    order = np.argsort(tags.static_ids[rows], kind="stable")
    return tags.static_ids[rows][order], rows[order]


def _look_up(known: NDArray[np.uint64], rows: NDArray[np.int32], ids: NDArray[np.uint64]) -> NDArray[np.int32]:
    if not len(known):
        return np.full(len(ids), -1, np.int32)
    at = np.minimum(np.searchsorted(known, ids), len(known) - 1)
    return np.where(known[at] == ids, rows[at], -1).astype(np.int32)
