"""Writes entries of the audit log in the transaction of what they record: neither is there without the other."""

from __future__ import annotations

from privacy.transparency.record import Record, seal
from server.store.connection import Connection


async def append(conn: Connection, record: Record) -> int:
    """Return the id of a new entry, which exists once the caller's transaction commits.

    Args:
        conn: in a transaction, of a role that may write the log.
        record: what to say.

    Raises:
        DatabaseError: it cannot be written; whatever it would have recorded must not happen then.
    """
    sealed = seal(record)
    cursor = await conn.execute("INSERT INTO audit_entry (body) VALUES (%s) RETURNING id", (sealed.body,))
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - RETURNING gives one row or raises
    entry = int(row[0])
    for one in sealed.openings:
        await conn.execute(
            "INSERT INTO audit_opening (entry_id, name, salt, value) VALUES (%s, %s, %s, %s)",
            (entry, one.name, one.salt, one.value),
        )
    return entry
