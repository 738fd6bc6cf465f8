"""Holds: what keeps the record of look-ups from a family until a day. One manager asks, another one confirms."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass

from privacy.policy import entities
from privacy.policy.entities import OrdinanceFacts
from privacy.policy.question import Moment, Question, Ref
from privacy.terms import Action, Purpose
from privacy.transparency.record import Fact
from server.permit.ask import Asker, Decider, Logged, RefusedError, ask
from server.store import look_up, relation
from server.store.connection import Connection
from server.store.look_up import HoldRow, NewHold
from server.store.pool import Pool
from server.store.relation import NOBODY, Moments

_NOBODY_YET = "-"
"""Who made the look-ups of a request that has none yet: nobody's account id."""


@dataclass(frozen=True, slots=True)
class HoldWish:
    """What a manager asks for.

    Attributes:
        ward_id: whose family is not to be told yet.
        reference: number of the request whose look-ups are meant.
        reason: why, in writing.
        until_ms: to which day at most, wall time, UTC ms.
    """

    ward_id: str
    reference: str
    reason: str
    until_ms: int


class Holds:
    """Asks the policies about holds and keeps them. The pool is of the role warden."""

    def __init__(self, warden: Pool, engine: Decider, ordinance: OrdinanceFacts, *, now_ms: Callable[[], int]) -> None:
        self._warden, self._engine, self._ordinance, self._now_ms = warden, engine, ordinance, now_ms

    async def ask_for(self, asker: Asker, wanted: HoldWish) -> str:
        """Return the id of a new hold, which is in force once somebody else confirms it.

        Raises:
            RefusedError: no such ward, or the policies say no.
        """
        hold_id = str(uuid.uuid4())
        async with relation.deciding(self._warden) as conn:
            reasons = await self._refused(conn, asker, wanted, by=_NOBODY_YET, kind="lookup.hold_asked")
            if reasons is None:
                new = NewHold(
                    id=hold_id,
                    ward_id=wanted.ward_id,
                    reference=wanted.reference,
                    reason=wanted.reason,
                    until_ms=wanted.until_ms,
                    asked_by=asker.account,
                    asked_ms=self._now_ms(),
                )
                await look_up.add_hold(conn, new)
        if reasons is not None:
            raise reasons
        return hold_id

    async def confirm(self, asker: Asker, ward_id: str, hold_id: str) -> HoldRow:
        """Return the hold, in force now.

        Raises:
            RefusedError: no such hold, or the policies say no: also to whoever asked for it.
        """
        async with relation.deciding(self._warden) as conn:
            hold = await look_up.find_hold(conn, ward_id, hold_id)
            wanted = HoldWish(ward_id, hold.reference, "-", hold.until_ms) if hold else HoldWish(ward_id, "", "", 0)
            by = hold.asked_by if hold else _NOBODY_YET
            reasons = await self._refused(conn, asker, wanted, by=by, kind="lookup.held")
            if reasons is None and hold is not None and not hold.is_confirmed:
                await look_up.confirm_hold(conn, hold_id, by=asker.account, now_ms=self._now_ms())
        if reasons is not None or hold is None:
            raise reasons or RefusedError(())
        return hold

    async def _refused(
        self, conn: Connection, asker: Asker, wanted: HoldWish, *, by: str, kind: str
    ) -> RefusedError | None:
        """Return why it is refused, None where it is allowed; either is in the log."""
        now = Moments(self._now_ms(), self._now_ms())
        [found] = await relation.wards(conn, asker.account, [wanted.ward_id], now=now)
        question = Question(
            entities.principal(asker.role, asker.account, asker.agency),
            Action.HOLD_LOOK_UP,
            entities.ward(wanted.ward_id, guardians=(), barred=found.barred),
            {
                "purpose": Ref("Purpose", Purpose.FAMILY_SUPPORT.value),
                "now": Moment(now.wall_ms),
                "ordinance": self._ordinance.record(),
                "hasReason": bool(wanted.reason),
                "until": Moment(wanted.until_ms),
                "by": entities.person_ref(by),
            },
        )
        facts: dict[str, Fact] = {"reference": wanted.reference, "until_ms": wanted.until_ms}
        logged = Logged(kind, Purpose.FAMILY_SUPPORT, now.wall_ms, facts, {"ward": wanted.ward_id})
        decision = await ask(conn, self._engine, asker, question, logged)
        if decision.allowed and found.version != NOBODY:
            return None
        return RefusedError(decision.reasons if not decision.allowed else ())
