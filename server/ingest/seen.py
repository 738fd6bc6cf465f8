"""Batches that come again: known from memory where possible, asked of the database where not.

The memory holds the newest sequences of each detector (`server.core.kernels.batches`). It is filled from the database
when a detector's epoch is first heard of, so that after a restart nothing is taken twice.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from server.core.kernels import batches
from server.core.kernels.batches import Delivery
from server.ingest.open import Opened
from server.store import batch
from server.store.batch import Key
from server.store.connection import Connection

_WINDOW: Final = 64


class Seen:
    """What has been delivered before. Goes with its engine: what it was told was taken must have been committed.

    Args:
        windows: memory of `kernels.batches`.
    """

    def __init__(self, windows: NDArray[np.int64]) -> None:
        self._windows = windows
        self._filled: set[tuple[str, int]] = set()

    async def fresh(
        self, conn: Connection, opened: Sequence[Opened], before_asking: Callable[[], Awaitable[None]]
    ) -> list[Opened]:
        """Return those of `opened` that were never committed, each once, and remember them.

        Args:
            conn: to ask over.
            opened: batches in the order of their arrival.
            before_asking: awaited before the database is asked; all that was remembered before must be committed then.
        """
        if not opened:
            return []
        await self._fill(conn, opened, before_asking)
        deliveries = self._accept(opened)
        unsure = {key_of(opened[i]) for i in np.flatnonzero(deliveries == Delivery.UNSURE).tolist()}
        if unsure:
            await before_asking()
        taken = await batch.known(conn, sorted(unsure))
        fresh: dict[Key, Opened] = {}
        for one, delivery in zip(opened, deliveries.tolist(), strict=True):
            if delivery == Delivery.NEW or (delivery == Delivery.UNSURE and key_of(one) not in taken):
                fresh.setdefault(key_of(one), one)
        return list(fresh.values())

    async def _fill(
        self, conn: Connection, opened: Sequence[Opened], before_asking: Callable[[], Awaitable[None]]
    ) -> None:
        """Learn from the database what is known of epochs that are new here."""
        wanted = {
            (one.detector.id, one.header.epoch): one.detector.index
            for one in opened
            if (one.detector.id, one.header.epoch) not in self._filled
        }
        if not wanted:
            return
        await before_asking()
        known = await batch.newest(conn, list(wanted), _WINDOW)
        self._filled |= wanted.keys()
        if known:
            deliveries = np.empty(len(known), np.uint8)
            detectors = np.array([wanted[key[:2]] for key in known], np.int32)
            epochs, sequences = (np.array([key[part] for key in known], np.int64) for part in (1, 2))
            batches.accept(self._windows, detectors, epochs, sequences, deliveries)

    def _accept(self, opened: Sequence[Opened]) -> NDArray[np.uint8]:
        deliveries = np.empty(len(opened), np.uint8)
        detectors = np.array([one.detector.index for one in opened], np.int32)
        epochs = np.array([one.header.epoch for one in opened], np.int64)
        sequences = np.array([one.header.sequence for one in opened], np.int64)
        batches.accept(self._windows, detectors, epochs, sequences, deliveries)
        return deliveries


def key_of(opened: Opened) -> Key:
    """Return what makes a batch the same batch."""
    return opened.detector.id, opened.header.epoch, opened.header.sequence
