"""The household of a family: its members, inviting one, ending a membership, and what its members are told."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from server.accounts import households
from server.accounts.desk import AccountError
from server.accounts.sessions import Session
from server.api import problems
from server.api.access import SIGNED_IN, FreshSessionNow, PartsNow, SessionNow
from server.api.schemas import GivenCard, Household, Invitation, Member, News
from server.permit.ask import Asker, RefusedError
from server.store import households as rows
from server.store.connection import Connection
from server.store.households import HouseholdRow

router = APIRouter(prefix="/api/v1/household", tags=["family"])
_CHANGING = (*SIGNED_IN, problems.CROSS_SITE, problems.STEP_UP, problems.NOT_FOUND)


@router.get("", summary="わたしの世帯 / My household", responses=problems.documented(*SIGNED_IN, problems.NOT_FOUND))
async def get_household(parts: PartsNow, session: SessionNow) -> Household:
    """Who watches over the same people, and what is new among them."""
    now_ms = parts.sessions.now_ms()
    async with parts.warden.connection() as conn:
        mine = await _mine(conn, session, now_ms=now_ms)
        members = await rows.members(conn, mine.id, now_ms=now_ms)
        news = await rows.news(conn, mine.id, session.account_id)
    return Household(
        name=mine.name,
        is_owner=mine.role == "owner",
        members=[
            Member.model_validate(one).model_copy(update={"is_me": one.account_id == session.account_id})
            for one in members
        ],
        news=[News.model_validate(one) for one in news],
    )


@router.post(
    "/invitations",
    summary="保護者を招待する / Invite a guardian",
    responses=problems.documented(*_CHANGING, problems.MALFORMED, problems.TOO_LARGE, problems.INVALID),
)
async def post_invitation(parts: PartsNow, session: FreshSessionNow, body: Invitation) -> GivenCard:
    """Make a card with which somebody joins the household; for its owner, with a passkey shown just now."""
    invitation = households.Invitation(body.role, body.name_ja, body.name_en or body.name_ja)
    async with parts.warden.connection() as conn:
        mine = await _mine(conn, session, now_ms=parts.sessions.now_ms())
        try:
            card = await parts.counter.invite(conn, _asker(session), mine.id, invitation, fresh=True)
        except RefusedError:
            raise problems.ProblemError(problems.NOT_FOUND) from None
    return GivenCard(code=card.code, url=card.qr_text(parts.config.http.public_url), expires_at_ms=card.expires_at_ms)


@router.delete(
    "/members/{account_id}",
    status_code=204,
    summary="保護者をはずす / End a membership",
    responses=problems.documented(*_CHANGING, problems.INVALID),
)
async def delete_member(
    parts: PartsNow, session: FreshSessionNow, account_id: Annotated[str, Path(pattern="^[A-Za-z0-9_-]{1,64}$")]
) -> None:
    """End a membership at once, live streams included; for the owner, with a passkey shown just now."""
    async with parts.warden.connection() as conn:
        mine = await _mine(conn, session, now_ms=parts.sessions.now_ms())
        try:
            await parts.counter.end_member(
                conn, _asker(session), mine.id, account_id, town_ms=parts.config.clock.now_ms()
            )
        except (RefusedError, AccountError):
            raise problems.ProblemError(problems.NOT_FOUND) from None


@router.delete(
    "/news",
    status_code=204,
    summary="お知らせを読んだ / I have read it",
    responses=problems.documented(*SIGNED_IN, problems.CROSS_SITE),
)
async def delete_news(parts: PartsNow, session: SessionNow) -> None:
    """Forget what this member has read."""
    async with parts.warden.connection() as conn:
        await rows.forget_news(conn, session.account_id)


async def _mine(conn: Connection, session: Session, *, now_ms: int) -> HouseholdRow:
    mine = await rows.of_account(conn, session.account_id, now_ms=now_ms)
    if mine is None:
        raise problems.ProblemError(problems.NOT_FOUND)
    return mine


def _asker(session: Session) -> Asker:
    return Asker(session.account_id, session.role, session.agency, session.token_hash)
