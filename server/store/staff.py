"""What role an account has, for what is done on behalf of it at the server's own command line."""

from __future__ import annotations

from dataclasses import dataclass

from server.store.connection import Connection


@dataclass(frozen=True, slots=True)
class StaffRole:
    """Role and agency of an account in force."""

    role: str
    agency: str | None


async def role_of(conn: Connection, account: str) -> StaffRole | None:
    """Return the role of an account, None where there is none in force."""
    found = await conn.execute("SELECT role, agency_id FROM account WHERE id = %s AND disabled_at IS NULL", (account,))
    row = await found.fetchone()
    return None if row is None else StaffRole(*row)
