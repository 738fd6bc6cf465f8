"""Declares disasters: named cameras, an end (rule 25). A disaster is over when its time is, without anybody's doing."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from privacy.policy.resources import disaster as resource
from privacy.terms import Action, Purpose
from privacy.transparency.record import Fact
from server.duties.errors import DutyError, UnknownCameraError
from server.duties.hall import Asking, Desk, ask, settled
from server.store import camera_duty, disaster

_HOUR_MS: Final = 3_600_000


class NoDisasterError(DutyError):
    """この災害は続いていません。There is no such disaster in force."""


async def declare(desk: Desk, reason: str, *, cameras: Collection[str], hours: int) -> int:
    """Return the number of a disaster that begins now.

    Args:
        desk: where it is declared.
        reason: what happened; not in the log.
        cameras: ids of gateways.
        hours: how long; at most what the ordinance says.

    Raises:
        RefusedError: it names no camera or lasts too long, or not this account.
        UnknownCameraError: one of the cameras is none in force.
    """
    wanted, until_ms, number = frozenset(cameras), desk.now_ms + hours * _HOUR_MS, 0
    async with desk.conn.transaction():
        for camera in sorted(wanted):
            if await camera_duty.standing(desk.conn, desk.hall.city, camera) is None:
                raise UnknownCameraError
        asking = _asking("new", len(wanted), until_ms, "disaster.declared")
        decision, entry = await ask(desk, asking)
        if decision.allowed:
            span_ms = (desk.now_ms, until_ms)
            number = await disaster.declare(desk.conn, reason, wanted, span_ms=span_ms, entry=entry)
    settled(decision)
    return number


async def end(desk: Desk, number: int) -> None:
    """End a disaster before its time.

    Raises:
        NoDisasterError: it is not in force.
        RefusedError: not this account.
    """
    async with desk.conn.transaction():
        running = await disaster.in_force(desk.conn, desk.hall.city, now_ms=desk.now_ms)
        found = next((one for one in running if one.id == number), None)
        if found is None:
            raise NoDisasterError
        asking = _asking(str(number), len(found.cameras), found.until_ms, "disaster.ended")
        decision, _ = await ask(desk, asking)
        if decision.allowed:
            await disaster.end(desk.conn, number, at_ms=desk.now_ms)
    settled(decision)


def _asking(name: str, cameras: int, until_ms: int, kind: str) -> Asking:
    facts: dict[str, Fact] = {"disaster": name, "cameras": cameras, "until_ms": until_ms}
    return Asking(
        Action.DECLARE_DISASTER, resource(name, cameras=cameras, until_ms=until_ms), Purpose.DISASTER, kind, facts
    )
