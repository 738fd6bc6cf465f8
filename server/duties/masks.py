"""Changes of masks: one draws, another checks, a third approves; only then is the mask ordered (rule 15)."""

from __future__ import annotations

from privacy.cases import Step
from privacy.masks import Mask
from privacy.policy.question import Decision, Ref
from privacy.policy.resources import device
from privacy.policy.resources import mask_change as resource
from privacy.terms import Action, Purpose
from server.duties.errors import MaskChangeError, NotLiveError, UnknownCameraError
from server.duties.hall import Asking, Desk, ask, settled
from server.orders.issue import CitySigner, Drawing, issue_mask
from server.store import camera_duty, mask_change
from server.store.connection import Connection
from server.store.mask_change import STATE_AFTER, MaskChange, NewChange, StepTaken

_KIND = {Step.PREPARE: "mask.drawn", Step.CHECK: "mask.checked", Step.APPROVE: "mask.changed"}
_BEFORE = {Step.CHECK: STATE_AFTER[Step.PREPARE], Step.APPROVE: STATE_AFTER[Step.CHECK]}


async def draw(desk: Desk, new: NewChange) -> int:
    """Return the number of a new change.

    Raises:
        MaskError: the drawing is no mask.
        MaskChangeError: another change of this camera is open.
        RefusedError: not this account.
        UnknownCameraError: no such camera in force.
    """
    Mask(new.detector, 1, new.polygons, desk.now_ms, new.is_bare)
    number = 0
    async with desk.conn.transaction():
        if await camera_duty.standing(desk.conn, desk.hall.city, new.detector, locked=True) is None:
            raise UnknownCameraError
        if await mask_change.is_open(desk.conn, new.detector):
            raise MaskChangeError("先の変更が終わっていません。Another change of this camera is open")
        decision, entry = await _ask(desk, Step.PREPARE, detector=new.detector, by={})
        if decision.allowed:
            number = await mask_change.draw(desk.conn, new, at_ms=desk.now_ms)
            taken = StepTaken(Step.PREPARE, desk.asker.account, desk.asker.role, entry)
            await mask_change.take(desk.conn, number, taken, at_ms=desk.now_ms)
    settled(decision)
    return number


async def take(desk: Desk, change: int, step: Step) -> None:
    """Check or approve a change.

    Raises:
        MaskChangeError: no such change, or this is not its next step.
        RefusedError: not this account: another role, or a person who took a step of it before.
    """
    async with desk.conn.transaction():
        found = await _of_city(desk, change)
        if found.state != _BEFORE[step]:
            raise MaskChangeError
        by = {done: account for done, (_, account) in found.by.items()}
        decision, entry = await _ask(desk, step, detector=found.detector, by=by)
        if decision.allowed:
            taken = StepTaken(step, desk.asker.account, desk.asker.role, entry)
            await mask_change.take(desk.conn, change, taken, at_ms=desk.now_ms)
    settled(decision)


async def drop(desk: Desk, change: int) -> None:
    """Give a change up that is not approved yet: whoever looks after the devices may.

    Raises:
        MaskChangeError: no such change, or it is approved.
        RefusedError: not this account.
    """
    async with desk.conn.transaction():
        found = await _of_city(desk, change)
        if found.state not in _BEFORE.values():
            raise MaskChangeError
        asking = Asking(
            Action.VIEW_DEVICES,
            device(found.detector),
            Purpose.DEVICE_MAINTENANCE,
            "mask.dropped",
            {"camera": found.detector},
        )
        decision, _ = await ask(desk, asking)
        if decision.allowed:
            await mask_change.drop(desk.conn, change)
    settled(decision)


async def send(conn: Connection, signer: CitySigner, detector: str, *, now_ms: int) -> tuple[int, int]:
    """Return sequence and version of the order that brings the approved change to its gateway.

    Args:
        conn: of the owner: nobody else may order masks.
        signer: of the city.
        detector: id of the camera's gateway.
        now_ms: wall time.

    Raises:
        MaskChangeError: nothing approved is waiting.
        NotLiveError: the camera is not live (rule 20): with a mask it would record.
        UnknownCameraError: no such camera in force.
    """
    async with conn.transaction():
        standing = await camera_duty.standing(conn, signer.city, detector, locked=True)
        if standing is None:
            raise UnknownCameraError
        if standing.live_ms is None:
            raise NotLiveError(detector, standing.missing)
        change = await mask_change.unsent(conn, detector)
        if change is None:
            raise MaskChangeError("承認済みで未送信の変更がありません。No approved change waits to be sent")
        drawing = Drawing(change.polygons, change.is_bare)
        sequence, version = await issue_mask(conn, signer, detector, drawing=drawing, now_ms=now_ms)
        await mask_change.mark_sent(conn, change.id, at_ms=now_ms)
        return sequence, version


async def _of_city(desk: Desk, change: int) -> MaskChange:
    found = await mask_change.find(desk.conn, change)
    if found is None or await camera_duty.standing(desk.conn, desk.hall.city, found.detector) is None:
        raise MaskChangeError
    return found


async def _ask(desk: Desk, step: Step, *, detector: str, by: dict[Step, str]) -> tuple[Decision, int]:
    asking = Asking(
        Action.CHANGE_MASK,
        resource(detector, by),
        Purpose.DEVICE_MAINTENANCE,
        _KIND[step],
        {"camera": detector, "step": step.value},
        {"step": Ref("Step", step.value)},
    )
    return await ask(desk, asking)
