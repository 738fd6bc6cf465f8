"""Signing in and out."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Cookie, Response

from server.accounts.signin import TooManyTriesError, WrongCodeError
from server.api import problems
from server.api.access import COOKIE, Parts, PartsNow
from server.api.schemas import Guardian, SignedIn, SignIn
from server.store import family

router = APIRouter(prefix="/api/v1", tags=["session"])
_Token = Annotated[str | None, Cookie(alias=COOKIE, include_in_schema=False)]
_ALWAYS = (problems.CROSS_SITE, problems.UNAVAILABLE, problems.INTERNAL)
_PROBLEMS = (
    *_ALWAYS,
    problems.MALFORMED,
    problems.WRONG_CODE,
    problems.TOO_LARGE,
    problems.INVALID,
    problems.TOO_MANY,
)


def _set_cookie(response: Response, parts: Parts, token: str, *, max_age_s: int) -> None:
    response.set_cookie(
        COOKIE,
        token,
        max_age=max_age_s,
        path="/",
        httponly=True,
        samesite="strict",
        secure=urlsplit(parts.config.http.public_url).scheme == "https",
    )


@router.post("/session", summary="サインイン / Sign in", responses=problems.documented(*_PROBLEMS))
async def post_session(parts: PartsNow, body: SignIn, response: Response, old: _Token = None) -> SignedIn:
    """Check a login and its code and set the session cookie; a session this browser had before ends."""
    try:
        account_id = await parts.signin.check(body.login, body.code)
    except WrongCodeError:
        parts.metrics.signins.labels("wrong").inc()
        raise problems.ProblemError(problems.WRONG_CODE) from None
    except TooManyTriesError as error:
        parts.metrics.signins.labels("limited").inc()
        raise problems.ProblemError(problems.TOO_MANY, {"retry-after": str(error.retry_after_s)}) from None
    token = await parts.sessions.open(account_id, replacing=old)
    async with parts.pool.connection() as conn:
        guardian = await family.guardian(conn, account_id)
    parts.metrics.signins.labels("right").inc()
    _set_cookie(response, parts, token, max_age_s=parts.sessions.rules.absolute_s)
    return SignedIn(guardian=Guardian.model_validate(guardian))


@router.delete("/session", status_code=204, summary="サインアウト / Sign out", responses=problems.documented(*_ALWAYS))
async def delete_session(parts: PartsNow, response: Response, token: _Token = None) -> None:
    """End this browser's session, its live streams included; nothing happens when there is none."""
    if token:
        await parts.sessions.end(token)
    _set_cookie(response, parts, "", max_age_s=0)
