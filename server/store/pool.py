"""The connections an asyncio program keeps to PostgreSQL."""

from __future__ import annotations

from typing import Final, TypeAlias

from psycopg import InterfaceError, OperationalError
from psycopg_pool import AsyncConnectionPool

from server.store.connection import Connection

Pool: TypeAlias = AsyncConnectionPool[Connection]

DOWN: Final = (OperationalError, InterfaceError)
"""What any use of the store raises while the database cannot be reached. May be tried again."""


def make_pool(dsn: str, *, max_size: int = 8, timeout_s: float = 3.0) -> Pool:
    """Return a pool that is still closed; entering it opens it, also while the database is down.

    Args:
        dsn: libpq conninfo or URL.
        max_size: connections; each is a PostgreSQL process of about 10 MB.
        timeout_s: how long a request waits for one before it fails with one of `DOWN`.
    """
    return AsyncConnectionPool(
        dsn,
        min_size=1,
        max_size=max_size,
        timeout=timeout_s,
        open=False,
        check=AsyncConnectionPool.check_connection,
        reconnect_timeout=5.0,
        kwargs={"autocommit": True, "connect_timeout": 3},
        name="api",
    )


async def is_up(pool: Pool) -> bool:
    """Return whether the database answers."""
    try:
        async with pool.connection(timeout=1.0) as conn:
            await conn.execute("SELECT 1")
    except DOWN:
        return False
    return True
