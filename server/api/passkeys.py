"""Passkeys: registering one, signing in with one, showing one again, taking one away."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from server.accounts.challenges import VALID_S, ChallengeError
from server.accounts.passkeys import Asked, Entered, KeyRefusedError
from server.accounts.sessions import Session
from server.api import cookies, problems
from server.api.access import SIGNED_IN, AnySessionNow, FreshSessionNow, Parts, PartsNow, SessionNow, TokenNow
from server.api.schemas import KeyOptions, MadeKey, Passkey, Passkeys, ShownKey, SignedIn
from server.api.session import TRIED, set_session, signed_in, spend_try

router = APIRouter(prefix="/api/v1/passkeys", tags=["session"])
_ADDING = (*SIGNED_IN, problems.CROSS_SITE, problems.STEP_UP, problems.KEY_REFUSED)


@router.get("", summary="わたしのパスキー / My passkeys", responses=problems.documented(*SIGNED_IN))
async def get_passkeys(parts: PartsNow, session: SessionNow) -> Passkeys:
    """The passkeys of the account, the oldest first; two are better than one, should one be lost."""
    return Passkeys(passkeys=[Passkey.model_validate(key) for key in await parts.passkeys.mine(session)])


@router.post("/registration", summary="パスキーの準備 / Begin a passkey", responses=problems.documented(*_ADDING))
async def post_registration(parts: PartsNow, session: AnySessionNow, response: Response) -> KeyOptions:
    """Options for `navigator.credentials.create()`. The first key needs the session alone, the next one a step-up."""
    await _check_may_register(parts, session)
    try:
        asked = await parts.passkeys.ask_registration(session)
    except KeyRefusedError:
        raise problems.ProblemError(problems.KEY_REFUSED) from None
    return _bind(response, parts, asked)


@router.put(
    "/registration",
    summary="パスキーを登録 / Keep a passkey",
    responses=problems.documented(*_ADDING, problems.MALFORMED, problems.TOO_LARGE, problems.INVALID),
)
async def put_registration(
    parts: PartsNow, session: AnySessionNow, request: Request, response: Response, body: MadeKey
) -> SignedIn:
    """Keep the passkey that the browser made; a session that a card opened becomes one of somebody signed in."""
    await _check_may_register(parts, session)
    challenge = _unbind(request, response, parts)
    credential = body.credential.model_dump(exclude_none=True)
    try:
        entered = await parts.passkeys.register(session, challenge, credential, body.name)
    except (ChallengeError, KeyRefusedError):
        raise problems.ProblemError(problems.KEY_REFUSED) from None
    return await _let_in(response, parts, entered)


@router.post("/assertion", summary="パスキーで確認 / Ask for a passkey", responses=problems.documented(*TRIED))
async def post_assertion(parts: PartsNow, response: Response) -> KeyOptions:
    """Options for `navigator.credentials.get()`: the browser offers whichever passkey of this server it has."""
    await spend_try(parts)
    return _bind(response, parts, await parts.passkeys.ask_assertion())


@router.put(
    "/assertion",
    summary="パスキーでサインイン / Sign in with a passkey",
    responses=problems.documented(*TRIED, problems.WRONG_KEY),
)
async def put_assertion(
    parts: PartsNow, request: Request, response: Response, body: ShownKey, old: TokenNow
) -> SignedIn:
    """Sign in with a passkey; where its owner is signed in already, the session stays and counts as fresh again."""
    challenge = _unbind(request, response, parts)
    session = await parts.sessions.find(old) if old else None
    credential = body.credential.model_dump(exclude_none=True)
    try:
        entered = await parts.passkeys.show(challenge, credential, session=session, replacing=old)
    except (ChallengeError, KeyRefusedError):
        parts.metrics.signins.labels("wrong").inc()
        await parts.sessions.refuse("passkey")
        raise problems.ProblemError(problems.WRONG_KEY) from None
    return await _let_in(response, parts, entered)


@router.delete(
    "/kept/{passkey_id}",
    status_code=204,
    summary="パスキーを消す / Remove a passkey",
    responses=problems.documented(
        *SIGNED_IN, problems.CROSS_SITE, problems.STEP_UP, problems.NOT_FOUND, problems.INVALID
    ),
)
async def delete_passkey(
    parts: PartsNow, session: FreshSessionNow, passkey_id: Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
) -> None:
    """Take a passkey of the account away; every session that it opened ends at once."""
    if not await parts.passkeys.remove(session, passkey_id):
        raise problems.ProblemError(problems.NOT_FOUND)


async def _check_may_register(parts: Parts, session: Session) -> None:
    if not await parts.passkeys.may_register(session):
        raise problems.ProblemError(problems.STEP_UP)


async def _let_in(response: Response, parts: Parts, entered: Entered) -> SignedIn:
    if entered.token is not None:
        set_session(response, parts, entered.token, entered.entrant)
    return await signed_in(parts, entered.entrant)


def _bind(response: Response, parts: Parts, asked: Asked) -> KeyOptions:
    cookies.put(response, cookies.CHALLENGE, asked.token, http=parts.config.http, max_age_s=VALID_S)
    options: dict[str, Any] = asked.options
    return KeyOptions(options=options)


def _unbind(request: Request, response: Response, parts: Parts) -> str | None:
    cookies.put(response, cookies.CHALLENGE, "", http=parts.config.http, max_age_s=0)
    return cookies.read(request, cookies.CHALLENGE, parts.config.http)
