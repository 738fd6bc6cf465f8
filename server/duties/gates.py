"""Opens and shuts what waits for the board: purposes, sensors, AI functions, classes of recipients (rule 23)."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final
from zoneinfo import ZoneInfo

from privacy.policy.resources import gate as resource
from privacy.terms import Action, Purpose
from server.duties.errors import DutyError, ShutGateError
from server.duties.hall import Asking, Desk, ask, settled
from server.store import board_gate
from server.store.board_gate import GateRow

SOUND: Final = "sensor:sound"
_NAME: Final = re.compile(r"(purpose|sensor|ai|recipient):[a-z0-9_]{1,40}")
_KEYS: Final = {"purpose": "purpose", "sensor": "sensor", "ai": "ai_function", "recipient": "recipient_class"}
_TOKYO: Final = ZoneInfo("Asia/Tokyo")


class GateNameError(DutyError):
    """門の名前は purpose: sensor: ai: recipient: で始まる。Gates are named purpose:…, sensor:…, ai:…, recipient:…."""


async def open_(desk: Desk, row: GateRow) -> None:
    """Open a gate on the board's opinion, the checklist and the notice.

    Raises:
        GateNameError: no gate has this name.
        RefusedError: one of the three is missing, the notice is of a day to come, or not this account.
    """
    if not _NAME.fullmatch(row.id):
        raise GateNameError
    async with desk.conn.transaction():
        decision, entry = await ask(desk, _asking(desk, row, "gate.opened"))
        if decision.allowed:
            await board_gate.open_(desk.conn, row, at_ms=desk.now_ms, entry=entry)
    settled(decision)


async def close(desk: Desk, gate: str) -> None:
    """Shut a gate.

    Raises:
        RefusedError: not this account.
        ShutGateError: it is not open.
    """
    async with desk.conn.transaction():
        row = next((one for one in await board_gate.opened(desk.conn) if one.id == gate), None)
        if row is None:
            raise ShutGateError(gate)
        decision, entry = await ask(desk, _asking(desk, row, "gate.closed"))
        if decision.allowed:
            await board_gate.close(desk.conn, gate, at_ms=desk.now_ms, entry=entry)
    settled(decision)


async def opened(desk: Desk, gate: str) -> GateRow | None:
    """Return what an open gate stands on; None where this city's profile has no gate of the kind.

    Raises:
        ShutGateError: the board has not opened it.
    """
    row = next((one for one in await board_gate.opened(desk.conn) if one.id == gate), None)
    if row is None and _KEYS[gate.partition(":")[0]] in desk.hall.profile.gated:
        raise ShutGateError(gate)
    return row


def _asking(desk: Desk, row: GateRow, kind: str) -> Asking:
    day = dt.datetime.combine(row.notice_on, dt.time(), _TOKYO)
    is_answered = row.checklist_items >= desk.hall.profile.number_of("checklist_items")
    return Asking(
        Action.OPEN_GATE,
        resource(
            row.id,
            has_opinion=bool(row.opinion),
            has_checklist=is_answered,
            notice_on_ms=int(day.timestamp()) * 1000,
        ),
        Purpose.CASE_WORK,
        kind,
        {"gate": row.id, "checklist_items": row.checklist_items, "notice_on": row.notice_on.isoformat()},
    )
