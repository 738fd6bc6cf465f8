"""Moves the plain fixes of hours that are over into sealed ones, a few wards a transaction, as long as time allows.

A late fix of a sealed hour lands in the plain table like any other and is merged into the sealed hour by the next run.
The key of a ward is on disk in the key store before the first row under it is committed here. Killed between the two
databases, this leaves a key that nothing was sealed under yet: the next run takes it.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from server.history import envelope
from server.history.envelope import DataKey
from server.history.errors import KeyStoreError, SealedHourError
from server.history.fixes import EMPTY, HOUR_MS, Fixes, HotRow, merge, pack, unpack
from server.history.keyring import KeyRing
from server.store import erasure, ward_hour
from server.store.connection import Connection

log = logging.getLogger(__name__)

HOT_MS: Final = 2 * HOUR_MS
"""An hour stays plain for so long after its end: most of what is late comes by then. Town time."""
WARDS_A_TURN: Final = 20
BUDGET_S: Final = 0.2
"""Sightings wait for a run of so long; what is left is done by the next one."""
_PAUSE_S: Final = 30.0


@dataclass(slots=True)
class Counts:
    """What a sealer did since it was made. `lost`: sealed hours whose key is gone, replaced by what came late."""

    hours: int = 0
    fixes: int = 0
    lost: int = 0


@dataclass(slots=True)
class Sealer:
    """Seals what is waiting.

    Args:
        ring: of the role ingest.
    """

    ring: KeyRing
    counts: Counts = field(default_factory=Counts)
    _wards: deque[str] = field(default_factory=deque)
    _before_ms: int = 0
    _not_before_s: float = 0.0

    async def plan(self, conn: Connection, now_ms: int) -> int:
        """Note which wards have hours to seal at town time `now_ms`; return how many."""
        self._before_ms = (now_ms - HOT_MS) // HOUR_MS * HOUR_MS
        self._wards = deque(await ward_hour.waiting(conn, self._before_ms))
        return len(self._wards)

    async def work(self, conn: Connection, budget_s: float = BUDGET_S) -> bool:
        """Seal until nothing is left or the time is over; return whether nothing is left.

        While the key store is away everything stays plain and is tried again; sightings do not wait for it.

        Raises:
            DatabaseError: of the main database; nothing of the turn was kept.
        """
        until_s = time.monotonic() + budget_s
        while self._wards and time.monotonic() < until_s and time.monotonic() >= self._not_before_s:
            turn = [self._wards[number] for number in range(min(WARDS_A_TURN, len(self._wards)))]
            try:
                await self._turn(conn, turn)
            except KeyStoreError as error:
                self._not_before_s = time.monotonic() + _PAUSE_S
                log.warning("keystore.away", extra={"error": type(error.__cause__ or error).__name__})
                break
            for _ in turn:
                self._wards.popleft()
        return not self._wards

    async def _turn(self, conn: Connection, wards: Sequence[str]) -> None:
        async with conn.transaction():
            await erasure.share(conn)
            taken = await ward_hour.take_hot(conn, wards, self._before_ms)
            if not taken:
                return
            keys = await self.ring.for_sealing(list(taken))
            hot = await asyncio.to_thread(_by_hour, taken)
            old = await ward_hour.sealed(conn, list(hot))
            sealed, lost = await asyncio.to_thread(_seal, hot, old, keys)
            await ward_hour.save(conn, sealed)
        self.counts.hours += len(sealed)
        self.counts.fixes += sum(map(len, hot.values()))
        self.counts.lost += lost


def _by_hour(taken: Mapping[str, Sequence[HotRow]]) -> dict[tuple[str, int], Fixes]:
    return {(ward, hour_ms): part for ward, rows in taken.items() for hour_ms, part in Fixes.of(rows).hours().items()}


def _seal(
    hot: Mapping[tuple[str, int], Fixes], old: Mapping[tuple[str, int], bytes], keys: Mapping[str, DataKey]
) -> tuple[list[tuple[str, int, bytes]], int]:
    """Return the rows to write, and how many of the old ones could not be opened and are replaced."""
    rows, lost = [], 0
    for (ward, hour_ms), fixes in hot.items():
        before, key = EMPTY, keys[ward]
        if (ward, hour_ms) in old:
            try:
                before = unpack(envelope.open_(old[ward, hour_ms], key, ward, hour_ms), hour_ms)
            except SealedHourError:
                lost += 1  # its key was erased: to be unreadable is what it is for
        whole = merge(before, fixes)
        rows.append((ward, hour_ms, envelope.seal(pack(whole, hour_ms), key, ward, hour_ms)))
    return rows, lost
