"""Sessions and login codes. Times are wall time, UTC ms; the database never sees a token, only its SHA-256."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from psycopg.rows import class_row

from privacy.terms import Role
from server.store.connection import Connection, at


@dataclass(frozen=True, slots=True)
class LoginRow:
    """An account's id, its role and the Argon2id hash of its code."""

    account_id: str
    role: Role
    code_hash: str | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSession:
    """A session to store.

    Attributes:
        token_hash: SHA-256 of the token.
        account_id: whose.
        scope: "full", or "enrol": may set up a way to sign in and nothing else.
        way: "code", "card", "passkey" or "oidc".
        now_ms: when it begins; `expires_at_ms` when it ends in any case; `idle_s` after how long without use.
        proved_at_ms: when a key was shown; None: none was.
        passkey_id: the key, which takes the session along when it is removed.
    """

    token_hash: bytes
    account_id: str
    scope: str
    way: str
    now_ms: int
    expires_at_ms: int
    idle_s: int
    proved_at_ms: int | None = None
    passkey_id: str | None = None


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session in force, whose it is, and when it was last used."""

    id: str
    account_id: str
    role: Role
    agency_id: str | None
    scope: str
    way: str
    idle_s: int
    used_at_ms: int
    proved_at_ms: int | None


@dataclass(frozen=True, slots=True)
class OpenRow:
    """One line of the list of one's own sessions."""

    id: str
    way: str
    created_at_ms: int
    used_at_ms: int


_IN_FORCE: Final = """
    s.expires_at > %(now)s AND s.last_used_at + s.idle_s * interval '1 second' > %(now)s
"""
_FIND: Final = f"""
    SELECT s.id, s.account_id, a.role, a.agency_id, s.scope, s.way, s.idle_s,
        (extract(epoch FROM s.last_used_at) * 1000)::bigint AS used_at_ms,
        (extract(epoch FROM s.proved_at) * 1000)::bigint AS proved_at_ms
    FROM session AS s
    JOIN account AS a ON a.id = s.account_id AND a.disabled_at IS NULL
    LEFT JOIN agency AS g ON g.id = a.agency_id
    WHERE s.token_hash = %(token_hash)s AND {_IN_FORCE} AND g.ended_at IS NULL
"""  # noqa: S608 - constants of this module
_LIST: Final = f"""
    SELECT s.id, s.way, (extract(epoch FROM s.created_at) * 1000)::bigint AS created_at_ms,
        (extract(epoch FROM s.last_used_at) * 1000)::bigint AS used_at_ms
    FROM session AS s WHERE s.account_id = %(account_id)s AND {_IN_FORCE} ORDER BY s.last_used_at DESC, s.id
"""  # noqa: S608 - constants of this module


async def login(conn: Connection, name: str) -> LoginRow | None:
    """Return which account in force has the login `name`."""
    cursor = await conn.execute(
        "SELECT id, role, code_hash FROM account WHERE login = %s AND disabled_at IS NULL", (name,)
    )
    row = await cursor.fetchone()
    return LoginRow(row[0], Role(row[1]), row[2]) if row else None


async def add(conn: Connection, new: NewSession) -> None:
    """Store a new session."""
    await conn.execute(
        """
        INSERT INTO session (token_hash, account_id, scope, way, created_at, last_used_at, expires_at, idle_s,
                             proved_at, passkey_id)
        VALUES (%(token_hash)s, %(account_id)s, %(scope)s, %(way)s, %(now)s, %(now)s, %(expires)s, %(idle_s)s,
                %(proved)s, %(passkey_id)s)
        """,
        {
            "token_hash": new.token_hash,
            "account_id": new.account_id,
            "scope": new.scope,
            "way": new.way,
            "now": at(new.now_ms),
            "expires": at(new.expires_at_ms),
            "idle_s": new.idle_s,
            "proved": None if new.proved_at_ms is None else at(new.proved_at_ms),
            "passkey_id": new.passkey_id,
        },
    )


async def find(conn: Connection, token_hash: bytes, *, now_ms: int) -> SessionRow | None:
    """Return the session if it is in force: not expired, not idle for too long, of an account and agency in force."""
    cursor = await conn.execute(_FIND, {"token_hash": token_hash, "now": at(now_ms)})
    row = await cursor.fetchone()
    if row is None:
        return None
    return SessionRow(row[0], row[1], Role(row[2]), *row[3:])


async def touch(conn: Connection, token_hash: bytes, *, now_ms: int) -> None:
    """Note that the session was used."""
    await conn.execute("UPDATE session SET last_used_at = %s WHERE token_hash = %s", (at(now_ms), token_hash))


async def prove(conn: Connection, token_hash: bytes, *, passkey_id: str, now_ms: int) -> None:
    """Note that a key was shown in the session just now: what a step-up asks for."""
    await conn.execute(
        "UPDATE session SET proved_at = %s, passkey_id = %s WHERE token_hash = %s",
        (at(now_ms), passkey_id, token_hash),
    )


async def of_account(conn: Connection, account_id: str, *, now_ms: int) -> list[OpenRow]:
    """Return the sessions of an account that are in force, the last used first."""
    async with conn.cursor(row_factory=class_row(OpenRow)) as cursor:
        await cursor.execute(_LIST, {"account_id": account_id, "now": at(now_ms)})
        return await cursor.fetchall()


async def end(conn: Connection, token_hash: bytes) -> str | None:
    """Delete the session; its live streams are told by a trigger. Return whose it was, None: there is none."""
    cursor = await conn.execute("DELETE FROM session WHERE token_hash = %s RETURNING account_id", (token_hash,))
    row = await cursor.fetchone()
    return None if row is None else str(row[0])


async def end_one(conn: Connection, account_id: str, session_id: str) -> bool:
    """Delete one session of an account by its public id; False: the account has no such session."""
    cursor = await conn.execute("DELETE FROM session WHERE account_id = %s AND id = %s", (account_id, session_id))
    return cursor.rowcount == 1


async def sweep(conn: Connection, *, now_ms: int) -> int:
    """Delete sessions that are no longer in force; return how many."""
    cursor = await conn.execute(
        "DELETE FROM session WHERE expires_at <= %(now)s OR last_used_at + idle_s * interval '1 second' <= %(now)s",
        {"now": at(now_ms)},
    )
    return cursor.rowcount
