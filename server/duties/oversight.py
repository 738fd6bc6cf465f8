"""Writes down complaints, inspections and breaches; the annual report counts their entries (rule 21)."""

from __future__ import annotations

from privacy.policy.resources import report
from privacy.terms import Action, Purpose, Role
from privacy.transparency.record import Fact
from server.duties.hall import Asking, Desk, ask, settled
from server.store import oversight
from server.store.oversight import ENTRY_OF, OversightRow


async def record(desk: Desk, row: OversightRow) -> None:
    """Write one down: whoever may read the report before it is published may, the manager and the board.

    Raises:
        RefusedError: not this account.
    """
    purpose = Purpose.BOARD_REVIEW if desk.asker.role is Role.BOARD else Purpose.CASE_WORK
    facts: dict[str, Fact] = {"on": row.happened_on.isoformat(), "findings": row.findings, "persons": row.persons}
    unpublished = report(str(row.happened_on.year), is_published=False)
    asking = Asking(Action.VIEW_REPORT, unpublished, purpose, ENTRY_OF[row.kind], facts)
    async with desk.conn.transaction():
        decision, entry = await ask(desk, asking)
        if decision.allowed:
            await oversight.add(desk.conn, row, at_ms=desk.now_ms, entry=entry)
    settled(decision)
