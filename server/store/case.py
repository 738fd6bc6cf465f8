"""Requests for footage: the case itself and the windows it asks for. Its state changes in `case_step.py` alone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from psycopg import sql
from psycopg.rows import class_row

from privacy.cases import ENDED, State
from privacy.terms import Basis, Purpose
from server.store.connection import Connection, at

_TIMES: Final = (
    "last_confirmed_at", "created_at", "submitted_at", "freeze_until", "emergency_at", "ratified_at", "approved_at",
    "approved_until", "exported_at", "release_until", "return_by", "copies_destroyed_at", "demanded_at", "overdue_at",
    "found_at", "feedback_missing_at",
)  # fmt: skip
_PLAIN: Final = (
    "id", "number", "agency_id", "officer_id", "state", "purpose", "basis", "is_emergency", "offence", "has_occurred",
    "inquiry_number", "inquiry_on", "inquiry_station", "inquiry_officer", "warrant_number", "report_number",
    "missing_kind", "reason", "note", "mode", "recipient", "feedback",
)  # fmt: skip


def _ms_name(column: str) -> str:
    return f"{column.removesuffix('_at')}_ms" if column.endswith("_at") else f"{column}_ms"


_COLUMNS: Final = ", ".join((
    *(f"c.{name}" for name in _PLAIN),
    *(f"(extract(epoch FROM c.{name}) * 1000)::bigint AS {_ms_name(name)}" for name in _TIMES),
    "g.name_ja AS agency_ja, g.name_en AS agency_en, g.ended_at IS NULL AS is_registered",
    "a.name_ja AS officer_ja, a.name_en AS officer_en",
))  # fmt: skip
_FROM: Final = "footage_case AS c JOIN agency AS g ON g.id = c.agency_id JOIN account AS a ON a.id = c.officer_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRow:
    """A case as it stands; names of agency and officer with it. Times are wall time, UTC ms; None: not yet."""

    id: str
    number: str
    agency_id: str
    officer_id: str
    state: State
    purpose: Purpose
    basis: Basis
    is_emergency: bool
    offence: str
    has_occurred: bool
    inquiry_number: str
    inquiry_on: dt.date | None
    inquiry_station: str
    inquiry_officer: str
    warrant_number: str
    report_number: str
    missing_kind: str
    reason: str
    note: str
    mode: str | None
    recipient: str | None
    feedback: str | None
    last_confirmed_ms: int | None
    created_ms: int
    submitted_ms: int | None
    freeze_until_ms: int | None
    emergency_ms: int | None
    ratified_ms: int | None
    approved_ms: int | None
    approved_until_ms: int | None
    exported_ms: int | None
    release_until_ms: int | None
    return_by_ms: int | None
    copies_destroyed_ms: int | None
    demanded_ms: int | None
    overdue_ms: int | None
    found_ms: int | None
    feedback_missing_ms: int | None
    agency_ja: str
    agency_en: str
    is_registered: bool
    officer_ja: str
    officer_en: str

    def __post_init__(self) -> None:
        for name, kind in (("state", State), ("purpose", Purpose), ("basis", Basis)):
            object.__setattr__(self, name, kind(getattr(self, name)))


@dataclass(frozen=True, slots=True)
class Window:
    """A time of one camera.

    Attributes:
        detector: id of the camera's gateway.
        from_ms: start, UTC ms, a whole second.
        to_ms: end, not part of it.
    """

    detector: str
    from_ms: int
    to_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What an officer writes into a request."""

    purpose: Purpose
    basis: Basis
    is_emergency: bool = False
    offence: str = ""
    has_occurred: bool = False
    inquiry_number: str = ""
    inquiry_on: dt.date | None = None
    inquiry_station: str = ""
    inquiry_officer: str = ""
    warrant_number: str = ""
    report_number: str = ""
    missing_kind: str = ""
    last_confirmed_ms: int | None = None
    reason: str = ""
    note: str = ""

    def columns(self) -> dict[str, object]:
        """Return the columns of `footage_case` that it fills."""
        said: dict[str, object] = {name: getattr(self, name) for name in self.__slots__ if name != "last_confirmed_ms"}
        confirmed_ms = self.last_confirmed_ms
        return said | {"last_confirmed_at": None if confirmed_ms is None else at(confirmed_ms)}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCase:
    """A case as it begins."""

    id: str
    number: str
    city: str
    agency: str
    officer: str
    draft: Draft
    created_ms: int


async def next_number(conn: Connection, year: int) -> str:
    """Return the next number of a year, such as "2026-0001"; no other case gets it until the transaction ends."""
    cursor = await conn.execute(
        """INSERT INTO case_counter AS c (year, last) VALUES (%s, 1)
           ON CONFLICT (year) DO UPDATE SET last = c.last + 1 RETURNING last""",
        (year,),
    )
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - RETURNING gives one row or raises
    return f"{year:04d}-{int(row[0]):04d}"


async def add(conn: Connection, new: NewCase) -> None:
    """Write a new draft."""
    said = new.draft.columns() | {
        "id": new.id,
        "number": new.number,
        "city_id": new.city,
        "agency_id": new.agency,
        "officer_id": new.officer,
        "created_at": at(new.created_ms),
    }
    names = sql.SQL(", ").join(map(sql.Identifier, said))
    marks = sql.SQL(", ").join(map(sql.Placeholder, said))
    await conn.execute(sql.SQL("INSERT INTO footage_case ({}) VALUES ({})").format(names, marks), said)


async def change(conn: Connection, case_id: str, columns: Mapping[str, object]) -> None:
    """Set columns of a case; the database refuses what its state does not allow.

    Args:
        conn: of the role `warden` or `clerk`, in a transaction.
        case_id: id.
        columns: by name.
    """
    if columns:
        sets = sql.SQL(", ").join(sql.SQL("{} = {}").format(sql.Identifier(n), sql.Placeholder(n)) for n in columns)
        statement = sql.SQL("UPDATE footage_case SET {} WHERE id = {}").format(sets, sql.Placeholder("case_id"))
        await conn.execute(statement, {**columns, "case_id": case_id})


async def set_windows(conn: Connection, case_id: str, windows: Sequence[Window]) -> None:
    """Replace the windows of a draft."""
    await conn.execute("DELETE FROM case_camera WHERE case_id = %s", (case_id,))
    async with conn.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO case_camera (case_id, number, detector_id, from_at, to_at) VALUES (%s, %s, %s, %s, %s)",
            [(case_id, n, one.detector, at(one.from_ms), at(one.to_ms)) for n, one in enumerate(windows, 1)],
        )


async def find(conn: Connection, case_id: str, *, is_locked: bool = False) -> CaseRow | None:
    """Return a case; `is_locked`: others wait with their steps until this transaction ends."""
    found = await _cases(conn, f"c.id = %s {'FOR UPDATE OF c' if is_locked else ''}", (case_id,))
    return found[0] if found else None


async def by_number(conn: Connection, number: str) -> CaseRow | None:
    """Return the case with a number."""
    found = await _cases(conn, "c.number = %s", (number,))
    return found[0] if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which cases of a list are wanted.

    Attributes:
        agency: of this one alone; None: of all.
        with_drafts_of: drafts are their officer's alone; "" shows none.
        states: of these alone; empty: of all.
        before: the number that the page before ended with; "": from the newest on. One that the page could not show
            is none.
        limit: how many at most.
    """

    agency: str | None = None
    with_drafts_of: str = ""
    states: tuple[State, ...] = ()
    before: str = ""
    limit: int = 20


async def listed(conn: Connection, page: Page) -> list[CaseRow]:
    """Return a page of cases, the newest first."""
    return await _cases(
        conn,
        """(%(agency)s::text IS NULL OR c.agency_id = %(agency)s)
           AND (c.submitted_at IS NOT NULL OR c.officer_id = %(officer)s)
           AND (%(states)s::text[] = '{}' OR c.state = ANY(%(states)s))
           AND (%(before)s = '' OR (c.created_at, c.number) <
                (SELECT b.created_at, b.number FROM footage_case AS b WHERE b.number = %(before)s
                     AND (%(agency)s::text IS NULL OR b.agency_id = %(agency)s)
                     AND (b.submitted_at IS NOT NULL OR b.officer_id = %(officer)s)))
           ORDER BY c.created_at DESC, c.number DESC LIMIT %(limit)s""",
        {
            "agency": page.agency,
            "officer": page.with_drafts_of,
            "states": [state.value for state in page.states],
            "before": page.before,
            "limit": page.limit,
        },
    )


async def working(conn: Connection) -> list[CaseRow]:
    """Return all submitted cases that may still have something to be done by time: not closed, or holding copies."""
    return await _cases(
        conn,
        """c.submitted_at IS NOT NULL AND (
               NOT c.state = ANY(%(ended)s)
               OR EXISTS (SELECT FROM case_order AS o JOIN gateway_order AS g USING (detector_id, sequence)
                          WHERE o.case_id = c.id AND o.kind = 'freeze' AND NOT EXISTS (
                              SELECT FROM case_order AS t
                              WHERE t.case_id = c.id AND t.detector_id = o.detector_id AND t.kind = 'thaw'))
               OR EXISTS (SELECT FROM export AS e WHERE e.case_id = c.number AND e.destroyed_at IS NULL
                          AND e.state = 'whole'))
           ORDER BY c.created_at""",
        {"ended": [state.value for state in ENDED]},
    )


async def recipient_of(conn: Connection, account: str) -> str | None:
    """Return the age key to which an officer wants footage sealed."""
    cursor = await conn.execute("SELECT recipient FROM account WHERE id = %s", (account,))
    row = await cursor.fetchone()
    return None if row is None else row[0]


async def windows(conn: Connection, case_id: str) -> list[Window]:
    """Return what a case asks for, in the order of its rows."""
    cursor = await conn.execute(
        """SELECT detector_id, (extract(epoch FROM from_at) * 1000)::bigint, (extract(epoch FROM to_at) * 1000)::bigint
           FROM case_camera WHERE case_id = %s ORDER BY number""",
        (case_id,),
    )
    return [Window(row[0], int(row[1]), int(row[2])) for row in await cursor.fetchall()]


async def _cases(conn: Connection, condition: str, values: Any) -> list[CaseRow]:  # noqa: ANN401 - parameters of SQL
    async with conn.cursor(row_factory=class_row(CaseRow)) as cursor:
        await cursor.execute(f"SELECT {_COLUMNS} FROM {_FROM} WHERE {condition}".encode(), values)  # noqa: S608 - ours
        return await cursor.fetchall()
