"""Wards' data keys as a process has them: fetched from the key store when needed, held for seconds."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from server.history import envelope
from server.history.envelope import DataKey
from server.history.errors import KeyStoreError
from server.store import ward_key
from server.store.connection import Connection, DatabaseError, connect
from server.store.ward_key import KeyRow

HELD_S: Final = 20.0
"""For so long a process may go on with a key that was deleted; wall time."""
_MOST_HELD: Final = 10_000
_T = TypeVar("_T")


@dataclass(slots=True)
class KeyRing:
    """Keys of wards, over one connection to the key store that is opened when it is needed.

    Args:
        dsn: of the key store, for this process's role.
        kek: the key-encryption key, 32 octets.
        now_s: a clock that only goes forward.
    """

    dsn: str
    kek: bytes = field(repr=False)
    now_s: Callable[[], float] = time.monotonic
    _conn: Connection | None = None
    _held: dict[str, tuple[float, DataKey]] = field(default_factory=dict, repr=False)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def of(self, ward: str, ids: Iterable[bytes]) -> DataKey | None:
        """Return the key of `ward`, for reading; None when it has none, as after an erasure.

        Args:
            ward: whose.
            ids: of the keys that sealed what is to be read; one that is not the held one makes us look again.

        Raises:
            KeyStoreError: the key store is away.
        """
        since_s, held = self._held.get(ward, (0.0, None))
        if held is not None and self.now_s() - since_s < HELD_S and set(ids) <= {held.id}:
            return held
        found = {row.ward: row for row in await self._ask(lambda conn: ward_key.read(conn, [ward]))}
        self._held.pop(ward, None)
        if ward not in found:
            return None
        key = self._unwrapped(found[ward])
        if len(self._held) >= _MOST_HELD:
            self._held.clear()
        self._held[ward] = (self.now_s(), key)
        return key

    async def for_sealing(self, wards: Sequence[str]) -> dict[str, DataKey]:
        """Return the keys of `wards` as they are now, never from memory; those that have none get one, on disk.

        Raises:
            KeyStoreError: the key store is away, or this role may not add to it.
        """
        rows = {row.ward: row for row in await self._ask(lambda conn: ward_key.read(conn, wards))}
        missing = [ward for ward in wards if ward not in rows]
        if missing:
            await self._ask(lambda conn: ward_key.add(conn, [self._wrapped(ward) for ward in missing]))
            rows |= {row.ward: row for row in await self._ask(lambda conn: ward_key.read(conn, missing))}
        return {ward: self._unwrapped(row) for ward, row in rows.items()}

    async def close(self) -> None:
        """Close the connection and forget all keys; the next question opens it again."""
        self._held.clear()
        conn, self._conn = self._conn, None
        if conn is not None:
            with contextlib.suppress(DatabaseError, OSError):
                await conn.close()

    def _wrapped(self, ward: str) -> KeyRow:
        key = envelope.new_key()
        return KeyRow(ward, key.id, envelope.wrap(self.kek, key, ward))

    def _unwrapped(self, row: KeyRow) -> DataKey:
        return envelope.unwrap(self.kek, row.wrapped, row.ward, row.key_id)

    async def _ask(self, question: Callable[[Connection], Awaitable[_T]]) -> _T:
        async with self._lock:
            is_old = self._conn is not None
            try:
                return await self._asked(question)
            except (DatabaseError, OSError) as error:
                await self.close()
                if not is_old:
                    raise KeyStoreError from error
            try:  # the connection that was held may have died long ago: once more with a new one
                return await self._asked(question)
            except (DatabaseError, OSError) as error:
                await self.close()
                raise KeyStoreError from error

    async def _asked(self, question: Callable[[Connection], Awaitable[_T]]) -> _T:
        if self._conn is None:
            self._conn = await connect(self.dsn)
        return await question(self._conn)
