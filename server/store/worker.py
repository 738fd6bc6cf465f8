"""One ingest at a time: a second one waits as a spare until the first one's connection is gone."""

from typing import Final

from server.store.connection import Connection

_LOCK: Final = int.from_bytes(b"ingest", "big")


async def try_lock(conn: Connection) -> bool:
    """Return whether this connection is now the one that writes sightings; it stays so until it closes."""
    row = await (await conn.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,))).fetchone()
    return bool(row and row[0])
