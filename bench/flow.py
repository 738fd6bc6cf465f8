"""What a load generator may send next: each detector in its order, few at a time, in all as the server answers.

Without clock or I/O. The window of a detector is that of `wire/window.py`, told for thousands of detectors at once.
"""

import heapq
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

WINDOW: Final = 4
"""Batches that a detector has on their way, see `wire.window.SendWindow`."""
_LEAST: Final = 50
_MOST: Final = 4_000
"""14 kB each: what ingest lets wait is 64 MB."""
_TARGET_S: Final = 1.0


@dataclass(slots=True)
class Flow:
    """Batches `first` to `stop` of many detectors.

    Args:
        detectors: shape (n,), of all batches.
        first: number of the first batch to send.
        stop: one above the last.
        window: most of one detector that are on their way.
    """

    detectors: NDArray[np.int64]
    first: int
    stop: int
    window: int = WINDOW
    outstanding: set[int] = field(default_factory=set)
    _sent: list[int] = field(default_factory=list)
    _ready: list[int] = field(default_factory=list)
    _waiting: dict[int, int] = field(default_factory=dict)
    _on_way: dict[int, int] = field(default_factory=dict)
    _following: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        newest: dict[int, int] = {}
        for batch, detector in enumerate(self.detectors[self.first : self.stop].tolist(), self.first):
            if detector in newest:
                self._following[newest[detector]] = batch
            else:
                self._ready.append(batch)
            newest[detector] = batch

    @property
    def next(self) -> int | None:
        """The earliest batch that may be sent; None: all are sent, or wait for a receipt."""
        return self._ready[0] if self._ready else None

    @property
    def span(self) -> int:
        """How far `next` is ahead of the oldest batch on its way; 0: nothing is."""
        while self._sent and self._sent[0] not in self.outstanding:
            heapq.heappop(self._sent)
        return self._ready[0] - self._sent[0] if self._ready and self._sent else 0

    @property
    def is_done(self) -> bool:
        """Whether all are sent and settled."""
        return not self._ready and not self.outstanding

    def send(self) -> int:
        """Take `next`.

        Raises:
            IndexError: there is none.
        """
        batch = heapq.heappop(self._ready)
        detector = int(self.detectors[batch])
        self.outstanding.add(batch)
        heapq.heappush(self._sent, batch)
        self._on_way[detector] = self._on_way.get(detector, 0) + 1
        following = self._following.get(batch)
        if following is not None and self._on_way[detector] < self.window:
            heapq.heappush(self._ready, following)
        elif following is not None:
            self._waiting[detector] = following
        return batch

    def settle(self, batch: int) -> bool:
        """Take note of a receipt; return whether it is the first of this batch."""
        if batch not in self.outstanding:
            return False
        self.outstanding.discard(batch)
        detector = int(self.detectors[batch])
        self._on_way[detector] -= 1
        waiting = self._waiting.pop(detector, None)
        if waiting is not None:
            heapq.heappush(self._ready, waiting)
        return True

    def give_up(self) -> None:
        """Send nothing more; what is on its way may still be settled."""
        self._ready.clear()
        self._waiting.clear()
        self._following.clear()


@dataclass(slots=True)
class Throttle:
    """How far a batch may be ahead of the oldest on its way: as many as the server answers within about a second.

    Less would leave it idle at times, more would only wait in its queue. And a detector that hears little may not run
    ahead of the others: what it sends would be of a time that has not come.

    Attributes:
        limit: now.
        target_s: the answer that is wanted.
    """

    limit: float = _LEAST
    target_s: float = _TARGET_S

    def answered(self, after_s: float) -> None:
        """Learn from a receipt."""
        if after_s < self.target_s:
            self.limit = min(_MOST, self.limit + 1.0)
        elif after_s > 1.5 * self.target_s:
            self.limit = max(_LEAST, self.limit - 0.25)
