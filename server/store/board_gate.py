"""What the board has opened: purposes, sensors, AI functions, classes of recipients (rule 23)."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from server.store.connection import Connection, at


@dataclass(frozen=True, slots=True)
class GateRow:
    """An opening and what it stands on.

    Attributes:
        id: kind and name, such as "sensor:sound".
        opinion: of the board, as it is cited.
        checklist_items: how many were answered, on `checklist_on`.
        notice_on: day of the public notice.
    """

    id: str
    opinion: str
    checklist_items: int
    checklist_on: dt.date
    notice_on: dt.date


async def open_(conn: Connection, row: GateRow, *, at_ms: int, entry: int) -> None:
    """Open a gate, or open it again on a new opinion."""
    await conn.execute(
        """INSERT INTO board_gate (id, opinion, checklist_items, checklist_on, notice_on, opened_at, entry_id)
           VALUES (%s, %s, %s, %s, %s, %s, %s)
           ON CONFLICT (id) DO UPDATE SET opinion = excluded.opinion, checklist_items = excluded.checklist_items,
               checklist_on = excluded.checklist_on, notice_on = excluded.notice_on, opened_at = excluded.opened_at,
               closed_at = NULL, entry_id = excluded.entry_id""",
        (row.id, row.opinion, row.checklist_items, row.checklist_on, row.notice_on, at(at_ms), entry),
    )


async def close(conn: Connection, gate: str, *, at_ms: int, entry: int) -> bool:
    """Shut a gate; return whether it was open."""
    done = await conn.execute(
        "UPDATE board_gate SET closed_at = %s, entry_id = %s WHERE id = %s AND closed_at IS NULL",
        (at(at_ms), entry, gate),
    )
    return done.rowcount == 1


async def opened(conn: Connection) -> list[GateRow]:
    """Return the gates that are open, by id."""
    found = await conn.execute(
        """SELECT id, opinion, checklist_items, checklist_on, notice_on FROM board_gate
           WHERE closed_at IS NULL ORDER BY id"""
    )
    return [GateRow(*row) for row in await found.fetchall()]
