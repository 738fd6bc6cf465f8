"""Who is signed in, and everything the first page needs."""

from __future__ import annotations

from fastapi import APIRouter

from privacy.terms import Role
from server.accounts import own
from server.accounts.recipients import is_recipient
from server.accounts.sessions import FAMILY_ROLES, Session
from server.api import problems
from server.api.access import SIGNED_IN, AnySessionNow, FreshSessionNow, OwnWardsPermit, Parts, PartsNow, SessionNow
from server.api.schemas import Account, City, GivenCode, Guardian, Me, NewEmail, NewRecipient, TownClock, Ward
from server.store import accounts, family

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
    async with parts.warden.connection() as conn, conn.transaction():
        await own.set_recipient(conn, session, body.recipient, now_ms=parts.sessions.now_ms())


_OWN = (*SIGNED_IN, problems.CROSS_SITE, problems.STEP_UP, problems.NOT_FOUND)


@router.post("/me/code", summary="コードを受け取る / A code for my family", responses=problems.documented(*_OWN))
async def post_code(parts: PartsNow, session: AnySessionNow) -> GivenCode:
    """A new code in place of the old one, told this once: by a card, or when a passkey was shown just now."""
    _check_is_of_family(parts, session)
    async with parts.warden.connection() as conn, conn.transaction():
        login, code = await own.give_code(conn, session, now_ms=parts.sessions.now_ms())
    return GivenCode(login=login, code=code)


@router.put(
    "/me/email",
    status_code=204,
    summary="お知らせのメール / Where notices are mailed",
    responses=problems.documented(*_OWN, problems.MALFORMED, problems.TOO_LARGE, problems.INVALID),
)
async def put_email(parts: PartsNow, session: AnySessionNow, body: NewEmail) -> None:
    """Say where notices are mailed to, null for nowhere; as for a code, by a card or with a passkey shown just now."""
    _check_is_of_family(parts, session)
    async with parts.warden.connection() as conn, conn.transaction():
        await own.set_email(conn, session, body.email, now_ms=parts.sessions.now_ms())


def _check_is_of_family(parts: Parts, session: Session) -> None:
    if session.role not in FAMILY_ROLES:
        raise problems.ProblemError(problems.NOT_FOUND)
    if not session.is_enrolling and not parts.sessions.is_fresh(session):
        raise problems.ProblemError(problems.STEP_UP)
