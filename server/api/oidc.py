"""Signing in through an identity provider, and which ways to sign in there are."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from server.accounts.challenges import VALID_S, ChallengeError
from server.accounts.oidc import Callback, OidcRefusedError, ProviderDownError
from server.api import cookies, problems
from server.api.access import Parts, PartsNow, TokenNow
from server.api.schemas import OidcButton, SignInWays
from server.api.session import set_session, spend_try
from server.config import OidcProvider

router = APIRouter(prefix="/api/v1", tags=["session"])
_ProviderId = Annotated[str, Path(pattern="^[A-Za-z0-9_-]{1,64}$", examples=["police"])]
_Text = Annotated[str, Query(max_length=4096)]
_ALWAYS = (problems.NOT_FOUND, problems.TOO_MANY, problems.INVALID, problems.UNAVAILABLE, problems.INTERNAL)
# The session cookie is SameSite=Strict: a redirect that another site began would arrive without it, a page's own does.
_HOME: Final = (
    '<!doctype html><html lang="ja"><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=/">'
    '<title>みまもり</title><p><a href="/">続ける Continue</a></p></html>'
)


@router.get(
    "/sign-in-ways",
    summary="サインインの方法 / Ways to sign in",
    responses=problems.documented(problems.UNAVAILABLE, problems.INTERNAL),
)
async def get_sign_in_ways(parts: PartsNow) -> SignInWays:
    """By what one may sign in here."""
    buttons = [OidcButton.model_validate(provider) for provider in parts.oidc.providers.values()]
    return SignInWays(passkey=True, code=True, oidc=buttons)


@router.get(
    "/oidc/{provider_id}/start",
    status_code=302,
    response_class=RedirectResponse,
    summary="IDプロバイダでサインイン / Go to a provider",
    responses={302: {"description": "to the provider"}, **problems.documented(*_ALWAYS, problems.PROVIDER_DOWN)},
)
async def get_oidc_start(parts: PartsNow, provider_id: _ProviderId) -> RedirectResponse:
    """Send the browser to an identity provider."""
    provider = _provider(parts, provider_id)
    await spend_try(parts)
    try:
        asked = await parts.oidc.start(provider)
    except ProviderDownError:
        raise problems.ProblemError(problems.PROVIDER_DOWN) from None
    response = RedirectResponse(asked.url, 302)
    cookies.put(response, cookies.CHALLENGE, asked.token, http=parts.config.http, max_age_s=VALID_S)
    return response


@router.get(
    "/oidc/{provider_id}/callback",
    response_class=HTMLResponse,
    summary="IDプロバイダからの戻り / Back from a provider",
    responses=problems.documented(*_ALWAYS, problems.PROVIDER_DOWN, problems.NOT_LET_IN),
)
async def get_oidc_callback(  # noqa: PLR0913 - what a provider sends back
    parts: PartsNow,
    request: Request,
    old: TokenNow,
    provider_id: _ProviderId,
    *,
    code: _Text = "",
    state: _Text = "",
    iss: Annotated[str | None, Query(max_length=4096)] = None,
) -> HTMLResponse:
    """Sign in whoever comes back from an identity provider, if their account was linked before."""
    provider = _provider(parts, provider_id)
    await spend_try(parts)
    back = Callback(cookies.read(request, cookies.CHALLENGE, parts.config.http), code, state, iss)
    try:
        entrant = await parts.oidc.finish(provider, back)
    except (ChallengeError, OidcRefusedError):
        parts.metrics.signins.labels("wrong").inc()
        await parts.sessions.refuse("oidc")
        raise problems.ProblemError(problems.NOT_LET_IN) from None
    except ProviderDownError:
        raise problems.ProblemError(problems.PROVIDER_DOWN) from None
    token = await parts.sessions.open(entrant, replacing=old)
    parts.metrics.signins.labels("right").inc()
    response = HTMLResponse(_HOME)
    cookies.put(response, cookies.CHALLENGE, "", http=parts.config.http, max_age_s=0)
    set_session(response, parts, token, entrant)
    return response


def _provider(parts: Parts, provider_id: str) -> OidcProvider:
    provider = parts.oidc.providers.get(provider_id)
    if provider is None:
        raise problems.ProblemError(problems.NOT_FOUND)
    return provider
