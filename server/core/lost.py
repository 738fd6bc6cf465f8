"""Tags that lost their clock, found again in the background: all ids that they can show, looked up like any other.

Only tags that the operator marked are looked for, and only frames in which the tag itself says that its time was lost
are believed: whoever plays an old frame back would otherwise set a tag's clock to the time of the recording.
"""

from concurrent.futures import Executor, Future
from typing import Final

import numpy as np
from numpy.typing import NDArray

from server.core import slots
from server.core.kernels import clocks as clock_kernels
from server.core.kernels.aes import Aes
from server.core.kernels.clocks import ABOUT, LEARNED, LOST, WORDS, Clocks
from server.core.slots import NO_ENTRIES, SLOT_MS, Entries
from server.core.tags import Tags

_DAY_MS: Final = 86_400_000
_MAX_QUANTA: Final = 4096


class LostTags:
    """The ids that lost tags can show now, made anew as time goes on.

    Args:
        tags: all enrolled tags.
        clocks: of all of them.
        aes: derives; used in the background alone.
        background: where the table is made.
    """

    def __init__(self, tags: Tags, clocks: Clocks, aes: Aes, background: Executor) -> None:
        self._tags, self._clocks, self._aes, self._background = tags, clocks, aes, background
        self._entries = NO_ENTRIES
        self._made_for: tuple[int, int] | None = None
        self._making: Future[Entries] | None = None

    def go_on(self, now_ms: int) -> None:
        """Take over what was made meanwhile, and have it made anew when a slot of time or a tag's mark has passed."""
        if self._making is not None and self._making.done():
            self._entries, self._making = self._making.result(), None
        rows = self._marked()
        wanted = (now_ms // SLOT_MS, len(rows))
        if self._making is not None or wanted == self._made_for:
            return
        self._made_for = wanted
        if len(rows):
            self._making = self._background.submit(self._make, rows, *self._range(rows, now_ms))
        else:
            self._entries = NO_ENTRIES

    def find(self, ids: NDArray[np.uint64]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return tag rows and quanta of `ids`, shape (n,), -1 where there is none; a tag found meanwhile is none."""
        tags, quanta = self._entries.find(ids)
        is_lost = self._clocks.words.reshape(-1, WORDS)[tags, ABOUT] & LOST != 0
        return np.where(is_lost, tags, -1).astype(np.int32), quanta

    def wait(self) -> None:
        """Wait until what is being made has been made, and take it over."""
        if self._making is not None:
            self._entries, self._making = self._making.result(), None

    def __bool__(self) -> bool:
        return len(self._entries.ids) > 0

    def _marked(self) -> NDArray[np.int32]:
        marked = (self._clocks.words.reshape(-1, WORDS)[:, ABOUT] & LOST != 0) & self._tags.has_key
        return np.flatnonzero(marked).astype(np.int32)

    def _range(self, rows: NDArray[np.int32], now_ms: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the first and last quantum: a tag restarts at most a day, and the time it was off, behind."""
        last = np.empty(len(rows), np.int64)
        clock_kernels.quanta_at(self._clocks, rows, np.full(len(rows), now_ms + SLOT_MS), last)
        learned_ms = self._clocks.words.reshape(-1, WORDS)[rows, LEARNED]
        off_ms = np.where(learned_ms == 0, 0, np.maximum(0, now_ms - learned_ms))
        length_ms = np.int64(1000) << self._tags.exponents[rows].astype(np.int64)
        span = np.minimum(_MAX_QUANTA, (_DAY_MS + off_ms) // length_ms + 3)
        return np.maximum(0, last + 1 - span), last + 1

    def _make(self, rows: NDArray[np.int32], first: NDArray[np.int64], last: NDArray[np.int64]) -> Entries:
        return slots.derive(self._tags, self._aes, rows, first, last)
