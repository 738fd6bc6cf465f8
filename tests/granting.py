"""Purpose tokens for tests that read the store without the API in front of it: issued by the warden, as in a city."""

import secrets
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from privacy.terms import Purpose
from server.config import ServerConfig
from server.store.connection import connect
from server.store.grant import EVER, Grant, GrantedConnection, NewToken, granted, issue
from server.store.pool import make_pool

MINUTE_MS = 60_000


async def open_session(config: ServerConfig, account: str) -> bytes:
    """Return the hash of a new session's token."""
    token_hash = secrets.token_bytes(32)
    async with await connect(config.dsn("warden")) as conn:
        query = "INSERT INTO session (token_hash, account_id, expires_at) VALUES (%s, %s, now() + interval '1 day')"
        await conn.execute(query, (token_hash, account))
    return token_hash


async def give(
    config: ServerConfig,
    session: bytes,
    wards: Iterable[str],
    *classes: str,
    account: str = "g-1",
    span_ms: tuple[int, int] = EVER,
    lasts_ms: int = MINUTE_MS,
) -> Grant:
    """Return a grant for `wards` at the versions of now; nobody asked the policies."""
    async with await connect(config.dsn("warden")) as conn, conn.transaction():
        rows = await (await conn.execute("SELECT subject, version FROM access_version")).fetchall()
        versions = {str(subject): int(version) for subject, version in rows}
        token = NewToken(
            account=account,
            account_version=versions.get(f"account:{account}", 0),
            session=session,
            purpose=Purpose.FAMILY_WATCH,
            classes=frozenset(classes),
            wards={ward: versions.get(f"ward:{ward}", 0) for ward in wards},
            span_ms=span_ms,
            lasts_ms=lasts_ms,
        )
        return await issue(conn, token, now_ms=time.time_ns() // 1_000_000)


@asynccontextmanager
async def seeing(
    config: ServerConfig, ward: str, *classes: str, account: str = "g-1", span_ms: tuple[int, int] = EVER
) -> AsyncIterator[GrantedConnection]:
    """Yield a connection of the role api that has a token of a session of its own for `ward`."""
    session = await open_session(config, account)
    grant = await give(config, session, [ward], *classes, account=account, span_ms=span_ms)
    async with make_pool(config.dsn("api"), max_size=1) as pool, granted(pool, grant) as conn:
        yield conn
