"""Who an identity provider's subject is here. Role warden."""

from __future__ import annotations

from privacy.terms import Role
from server.store.connection import Connection


async def link(conn: Connection, account_id: str, *, issuer: str, subject: str) -> bool:
    """Let `subject` of `issuer` be an account; False where it is one already."""
    cursor = await conn.execute(
        "INSERT INTO identity (issuer, subject, account_id) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        (issuer, subject, account_id),
    )
    return cursor.rowcount == 1


async def account_of(conn: Connection, *, issuer: str, subject: str) -> tuple[str, Role] | None:
    """Return the account in force, and its role, that `subject` of `issuer` is linked to."""
    cursor = await conn.execute(
        """SELECT a.id, a.role FROM identity AS i JOIN account AS a ON a.id = i.account_id
           LEFT JOIN agency AS g ON g.id = a.agency_id
           WHERE i.issuer = %s AND i.subject = %s AND a.disabled_at IS NULL AND g.ended_at IS NULL""",
        (issuer, subject),
    )
    row = await cursor.fetchone()
    return None if row is None else (str(row[0]), Role(row[1]))
