"""Who stands to whom how, as the policies are told: read by `warden`, in the transaction that decides.

Guardianships are of town time, everything else of wall time; UTC ms.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from psycopg.rows import class_row

from server.store.connection import Connection, at
from server.store.pool import Pool

# What is decided is decided on one moment: versions, relations and measures of the same snapshot.
NOBODY: Final = -1
"""The version of a ward who does not exist."""
_BEGIN: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ"
_SIGNED_IN: Final = """
SELECT a.role, a.agency_id AS agency, a.ward_id AS own_ward, coalesce(v.version, 0) AS version,
       (SELECT (extract(epoch FROM min(g.since)) * 1000)::bigint FROM guardianship AS g
        WHERE g.guardian_id = a.id AND g.since > %(town)s AND g.until > g.since) AS town_next_ms,
       (extract(epoch FROM least(s.expires_at, s.last_used_at + s.idle_s * interval '1 second')) * 1000)::bigint
           AS until_ms
FROM session AS s JOIN account AS a ON a.id = s.account_id
LEFT JOIN access_version AS v ON v.subject = 'account:' || a.id
WHERE s.token_hash = %(session)s AND s.account_id = %(account)s AND s.scope = 'full' AND a.disabled_at IS NULL
  AND s.expires_at > %(wall)s AND s.last_used_at + s.idle_s * interval '1 second' > %(wall)s
"""
_WARDS: Final = """
SELECT asked.id, CASE WHEN w.id IS NULL THEN -1 ELSE coalesce(v.version, 0) END AS version,
       coalesce(w.provider_id, '') AS provider,
       ARRAY(SELECT g.guardian_id FROM guardianship AS g
             WHERE g.ward_id = asked.id AND g.since <= %(town)s AND g.until > %(town)s) AS guardians,
       ARRAY(SELECT m.account_id FROM protective_measure AS m
             WHERE m.ward_id = asked.id AND m.since <= %(wall)s AND m.until > %(wall)s) AS barred,
       (SELECT a.id FROM account AS a WHERE a.ward_id = asked.id) AS self_account,
       (SELECT (extract(epoch FROM min(g.until)) * 1000)::bigint FROM guardianship AS g
        WHERE g.ward_id = asked.id AND g.guardian_id = %(account)s AND g.until > %(town)s
          AND isfinite(g.until)) AS town_until_ms,
       (SELECT (extract(epoch FROM min(m.since)) * 1000)::bigint FROM protective_measure AS m
        WHERE m.ward_id = asked.id AND m.account_id = %(account)s AND m.since > %(wall)s) AS wall_until_ms
FROM asked LEFT JOIN ward AS w ON w.id = asked.id LEFT JOIN access_version AS v ON v.subject = 'ward:' || asked.id
ORDER BY asked.id
"""
# Who does not exist costs the same look-ups as who does: how long an answer takes must not tell.
_NAMED: Final = f"WITH asked (id) AS (SELECT unnest(%(wards)s::text[])) {_WARDS}"
# Nor is anything asked about whom the account is barred from: an entry of a refusal would tell that there is a measure.
_OWN: Final = f"""
WITH asked (id) AS (
    SELECT own.id FROM (
        SELECT g.ward_id FROM guardianship AS g
        WHERE g.guardian_id = %(account)s AND g.since <= %(town)s AND g.until > %(town)s
        UNION SELECT a.ward_id FROM account AS a WHERE a.id = %(account)s AND a.ward_id IS NOT NULL) AS own (id)
    WHERE NOT EXISTS (
        SELECT FROM protective_measure AS m WHERE m.ward_id = own.id AND m.account_id = %(account)s
            AND m.since <= %(wall)s AND m.until > %(wall)s))
{_WARDS}"""  # noqa: S608 - constants of this module


@dataclass(frozen=True, slots=True)
class SignedInRow:
    """Who asks, as the database knows them now.

    Attributes:
        role: of the account.
        agency: of officers and providers.
        own_ward: who the account is itself, of a watched person.
        version: of the account's relations.
        town_next_ms: when a guardianship of theirs begins, town time; None: none is to begin.
        until_ms: when the session ends, if it is not used.
    """

    role: str
    agency: str | None
    own_ward: str | None
    version: int
    town_next_ms: int | None
    until_ms: int


@dataclass(frozen=True, slots=True)
class WardFacts:
    """A ward with what the policies ask of it.

    Attributes:
        id: of the ward.
        version: of its relations; -1: there is no such ward.
        provider: agency that serves its tag, or "".
        guardians: accounts whose guardianship is in force.
        barred: accounts against whom a protective measure is in force.
        self_account: the ward's own account.
        town_until_ms: when the asker's guardianship ends, town time; None: no end is known.
        wall_until_ms: when a measure against the asker begins; None: none is entered.
    """

    id: str
    version: int = 0
    provider: str = ""
    guardians: list[str] = field(default_factory=list)
    barred: list[str] = field(default_factory=list)
    self_account: str | None = None
    town_until_ms: int | None = None
    wall_until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Moments:
    """Now, by both clocks."""

    wall_ms: int
    town_ms: int


@asynccontextmanager
async def deciding(warden: Pool) -> AsyncIterator[Connection]:
    """Yield a connection of the role `warden` in a transaction on one snapshot; it commits when the block ends."""
    async with warden.connection() as conn:
        await conn.execute(_BEGIN)
        try:
            yield conn
        except BaseException:
            if not conn.closed:
                await conn.rollback()
            raise
        await conn.commit()


async def signed_in(conn: Connection, account: str, session: bytes, *, now: Moments) -> SignedInRow | None:
    """Return who asks, or None: the session is not in force, or not of this account."""
    async with conn.cursor(row_factory=class_row(SignedInRow)) as cursor:
        await cursor.execute(_SIGNED_IN, {"session": session, **_asked(account, now)})
        return await cursor.fetchone()


async def wards(conn: Connection, account: str, ward_ids: Collection[str], *, now: Moments) -> list[WardFacts]:
    """Return the facts of `ward_ids`; of who does not exist that nobody stands in any relation to them."""
    return await _facts(conn, _NAMED, {"wards": list(ward_ids), **_asked(account, now)})


async def own_wards(conn: Connection, account: str, *, now: Moments) -> list[WardFacts]:
    """Return the facts of all wards to whom an account stands in a relation and from whom it is not barred, by id."""
    return await _facts(conn, _OWN, _asked(account, now))


def _asked(account: str, now: Moments) -> dict[str, object]:
    return {"account": account, "wall": at(now.wall_ms), "town": at(now.town_ms)}


async def _facts(conn: Connection, query: str, asked: dict[str, object]) -> list[WardFacts]:
    async with conn.cursor(row_factory=class_row(WardFacts)) as cursor:
        await cursor.execute(query.encode(), asked)
        return await cursor.fetchall()
