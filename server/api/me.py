"""Who is signed in, and everything the first page needs."""

from __future__ import annotations

from fastapi import APIRouter

from privacy.terms import Role
from privacy.transparency.record import Record
from server.accounts.recipients import is_recipient
from server.api import problems
from server.api.access import SIGNED_IN, FreshSessionNow, OwnWardsPermit, PartsNow, SessionNow
from server.api.schemas import Account, City, Guardian, Me, NewRecipient, TownClock, Ward
from server.store import accounts, audit, family

router = APIRouter(prefix="/api/v1", tags=["session"])


@router.get("/me", summary="わたしと見守る人 / Me and my wards", responses=problems.documented(*SIGNED_IN))
async def get_me(parts: PartsNow, session: SessionNow, permit: OwnWardsPermit) -> Me:
    """The account, the city and its clock; of families the wards, and the key for Web Push."""
    config, clock = parts.config, parts.config.clock
    now_ms = clock.now_ms()
    async with parts.warden.connection() as conn:
        found = await accounts.find(conn, session.account_id)
        agency = await accounts.agency(conn, session.agency) if session.agency else None
    if found is None:
        raise problems.ProblemError(problems.NOT_SIGNED_IN)
    async with parts.permits.reading(parts.pool, permit.asker, permit.wanted, given=permit.grant) as (conn, grant):
        wards = await family.wards(conn, grant.wards)
    return Me(
        account=Account.of(found, agency),
        guardian=Guardian.model_validate(found) if session.role is Role.GUARDIAN else None,
        city=City.model_validate(config.city),
        clock=TownClock(simulated=not clock.is_wall, speed=clock.speed, now_ms=now_ms),
        wards=[Ward.model_validate(ward) for ward in wards],
        recipient=found.recipient,
        push_public_key=parts.push_public_key,
    )


@router.put(
    "/me/recipient",
    status_code=204,
    summary="受取鍵を登録 / My key for footage",
    responses=problems.documented(
        *SIGNED_IN, problems.CROSS_SITE, problems.STEP_UP, problems.MALFORMED, problems.TOO_LARGE, problems.INVALID
    ),
)
async def put_recipient(parts: PartsNow, session: FreshSessionNow, body: NewRecipient) -> None:
    """Say to which key footage is to be sealed from now on; what was sealed before opens with the key before."""
    if not is_recipient(body.recipient):
        raise problems.ProblemError(problems.INVALID)
    now_ms = parts.sessions.now_ms()
    async with parts.warden.connection() as conn, conn.transaction():
        await accounts.set_recipient(conn, session.account_id, body.recipient, now_ms=now_ms)
        changed = Record(
            "account.changed", now_ms, session.role, {"what": "recipient"}, {"account": session.account_id}
        )
        await audit.append(conn, changed)
