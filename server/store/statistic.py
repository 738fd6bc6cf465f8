"""Counts of people that wait to be published, and what was published of them, for ever."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg.errors import UniqueViolation

from privacy.anonymity import BudgetSpentError, Cell, Disclosure
from server.store.connection import Connection, at, ms_of


@dataclass(frozen=True, slots=True)
class Pending:
    """A day that is being counted.

    Attributes:
        day: in the city.
        meshes: where people are counted.
        hours: that have been counted.
    """

    day: dt.date
    meshes: tuple[int, ...]
    hours: tuple[int, ...]

    @property
    def domain(self) -> tuple[Cell, ...]:
        """All cells that may be published."""
        return tuple(Cell(mesh, hour) for mesh in self.meshes for hour in self.hours)


@dataclass(frozen=True, slots=True)
class ReleaseRow:
    """A day that was published.

    Attributes:
        day: in the city.
        hours: that were counted.
        rule: how much was told.
        threshold: smallest count with noise that was shown.
        released: cells that are shown; `suppressed`: cells that are not.
        published_ms: wall time, UTC.
    """

    day: dt.date
    hours: tuple[int, ...]
    rule: Disclosure
    threshold: int
    released: int
    suppressed: int
    published_ms: int


async def count_hour(conn: Connection, from_ms: int) -> bool:
    """Count the hour that begins at `from_ms`, town time; return whether it was counted now and not before.

    Raises:
        DatabaseError: it is no hour that is counted.
    """
    row = await (await conn.execute("SELECT statistic_count_hour(%s)", (at(from_ms),))).fetchone()
    return row is not None and bool(row[0])


async def counted(conn: Connection, since: dt.date) -> set[tuple[dt.date, int]]:
    """Return day and hour of what has been counted from a day on."""
    rows = await conn.execute("SELECT day, hour FROM statistic_hour WHERE day >= %s", (since,))
    return {(row[0], row[1]) for row in await rows.fetchall()}


async def pending(conn: Connection, before: dt.date) -> list[Pending]:
    """Return the days before `before` that were counted and not published, the oldest first."""
    rows = await conn.execute(
        """SELECT d.day, d.meshes, ARRAY(SELECT h.hour FROM statistic_hour AS h WHERE h.day = d.day ORDER BY h.hour)
           FROM statistic_day AS d WHERE d.day < %s ORDER BY d.day""",
        (before,),
    )
    return [Pending(row[0], tuple(row[1]), tuple(row[2])) for row in await rows.fetchall()]


async def take(conn: Connection, day: dt.date, rule: Disclosure) -> dict[Cell, int]:
    """Return a day's counts, which are gone then, and spend its budget, in the caller's transaction.

    Raises:
        BudgetSpentError: the day has been published, or was to be.
    """
    try:
        rows = await conn.execute("SELECT hour, mesh, people FROM statistic_take(%s, %s)", (day, rule.epsilon))
    except UniqueViolation as error:
        raise BudgetSpentError(f"the budget of {day} is spent") from error
    return {Cell(row[1], row[0]): row[2] for row in await rows.fetchall()}


async def save(conn: Connection, row: ReleaseRow, cells: Mapping[Cell, int], *, entry: int) -> None:
    """Publish a day; `entry` of the log says so too. It can never be changed."""
    rule = row.rule
    await conn.execute(
        """INSERT INTO statistic_release (day, hours, k, epsilon, delta, threshold, cells_a_day, released, suppressed,
                                          published_at, entry_id)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
        (
            row.day,
            list(row.hours),
            rule.k,
            rule.epsilon,
            rule.delta,
            row.threshold,
            rule.cells_a_day,
            row.released,
            row.suppressed,
            at(row.published_ms),
            entry,
        ),
    )
    async with conn.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO statistic_cell (day, hour, mesh, people) VALUES (%s, %s, %s, %s)",
            [(row.day, cell.hour, cell.mesh, people) for cell, people in sorted(cells.items())],
        )


async def releases(conn: Connection, limit: int) -> list[ReleaseRow]:
    """Return what was published, newest days first."""
    rows = await conn.execute(
        """SELECT day, hours, k, epsilon, delta, cells_a_day, threshold, released, suppressed, published_at
           FROM statistic_release ORDER BY day DESC LIMIT %s""",
        (limit,),
    )
    return [_release(row) for row in await rows.fetchall()]


async def release(conn: Connection, day: dt.date) -> tuple[ReleaseRow, dict[Cell, int]] | None:
    """Return a published day and its cells in order; None: it was not published."""
    rows = await conn.execute(
        """SELECT day, hours, k, epsilon, delta, cells_a_day, threshold, released, suppressed, published_at
           FROM statistic_release WHERE day = %s""",
        (day,),
    )
    found = await rows.fetchone()
    if found is None:
        return None
    cells = await conn.execute(
        "SELECT mesh, hour, people FROM statistic_cell WHERE day = %s ORDER BY hour, mesh", (day,)
    )
    return _release(found), {Cell(row[0], row[1]): row[2] for row in await cells.fetchall()}


def _release(row: tuple[Any, ...]) -> ReleaseRow:
    return ReleaseRow(
        day=row[0],
        hours=tuple(row[1]),
        rule=Disclosure(k=row[2], epsilon=row[3], delta=row[4], cells_a_day=row[5]),
        threshold=row[6],
        released=row[7],
        suppressed=row[8],
        published_ms=ms_of(row[9]),
    )
