"""Sessions and login codes. Times are wall time, UTC ms; the database never sees a token, only its SHA-256."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg.rows import class_row

from server.store.connection import Connection


@dataclass(frozen=True, slots=True)
class LoginRow:
    """A An account's id and the Argon2id hash of its code."""

    account_id: str
    code_hash: str


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session in force and when it was last used."""

    account_id: str
    used_at_ms: int


async def login(conn: Connection, name: str) -> LoginRow | None:
    """Return who has the login `name`."""
    async with conn.cursor(row_factory=class_row(LoginRow)) as cursor:
        await cursor.execute("SELECT id AS account_id, code_hash FROM account WHERE login = %s", (name,))
        return await cursor.fetchone()


async def add(conn: Connection, token_hash: bytes, account_id: str, *, now_ms: int, expires_at_ms: int) -> None:
    """Store a new session."""
    await conn.execute(
        """
        INSERT INTO session (token_hash, account_id, created_at, last_used_at, expires_at)
        VALUES (%(token_hash)s, %(account_id)s, to_timestamp(%(now_ms)s / 1000.0), to_timestamp(%(now_ms)s / 1000.0),
                to_timestamp(%(expires_at_ms)s / 1000.0))
        """,
        {"token_hash": token_hash, "account_id": account_id, "now_ms": now_ms, "expires_at_ms": expires_at_ms},
    )


async def find(conn: Connection, token_hash: bytes, *, now_ms: int, idle_ms: int) -> SessionRow | None:
    """Return the session if it is in force: not expired, and used within `idle_ms`."""
    async with conn.cursor(row_factory=class_row(SessionRow)) as cursor:
        await cursor.execute(
            """
            SELECT account_id, (extract(epoch FROM last_used_at) * 1000)::bigint AS used_at_ms
            FROM session
            WHERE token_hash = %s AND expires_at > to_timestamp(%s / 1000.0)
              AND last_used_at > to_timestamp(%s / 1000.0)
            """,
            (token_hash, now_ms, now_ms - idle_ms),
        )
        return await cursor.fetchone()


async def touch(conn: Connection, token_hash: bytes, *, now_ms: int) -> None:
    """Note that the session was used."""
    await conn.execute(
        "UPDATE session SET last_used_at = to_timestamp(%s / 1000.0) WHERE token_hash = %s", (now_ms, token_hash)
    )


async def end(conn: Connection, token_hash: bytes) -> None:
    """Delete the session; its live streams are told by a trigger."""
    await conn.execute("DELETE FROM session WHERE token_hash = %s", (token_hash,))


async def sweep(conn: Connection, *, now_ms: int, idle_ms: int) -> int:
    """Delete sessions that are no longer in force; return how many."""
    cursor = await conn.execute(
        "DELETE FROM session"
        " WHERE expires_at <= to_timestamp(%s / 1000.0) OR last_used_at <= to_timestamp(%s / 1000.0)",
        (now_ms, now_ms - idle_ms),
    )
    return cursor.rowcount
