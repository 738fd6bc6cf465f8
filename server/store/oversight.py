"""Complaints, inspections and breaches, as the city writes them down; the annual report counts their entries."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

from server.store.connection import Connection, at


class Oversight(StrEnum):
    """What is written down, and by which kind of entry the log says so."""

    COMPLAINT = "complaint"  # 苦情
    INSPECTION = "inspection"  # 点検・監査
    BREACH = "breach"  # 漏えい等


ENTRY_OF = {
    Oversight.COMPLAINT: "complaint.received",
    Oversight.INSPECTION: "inspection.held",
    Oversight.BREACH: "breach.found",
}


@dataclass(frozen=True, slots=True)
class OversightRow:
    """One of them.

    Attributes:
        kind: which.
        happened_on: day.
        summary: for city hall alone; never in the log.
        findings: of an inspection.
        persons: concerned by a breach.
    """

    kind: Oversight
    happened_on: dt.date
    summary: str
    findings: int = 0
    persons: int = 0


async def add(conn: Connection, row: OversightRow, *, at_ms: int, entry: int) -> None:
    """Write one down; `entry` of the log says so too."""
    await conn.execute(
        """INSERT INTO oversight (kind, happened_on, findings, persons, summary, recorded_at, entry_id)
           VALUES (%s, %s, %s, %s, %s, %s, %s)""",
        (row.kind.value, row.happened_on, row.findings, row.persons, row.summary, at(at_ms), entry),
    )


async def newest(conn: Connection, limit: int) -> list[OversightRow]:
    """Return the newest, newest first."""
    found = await conn.execute(
        """SELECT kind, happened_on, summary, findings, persons FROM oversight
           ORDER BY happened_on DESC, id DESC LIMIT %s""",
        (limit,),
    )
    return [OversightRow(Oversight(row[0]), *row[1:]) for row in await found.fetchall()]
