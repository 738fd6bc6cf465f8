"""Deletes all that the main database holds of a ward but the registry's row, and what PostgreSQL keeps of it after.

The entries of the log stay. What tells that they are about this ward, salt and id, goes.
"""

from typing import Final

from psycopg import sql

from server.store.connection import Connection, DatabaseError

_LOCK: Final = int.from_bytes(b"erasure", "big")
_OF_WARD: Final = ("ward_hour", "fix", "doubtful_fix", "last_place", "held_place", "presence", "event")
_LINKS: Final = {
    "purpose_token": "id IN (SELECT token_id FROM purpose_token_ward WHERE ward_id = %s)",
    "audit_opening": """name = 'ward' AND value = %s
        OR name = 'account' AND value IN (SELECT id FROM account WHERE ward_id = %s)""",
    "household_ward": "ward_id = %s",
    "guardianship": "ward_id = %s",
    "account": "ward_id = %s",  # the ward's own, with its keys and sessions
}
"""Who could see the ward, and who did."""
_OF_ACCOUNT: Final = ("purpose_token_ward", "session", "passkey", "identity")
_REWRITTEN: Final = ("notice", "tag_state", *_OF_WARD, *_LINKS, *_OF_ACCOUNT)


async def share(conn: Connection) -> None:
    """Hold erasures off until this transaction ends: whatever writes of wards takes this first."""
    await conn.execute("SELECT pg_advisory_xact_lock_shared(%s)", (_LOCK,))


async def begin(conn: Connection, ward: str) -> bool:
    """Wait until nobody writes of wards, and let nobody until this transaction ends; return whether `ward` exists.

    The owner becomes the keeper for the transaction: row-level security binds the owner, too.
    """
    await conn.execute("SET LOCAL ROLE keeper")
    await conn.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    found = await conn.execute("SELECT 1 FROM ward WHERE id = %s FOR UPDATE", (ward,))
    return await found.fetchone() is not None


async def delete(conn: Connection, ward: str) -> dict[str, int]:
    """Take the tag from a ward and delete all that was learnt of both, in a transaction; return the counts."""
    tag = "(SELECT tag_id FROM ward WHERE id = %s)"
    queries = {
        "sighting": f"DELETE FROM sighting WHERE tag_index = (SELECT index FROM tag WHERE id = {tag})",  # noqa: S608 - a constant
        "tag_state": f"DELETE FROM tag_state WHERE tag_id = {tag}",  # noqa: S608 - a constant
        "notice": "DELETE FROM notice WHERE event_id IN (SELECT id FROM event WHERE ward_id = %s)",
        **{table: f"DELETE FROM {table} WHERE ward_id = %s" for table in _OF_WARD},  # noqa: S608 - names of this module
    }
    queries |= {table: f"DELETE FROM {table} WHERE {of_ward}" for table, of_ward in _LINKS.items()}  # noqa: S608 - constants
    deleted = {
        table: (await conn.execute(query.encode(), (ward,) * query.count("%s"))).rowcount
        for table, query in queries.items()
    }
    await conn.execute("UPDATE ward SET tag_id = NULL WHERE id = %s", (ward,))
    return deleted


async def scrub(conn: Connection, tables: tuple[str, ...] = _REWRITTEN) -> bool:
    """Rewrite the tables, so that no deleted row is left in their files, and start a new write-ahead log.

    Returns:
        Whether the log before it could be let go: PostgreSQL wants a superuser or the role pg_checkpoint for it.
    """
    for table in tables:
        await conn.execute(sql.SQL("VACUUM (FULL) {}").format(sql.Identifier(table)))
    try:
        await conn.execute("SELECT pg_switch_wal()")
        await conn.execute("CHECKPOINT")
    except DatabaseError:
        return False
    return True
