"""Households: who belongs to them, whom they watch over, and what their members are told. Role warden."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from psycopg.rows import class_row

from server.store.connection import Connection, at


@dataclass(frozen=True, slots=True)
class HouseholdRow:
    """A household as one of its members knows it; `role` is the member's."""

    id: str
    name: str
    role: str


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A member in force."""

    account_id: str
    role: str
    name_ja: str
    name_en: str
    since_ms: int


@dataclass(frozen=True, slots=True)
class NewsRow:
    """What a member is told: who was invited, joined or left."""

    kind: str
    name_ja: str
    name_en: str
    at_ms: int


_IN_FORCE: Final = "m.since <= %(now)s AND m.until > %(now)s"


async def of_account(conn: Connection, account_id: str, *, now_ms: int) -> HouseholdRow | None:
    """Return the household of an account; None: none, or the account is barred from one of its wards."""
    async with conn.cursor(row_factory=class_row(HouseholdRow)) as cursor:
        await cursor.execute(
            f"""SELECT h.id, h.name, m.role FROM household AS h JOIN household_member AS m ON m.household_id = h.id
                WHERE m.account_id = %(account)s AND {_IN_FORCE} AND NOT EXISTS (
                    SELECT FROM household_ward AS w JOIN protective_measure AS p ON p.ward_id = w.ward_id
                    WHERE w.household_id = h.id AND p.account_id = m.account_id
                      AND p.since <= %(now)s AND p.until > %(now)s)
                ORDER BY m.since LIMIT 1""",  # noqa: S608 - constants of this module
            {"account": account_id, "now": at(now_ms)},
        )
        return await cursor.fetchone()


async def members(conn: Connection, household_id: str, *, now_ms: int) -> list[MemberRow]:
    """Return the members in force, the owners first."""
    async with conn.cursor(row_factory=class_row(MemberRow)) as cursor:
        await cursor.execute(
            f"""SELECT m.account_id, m.role, a.name_ja, a.name_en,
                    (extract(epoch FROM m.since) * 1000)::bigint AS since_ms
                FROM household_member AS m JOIN account AS a ON a.id = m.account_id
                WHERE m.household_id = %(household)s AND {_IN_FORCE} AND a.disabled_at IS NULL
                ORDER BY m.role <> 'owner', m.since, m.account_id""",  # noqa: S608 - constants of this module
            {"household": household_id, "now": at(now_ms)},
        )
        return await cursor.fetchall()


async def wards(conn: Connection, household_id: str) -> list[str]:
    """Return whom a household watches over."""
    cursor = await conn.execute(
        "SELECT ward_id FROM household_ward WHERE household_id = %s ORDER BY ward_id", (household_id,)
    )
    return [str(row[0]) for row in await cursor.fetchall()]


async def barred(conn: Connection, household_id: str, *, now_ms: int) -> frozenset[str]:
    """Return the accounts that are barred from one of its wards."""
    cursor = await conn.execute(
        """SELECT p.account_id FROM household_ward AS w JOIN protective_measure AS p ON p.ward_id = w.ward_id
           WHERE w.household_id = %(household)s AND p.since <= %(now)s AND p.until > %(now)s""",
        {"household": household_id, "now": at(now_ms)},
    )
    return frozenset(str(row[0]) for row in await cursor.fetchall())


async def add(conn: Connection, city_id: str, name: str, ward_ids: Sequence[str]) -> str:
    """Make a household and return its id.

    Raises:
        DatabaseError: there is no such ward, or it is in a household already.
    """
    cursor = await conn.execute("INSERT INTO household (city_id, name) VALUES (%s, %s) RETURNING id", (city_id, name))
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - RETURNING gives one row or raises
    await conn.execute(
        "INSERT INTO household_ward (household_id, ward_id) SELECT %s, * FROM unnest(%s::text[])",
        (row[0], list(ward_ids)),
    )
    return str(row[0])


async def join(conn: Connection, household_id: str, account_id: str, role: str, *, now_ms: int) -> None:
    """Make an account a member from now on."""
    await conn.execute(
        """INSERT INTO household_member (household_id, account_id, role, since) VALUES (%s, %s, %s, %s)
           ON CONFLICT (household_id, account_id) DO UPDATE
               SET role = excluded.role, since = excluded.since, until = 'infinity'""",
        (household_id, account_id, role, at(now_ms)),
    )


async def leave(conn: Connection, household_id: str, account_id: str, *, now_ms: int) -> bool:
    """End a membership; False: there is none in force. An owner's is not ended by this."""
    cursor = await conn.execute(
        """UPDATE household_member SET until = %(now)s
           WHERE household_id = %(household)s AND account_id = %(account)s AND until > %(now)s AND role <> 'owner'""",
        {"household": household_id, "account": account_id, "now": at(now_ms)},
    )
    return cursor.rowcount == 1


async def begin_guardianships(conn: Connection, household_id: str, account_id: str, *, town_ms: int) -> None:
    """Put an account in charge of every ward of a household, from `town_ms` on."""
    await conn.execute(
        """INSERT INTO guardianship (guardian_id, ward_id, since)
           SELECT %(account)s, ward_id, %(now)s FROM household_ward WHERE household_id = %(household)s
           ON CONFLICT (guardian_id, ward_id) DO UPDATE SET since = excluded.since, until = 'infinity'
               WHERE guardianship.until <= excluded.since""",
        {"account": account_id, "household": household_id, "now": at(town_ms)},
    )


async def end_guardianships(conn: Connection, household_id: str, account_id: str, *, town_ms: int) -> None:
    """End an account's charge of every ward of a household."""
    await conn.execute(
        """UPDATE guardianship AS g SET until = %(now)s FROM household_ward AS w
           WHERE w.household_id = %(household)s AND w.ward_id = g.ward_id AND g.guardian_id = %(account)s
             AND g.until > %(now)s""",
        {"account": account_id, "household": household_id, "now": at(town_ms)},
    )


async def tell(conn: Connection, household_id: str, kind: str, about_id: str, *, now_ms: int) -> None:
    """Tell every other member in force that somebody was invited, has joined or has left."""
    await conn.execute(
        f"""INSERT INTO household_news (account_id, household_id, kind, about_id, at)
            SELECT m.account_id, m.household_id, %(kind)s, %(about)s, %(now)s FROM household_member AS m
            WHERE m.household_id = %(household)s AND m.account_id <> %(about)s AND {_IN_FORCE}""",  # noqa: S608 - constants
        {"household": household_id, "kind": kind, "about": about_id, "now": at(now_ms)},
    )


async def news(conn: Connection, household_id: str, account_id: str) -> list[NewsRow]:
    """Return what a member has not read yet, the newest first."""
    async with conn.cursor(row_factory=class_row(NewsRow)) as cursor:
        await cursor.execute(
            """SELECT n.kind, a.name_ja, a.name_en, (extract(epoch FROM n.at) * 1000)::bigint AS at_ms
               FROM household_news AS n JOIN account AS a ON a.id = n.about_id
               WHERE n.household_id = %s AND n.account_id = %s ORDER BY n.id DESC LIMIT 100""",
            (household_id, account_id),
        )
        return await cursor.fetchall()


async def forget_news(conn: Connection, account_id: str) -> None:
    """Forget what a member has read."""
    await conn.execute("DELETE FROM household_news WHERE account_id = %s", (account_id,))
