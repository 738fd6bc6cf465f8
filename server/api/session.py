"""Signing in and out, and the sessions of the account."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from server.accounts import cards, households
from server.accounts.sessions import Entrant, Session
from server.accounts.signin import TooManyTriesError, WrongCodeError
from server.api import cookies, problems
from server.api.access import SIGNED_IN, AnySessionNow, Parts, PartsNow, SessionNow, TokenNow
from server.api.schemas import Account, CardCode, Guardian, OpenSession, OpenSessions, SessionState, SignedIn, SignIn
from server.store import accounts, passkeys

router = APIRouter(prefix="/api/v1", tags=["session"])
_ALWAYS = (problems.CROSS_SITE, problems.UNAVAILABLE, problems.INTERNAL)
TRIED = (*_ALWAYS, problems.MALFORMED, problems.TOO_LARGE, problems.INVALID, problems.TOO_MANY)
"""The problems of everything that tries to sign in."""


async def spend_try(parts: Parts) -> None:
    """Count a try that names no login.

    Raises:
        ProblemError: all together try too often.
    """
    try:
        await parts.signin.spend()
    except TooManyTriesError as error:
        parts.metrics.signins.labels("limited").inc()
        raise problems.ProblemError(problems.TOO_MANY, {"retry-after": str(error.retry_after_s)}) from None


def set_session(response: Response, parts: Parts, token: str, entrant: Entrant) -> None:
    """Hand the token of a new session to the browser."""
    span = parts.sessions.rules.of(entrant.role, is_enrolling=entrant.way == "card")
    cookies.put(response, cookies.SESSION, token, http=parts.config.http, max_age_s=span.absolute_s)


async def signed_in(parts: Parts, entrant: Entrant) -> SignedIn:
    """Return what somebody is told who has just signed in."""
    parts.metrics.signins.labels("right").inc()
    account = await account_of(parts, entrant.account_id)
    return SignedIn(account=account, guardian=Guardian.model_validate(account) if account.role == "guardian" else None)


async def account_of(parts: Parts, account_id: str) -> Account:
    """Return the account of a session.

    Raises:
        ProblemError: it is gone.
    """
    async with parts.warden.connection() as conn:
        found = await accounts.find(conn, account_id)
        if found is None:
            raise problems.ProblemError(problems.NOT_SIGNED_IN)
        agency = await accounts.agency(conn, found.agency_id) if found.agency_id else None
    return Account.of(found, agency)


@router.post("/session", summary="サインイン / Sign in", responses=problems.documented(*TRIED, problems.WRONG_CODE))
async def post_session(parts: PartsNow, body: SignIn, response: Response, old: TokenNow) -> SignedIn:
    """Check a login and its code and set the session cookie; a session this browser had before ends. For families."""
    try:
        entrant = await parts.signin.check(body.login, body.code)
    except WrongCodeError:
        parts.metrics.signins.labels("wrong").inc()
        await parts.sessions.refuse("code")
        raise problems.ProblemError(problems.WRONG_CODE) from None
    except TooManyTriesError as error:
        parts.metrics.signins.labels("limited").inc()
        raise problems.ProblemError(problems.TOO_MANY, {"retry-after": str(error.retry_after_s)}) from None
    token = await parts.sessions.open(entrant, replacing=old)
    set_session(response, parts, token, entrant)
    return await signed_in(parts, entrant)


@router.post(
    "/cards", summary="登録カードを使う / Use a card", responses=problems.documented(*TRIED, problems.WRONG_CARD)
)
async def post_card(parts: PartsNow, body: CardCode, response: Response, old: TokenNow) -> SignedIn:
    """Use an enrolment card up: it opens a session that may set up a way to sign in, and nothing else."""
    await spend_try(parts)
    try:
        async with parts.warden.connection() as conn, conn.transaction():
            now_ms = parts.sessions.now_ms()
            used = await cards.use(conn, body.code, now_ms=now_ms)
            await households.join(conn, used, now_ms=now_ms, town_ms=parts.config.clock.now_ms())
            entrant = Entrant(used.account_id, used.role, "card")
            token = await parts.sessions.open_in(conn, entrant, replacing=old)
    except cards.CardError:
        parts.metrics.signins.labels("wrong").inc()
        await parts.sessions.refuse("card")
        raise problems.ProblemError(problems.WRONG_CARD) from None
    set_session(response, parts, token, entrant)
    return await signed_in(parts, entrant)


@router.get("/session", summary="このセッション / This session", responses=problems.documented(*SIGNED_IN))
async def get_session(parts: PartsNow, session: AnySessionNow) -> SessionState:
    """Whose session this is and what it may do; also of one that a card opened."""
    async with parts.warden.connection() as conn:
        keys = await passkeys.of_account(conn, session.account_id)
    return SessionState(
        account=await account_of(parts, session.account_id),
        is_enrolling=session.is_enrolling,
        is_fresh=parts.sessions.is_fresh(session),
        passkeys=len(keys),
    )


@router.delete("/session", status_code=204, summary="サインアウト / Sign out", responses=problems.documented(*_ALWAYS))
async def delete_session(parts: PartsNow, response: Response, token: TokenNow) -> None:
    """End this browser's session, its live streams included; nothing happens when there is none."""
    if token:
        await parts.sessions.end(token)
    cookies.put(response, cookies.SESSION, "", http=parts.config.http, max_age_s=0)


@router.get("/sessions", summary="サインイン中の端末 / My sessions", responses=problems.documented(*SIGNED_IN))
async def get_sessions(parts: PartsNow, session: SessionNow) -> OpenSessions:
    """Every session of the account, the last used first."""
    return OpenSessions(sessions=[_shown(row, session) for row in await parts.sessions.mine(session)])


@router.delete(
    "/sessions/{session_id}",
    status_code=204,
    summary="ほかの端末をサインアウト / End one session",
    responses=problems.documented(*SIGNED_IN, problems.CROSS_SITE, problems.NOT_FOUND, problems.INVALID),
)
async def delete_one_session(
    parts: PartsNow, session: SessionNow, session_id: Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
) -> None:
    """End one session of the account at once, its live streams included."""
    if not await parts.sessions.end_one(session, session_id):
        raise problems.ProblemError(problems.NOT_FOUND)


def _shown(row: object, session: Session) -> OpenSession:
    shown = OpenSession.model_validate(row)
    return shown.model_copy(update={"is_this": shown.id == session.id})
