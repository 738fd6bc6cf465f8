"""Protective measures (DV等支援措置 and the like): which account may learn nothing of which ward. Role warden."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from psycopg.rows import class_row

from server.store.connection import Connection, at


@dataclass(frozen=True, slots=True)
class MeasureRow:
    """A measure. It is in force while `since_ms` <= now < `until_ms`, wall time."""

    id: str
    ward_id: str
    account_id: str
    since_ms: int
    until_ms: int
    entered_by: str
    confirmed_by: str | None
    end_asked_by: str | None
    ended_by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMeasure:
    """A measure to enter: until `until_ms`, or until `asked_until_ms` once it is confirmed."""

    ward_id: str
    account_id: str
    entered_by: str
    since_ms: int
    until_ms: int
    asked_until_ms: int


_COLUMNS: Final = """
    id, ward_id, account_id, (extract(epoch FROM since) * 1000)::bigint AS since_ms,
    (extract(epoch FROM until) * 1000)::bigint AS until_ms, entered_by, confirmed_by, end_asked_by, ended_by
"""


async def enter(conn: Connection, new: NewMeasure) -> str:
    """Enter a measure and return its id; it bars from `since_ms` on, everywhere.

    Raises:
        DatabaseError: there is no such ward or account.
    """
    cursor = await conn.execute(
        """INSERT INTO protective_measure (ward_id, account_id, entered_by, since, until, asked_until)
           VALUES (%s, %s, %s, %s, %s, %s) RETURNING id""",
        (
            new.ward_id,
            new.account_id,
            new.entered_by,
            at(new.since_ms),
            at(new.until_ms),
            at(new.asked_until_ms),
        ),
    )
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - RETURNING gives one row or raises
    return str(row[0])


async def find(conn: Connection, measure_id: str) -> MeasureRow | None:
    """Return a measure, locked until the transaction ends."""
    async with conn.cursor(row_factory=class_row(MeasureRow)) as cursor:
        await cursor.execute(
            f"SELECT {_COLUMNS} FROM protective_measure WHERE id = %s FOR UPDATE",  # noqa: S608 - constants
            (measure_id,),
        )
        return await cursor.fetchone()


async def every(conn: Connection) -> list[MeasureRow]:
    """Return all measures, the newest first."""
    async with conn.cursor(row_factory=class_row(MeasureRow)) as cursor:
        await cursor.execute(f"SELECT {_COLUMNS} FROM protective_measure ORDER BY since DESC, id")  # noqa: S608 - constants
        return await cursor.fetchall()


async def confirm(conn: Connection, measure_id: str, account_id: str, *, now_ms: int) -> bool:
    """Let a second person confirm a measure, which then lasts as long as was asked for.

    Returns:
        False: no such measure in force, confirmed before, or the same person.
    """
    cursor = await conn.execute(
        """UPDATE protective_measure SET confirmed_by = %(by)s, confirmed_at = %(now)s, until = asked_until
           WHERE id = %(id)s AND confirmed_by IS NULL AND entered_by <> %(by)s AND until > %(now)s
             AND ended_by IS NULL""",
        {"id": measure_id, "by": account_id, "now": at(now_ms)},
    )
    return cursor.rowcount == 1


async def ask_end(conn: Connection, measure_id: str, account_id: str, *, now_ms: int) -> bool:
    """Let a first person ask that a measure be lifted; it stays in force.

    Returns:
        False: no such measure in force, asked before, or the person is whom it bars.
    """
    cursor = await conn.execute(
        """UPDATE protective_measure SET end_asked_by = %(by)s
           WHERE id = %(id)s AND end_asked_by IS NULL AND account_id <> %(by)s AND until > %(now)s""",
        {"id": measure_id, "by": account_id, "now": at(now_ms)},
    )
    return cursor.rowcount == 1


async def end(conn: Connection, measure_id: str, account_id: str, *, now_ms: int) -> bool:
    """Let a second person lift a measure.

    Returns:
        False: nobody asked for it, the same person did, the person is whom it bars, or it is over.
    """
    cursor = await conn.execute(
        """UPDATE protective_measure SET ended_by = %(by)s, until = greatest(%(now)s, since + interval '1 millisecond')
           WHERE id = %(id)s AND end_asked_by <> %(by)s AND account_id <> %(by)s AND until > %(now)s""",
        {"id": measure_id, "by": account_id, "now": at(now_ms)},
    )
    return cursor.rowcount == 1


async def barred(conn: Connection, ward_id: str, *, now_ms: int) -> frozenset[str]:
    """Return the accounts that may learn nothing of a ward now."""
    cursor = await conn.execute(
        "SELECT account_id FROM protective_measure WHERE ward_id = %(ward)s AND since <= %(now)s AND until > %(now)s",
        {"ward": ward_id, "now": at(now_ms)},
    )
    return frozenset(str(row[0]) for row in await cursor.fetchall())
