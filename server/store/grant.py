"""Purpose tokens: what `warden` issues once the policies have said yes, and how `api` reads personal rows by them.

The database knows no secret, only its SHA-256 together with the session's: a secret is of no use in another session.
Which rows a token opens, and when it ends, the policies of 0020_purpose.sql say.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import uuid
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, NewType

from privacy.terms import Purpose
from server.store.connection import Connection, at
from server.store.errors import StoreError
from server.store.pool import Pool

GrantedConnection = NewType("GrantedConnection", Connection)
"""A connection in a transaction that has purpose tokens: the only one that sees personal rows."""
EVER: Final = (-62_135_596_800_000, 253_402_300_799_000)
"""The years 1 to 9999 as a span, UTC ms: data of any time."""
_SECRET_OCTETS: Final = 32
# One snapshot: what says that the tokens are in force, and what they open, are of the same moment.
_BEGIN: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_PRESENTABLE: Final = re.compile(r"([0-9a-f]{128}(,|$))*", re.ASCII)
_IN_FORCE: Final = "SELECT t::text FROM purpose_in_force() AS t"
_ISSUE: Final = """
WITH token AS (
    INSERT INTO purpose_token (id, secret_hash, account_id, account_version, session_hash, purpose, classes,
                               from_at, to_at, expires_at)
    VALUES (%(id)s, %(secret_hash)s, %(account)s, %(account_version)s, %(session)s, %(purpose)s, %(classes)s,
            %(from_at)s, %(to_at)s, now() + %(lasts_ms)s * interval '1 millisecond')
    RETURNING id
), wards AS (
    INSERT INTO purpose_token_ward (token_id, ward_id, version)
    SELECT token.id, w.id, w.version
    FROM token, unnest(%(wards)s::text[], %(ward_versions)s::bigint[]) AS w (id, version)
)
INSERT INTO purpose_token_case (token_id, case_id, version)
SELECT token.id, c.id, c.version FROM token, unnest(%(cases)s::text[], %(case_versions)s::bigint[]) AS c (id, version)
"""


class LapsedError(StoreError):
    """A token is not in force any more. Whether there may be another one, the policies have to be asked."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A right to read, as a token of the database.

    Attributes:
        secret: opens the rows; never written down.
        token_id: its public name.
        purpose: what for.
        wards: whom it is about.
        cases: likewise, cases.
        expires_ms: wall time, UTC ms.
    """

    secret: str = field(repr=False)
    token_id: str
    purpose: Purpose
    wards: tuple[str, ...]
    cases: tuple[str, ...]
    expires_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """What a token is to be issued for; versions are those that the facts were read at.

    Attributes:
        account: whose; `account_version` of its relations.
        session: SHA-256 of the session's token.
        purpose: what for.
        classes: of data, see 0020_purpose.sql.
        wards: id to version.
        cases: likewise.
        span_ms: of the data, from the first to before the second, UTC.
        lasts_ms: for how long, an hour at most.
    """

    account: str
    account_version: int
    session: bytes = field(repr=False)
    purpose: Purpose
    classes: frozenset[str]
    wards: Mapping[str, int] = field(default_factory=dict)
    cases: Mapping[str, int] = field(default_factory=dict)
    span_ms: tuple[int, int] = EVER
    lasts_ms: int = 60_000


@dataclass(frozen=True, slots=True)
class Held:
    """A transaction with tokens, and those of them that are in force in it."""

    conn: GrantedConnection
    in_force: frozenset[str]


@asynccontextmanager
async def granted(pool: Pool, *grants: Grant) -> AsyncIterator[GrantedConnection]:
    """Yield a connection of the role `api` in a read-only transaction that has all of `grants`.

    Raises:
        LapsedError: one of them is not in force.
    """
    async with holding(pool, grants) as held:
        if held.in_force != {grant.token_id for grant in grants}:
            raise LapsedError
        yield held.conn


@asynccontextmanager
async def holding(pool: Pool, grants: Collection[Grant]) -> AsyncIterator[Held]:
    """Yield a connection as `granted` does, with those of `grants` that are in force; the others open nothing."""
    async with pool.connection() as conn:
        try:
            in_force = await _begin(conn, ",".join(grant.secret for grant in grants))
            yield Held(GrantedConnection(conn), in_force)
        except BaseException:
            # A connection that is lost has no transaction either, and the pool drops it.
            if not conn.closed:
                await conn.rollback()
            raise
        # It has written nothing, but a rollback would make the driver forget every statement that it has prepared.
        await conn.commit()


async def _begin(conn: Connection, presented: str) -> frozenset[str]:
    """Begin the transaction and return which tokens are in force, all in one message: it is asked before every read."""
    if not _PRESENTABLE.fullmatch(presented):
        raise LapsedError
    found = await conn.execute(
        f"{_BEGIN}; SELECT set_config('mimamori.tokens', '{presented}', true); {_IN_FORCE}".encode()
    )
    while found.nextset():
        pass
    return frozenset(row[0] for row in await found.fetchall())


async def issue(conn: Connection, token: NewToken, *, now_ms: int) -> Grant:
    """Return a new grant, in force once the caller's transaction of the role `warden` commits."""
    secret = secrets.token_bytes(_SECRET_OCTETS)
    token_id = str(uuid.uuid4())
    await conn.execute(
        _ISSUE,
        {
            "id": token_id,
            "secret_hash": hashlib.sha256(secret + token.session).digest(),
            "account": token.account,
            "account_version": token.account_version,
            "session": token.session,
            "purpose": token.purpose.value,
            "classes": sorted(token.classes),
            "from_at": at(token.span_ms[0]),
            "to_at": at(token.span_ms[1]),
            "lasts_ms": token.lasts_ms,
            "wards": list(token.wards),
            "ward_versions": list(token.wards.values()),
            "cases": list(token.cases),
            "case_versions": list(token.cases.values()),
        },
    )
    presented = (secret + token.session).hex()
    wards, cases = tuple(token.wards), tuple(token.cases)
    return Grant(presented, token_id, token.purpose, wards, cases, now_ms + token.lasts_ms)


async def sweep(conn: Connection) -> int:
    """Delete tokens that have expired; return how many."""
    return (await conn.execute("DELETE FROM purpose_token WHERE expires_at <= now()")).rowcount
