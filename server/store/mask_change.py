"""Changes of masks: drawn by one, checked by another, approved by a third (rule 15)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from privacy.cases import Step
from privacy.masks import Polygon
from privacy.terms import Role
from server.store.connection import Connection, at

STATE_AFTER: Final = {Step.PREPARE: "prepared", Step.CHECK: "checked", Step.APPROVE: "approved"}

"""Where a change stands when a step was taken."""


@dataclass(frozen=True, slots=True)
class MaskChange:
    """A change.

    Attributes:
        id: its number.
        detector: id of the camera's gateway.
        polygons: areas to be black, points in shares of width and height.
        is_bare: nothing private is in view.
        reason: why.
        state: "prepared", "checked", "approved" or "dropped".
        is_sent: it was ordered of the gateway.
        by: who took which step: (role, account).
    """

    id: int
    detector: str
    polygons: tuple[Polygon, ...]
    is_bare: bool
    reason: str
    state: str
    is_sent: bool
    by: dict[Step, tuple[Role, str]]


@dataclass(frozen=True, slots=True)
class NewChange:
    """What somebody drew."""

    detector: str
    polygons: tuple[Polygon, ...]
    is_bare: bool
    reason: str


async def draw(conn: Connection, new: NewChange, *, at_ms: int) -> int:
    """Return the number of a new change.

    Raises:
        DatabaseError: another one of this camera is open.
    """
    cursor = await conn.execute(
        """INSERT INTO mask_change (detector_id, polygons, is_bare, reason, prepared_at)
           VALUES (%s, %s, %s, %s, %s) RETURNING id""",
        (new.detector, json.dumps(new.polygons), new.is_bare, new.reason, at(at_ms)),
    )
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - RETURNING gives one row or raises
    return int(row[0])


@dataclass(frozen=True, slots=True)
class StepTaken:
    """A step, who took it, and the entry of the log that says so."""

    step: Step
    account: str
    role: Role
    entry: int


async def take(conn: Connection, change: int, taken: StepTaken, *, at_ms: int) -> None:
    """Write down a step and move the change on.

    Raises:
        DatabaseError: the same person took another one, or it does not lead on from here.
    """
    await conn.execute(
        "INSERT INTO mask_step (change_id, step, account_id, role, at, entry_id) VALUES (%s, %s, %s, %s, %s, %s)",
        (change, taken.step.value, taken.account, taken.role.value, at(at_ms), taken.entry),
    )
    if taken.step is not Step.PREPARE:
        await conn.execute(
            "UPDATE mask_change SET state = %s, approved_at = %s WHERE id = %s",
            (STATE_AFTER[taken.step], at(at_ms) if taken.step is Step.APPROVE else None, change),
        )


async def drop(conn: Connection, change: int) -> bool:
    """Give a change up that is not approved yet; return whether it was open."""
    done = await conn.execute(
        "UPDATE mask_change SET state = 'dropped' WHERE id = %s AND state IN ('prepared', 'checked')", (change,)
    )
    return done.rowcount == 1


async def is_open(conn: Connection, detector: str) -> bool:
    """Return whether a change of this camera waits for a step."""
    found = await conn.execute(
        "SELECT 1 FROM mask_change WHERE detector_id = %s AND state IN ('prepared', 'checked')", (detector,)
    )
    return await found.fetchone() is not None


async def find(conn: Connection, change: int) -> MaskChange | None:
    """Return a change, locked until the transaction ends; the role must be one that may see who took its steps."""
    found = await conn.execute(
        """SELECT id, detector_id, polygons, is_bare, reason, state, sent_at IS NOT NULL
           FROM mask_change WHERE id = %s FOR NO KEY UPDATE""",
        (change,),
    )
    row = await found.fetchone()
    if row is None:
        return None
    steps = await conn.execute("SELECT step, role, account_id FROM mask_step WHERE change_id = %s", (change,))
    by = {Step(step): (Role(role), account) for step, role, account in await steps.fetchall()}
    return _change(row, by)


async def unsent(conn: Connection, detector: str) -> MaskChange | None:
    """Return the newest approved change of a camera if it waits to be ordered; without who took its steps."""
    found = await conn.execute(
        """SELECT id, detector_id, polygons, is_bare, reason, state, sent_at IS NOT NULL
           FROM mask_change WHERE detector_id = %s AND state = 'approved' ORDER BY id DESC LIMIT 1 FOR NO KEY UPDATE""",
        (detector,),
    )
    row = await found.fetchone()
    if row is None or row[6]:
        return None
    return _change(row, {})


async def mark_sent(conn: Connection, change: int, *, at_ms: int) -> None:
    """Remember that a change was ordered of its gateway."""
    await conn.execute("UPDATE mask_change SET sent_at = %s WHERE id = %s", (at(at_ms), change))


def _change(row: tuple[Any, ...], by: dict[Step, tuple[Role, str]]) -> MaskChange:
    polygons = tuple(tuple((float(x), float(y)) for x, y in area) for area in row[2])
    return MaskChange(row[0], row[1], polygons, row[3], row[4], row[5], row[6], by)
