"""A camera's records, and when it may go live (rule 20). `may_go_live` is what orders and cases ask."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from privacy.policy.resources import camera, device
from privacy.terms import Action, Purpose
from server.duties.errors import UnknownCameraError
from server.duties.hall import Asking, Desk, ask, settled
from server.store import camera_duty
from server.store.camera_duty import Duty, DutyRow, Standing
from server.store.connection import Connection


async def record(desk: Desk, row: DutyRow) -> None:
    """Write down what was done for a camera: whoever of city hall looks after the devices may.

    Raises:
        RefusedError: not this account.
        UnknownCameraError: no such camera in force.
    """
    asking = Asking(
        Action.VIEW_DEVICES,
        device(row.detector),
        Purpose.DEVICE_MAINTENANCE,
        "camera.recorded",
        {"camera": row.detector, "record": row.kind.value, "on": row.done_on.isoformat()},
    )
    async with desk.conn.transaction():
        await _standing(desk, row.detector)
        decision, entry = await ask(desk, asking)
        if decision.allowed:
            await camera_duty.record(desk.conn, row, at_ms=desk.now_ms, entry=entry)
    settled(decision)


async def go_live(
    desk: Desk,
    detector: str,
    *,
    purposes: Collection[Purpose] | None = None,
    gates: Iterable[str] = (),
) -> None:
    """Let a camera go live.

    Args:
        desk: where it is asked.
        detector: id of the camera's gateway.
        purposes: for which footage of it may be asked; None: all of the ordinance.
        gates: of its sensors and AI functions, such as "sensor:sound".

    Raises:
        RefusedError: a record, the mask or the board's gate is missing, or not this account.
        UnknownCameraError: no such camera in force.
    """
    async with desk.conn.transaction():
        standing = await _standing(desk, detector)
        asking = _going_live(detector, standing, gates, kind="camera.live")
        decision, entry = await ask(desk, asking)
        if decision.allowed:
            await camera_duty.go_live(desk.conn, detector, purposes=purposes, at_ms=desk.now_ms, entry=entry)
    settled(decision)


async def may_go_live(conn: Connection, city: str, detector: str) -> tuple[str, ...]:
    """Return what a camera lacks to go live: records, mask; nothing: it may. Asks nobody and logs nothing.

    Raises:
        UnknownCameraError: no such camera in force.
    """
    standing = await camera_duty.standing(conn, city, detector)
    if standing is None:
        raise UnknownCameraError
    return standing.missing


async def use_sensor(desk: Desk, detector: str, gate: str) -> None:
    """Ask whether a live camera may use a sensor or AI function, such as "sensor:sound" (rule 23).

    Raises:
        RefusedError: the board's gate is shut, or a record is missing, or not this account.
        UnknownCameraError: no such camera in force.
    """
    async with desk.conn.transaction():
        standing = await _standing(desk, detector)
        asking = _going_live(detector, standing, [gate], kind="sensor.used")
        decision, _ = await ask(desk, asking)
    settled(decision)


async def end(desk: Desk, detector: str) -> bool:
    """Let a camera be live no longer; return whether it was. What is missing never stands in the way of that.

    Raises:
        RefusedError: not this account.
        UnknownCameraError: no such camera in force.
    """
    asking = Asking(
        Action.VIEW_DEVICES, device(detector), Purpose.DEVICE_MAINTENANCE, "camera.ended", {"camera": detector}
    )
    async with desk.conn.transaction():
        await _standing(desk, detector)
        decision, entry = await ask(desk, asking)
        was_live = decision.allowed and await camera_duty.end(desk.conn, detector, at_ms=desk.now_ms, entry=entry)
    settled(decision)
    return was_live


def _going_live(detector: str, standing: Standing, gates: Iterable[str], *, kind: str) -> Asking:
    wanted = frozenset(gates)
    # A notice that does not say where is none: the place must be in the public ledger, too (設置場所一覧簿).
    has_place = Duty.LOCATION in standing.duties
    records = {duty.value for duty in standing.duties if duty is not Duty.NOTICE or has_place}
    return Asking(
        Action.GO_LIVE,
        camera(detector, has_mask=standing.has_mask, records=records, gates=wanted),
        Purpose.DEVICE_MAINTENANCE,
        kind,
        {"camera": detector, "gates": ",".join(sorted(wanted))},
    )


async def _standing(desk: Desk, detector: str) -> Standing:
    found = await camera_duty.standing(desk.conn, desk.hall.city, detector, locked=True)
    if found is None:
        raise UnknownCameraError
    return found
