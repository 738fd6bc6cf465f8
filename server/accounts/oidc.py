"""Signing in through an identity provider: OpenID Connect's code flow with PKCE, for accounts that were linked before.

Source: OpenID Connect Core 1.0, sections 3.1.2 and 3.1.3.7; RFC 7636 (S256); RFC 9207 (iss); RFC 9700 for the rest.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
from authlib.common.errors import AuthlibBaseError
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import get_well_known_url
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from server.accounts.challenges import Challenges
from server.accounts.sessions import FAMILY_ROLES, Entrant, wall_ms
from server.config import OidcProvider, is_safe_url
from server.errors import ConfigError, ServerError
from server.store import identities
from server.store.passkeys import Challenge
from server.store.pool import Pool

_ALGORITHMS: Final = ("RS256", "PS256", "ES256", "EdDSA")
"""Of the ID token: signatures by a key of the provider. Never none, never one that a client's secret could make."""
_ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_KEPT_S: Final = 3600.0
_TIMEOUT_S: Final = 10.0
_MOST_OCTETS: Final = 262_144
_LEEWAY_S: Final = 60
_FORGED: Final = (JoseError, AuthlibBaseError, ValueError, TypeError, KeyError, AttributeError)
"""What the libraries raise of tokens, keys and documents that are not what they should be."""


class OidcRefusedError(ServerError):
    """Nobody is let in: the answer is not the provider's to our question, or its subject is nobody here."""


class ProviderDownError(ServerError):
    """The identity provider does not answer, or not as one. May be tried again."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Where to send a browser, and the cookie that binds its answer to it."""

    token: str = field(repr=False)
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Callback:
    """What a browser brought back from the provider.

    Attributes:
        token: the cookie; None: it has none.
        code: to be exchanged.
        state: has to be the one we sent along.
        issuer: `iss`, where the provider tells it.
    """

    token: str | None = field(repr=False)
    code: str = field(repr=False)
    state: str = field(repr=False)
    issuer: str | None = None


@dataclass(slots=True)
class _Known:
    """What a provider says of itself, and its keys; read anew after a while."""

    metadata: Mapping[str, Any]
    keys: KeySet
    read_s: float


class Oidc:
    """Signs in through the configured providers. The pool is of the role warden."""

    def __init__(
        self, pool: Pool, providers: tuple[OidcProvider, ...], public_url: str, *, now_ms: Callable[[], int] = wall_ms
    ) -> None:
        """Take the providers with our secrets there.

        Raises:
            ConfigError: a secret's file cannot be read.
        """
        self._pool = pool
        self._public_url = public_url.rstrip("/")
        self._now_ms = now_ms
        self._known: dict[str, _Known] = {}
        self._secrets = {one.id: _secret(one) for one in providers if one.client_secret_file}
        self.providers = {provider.id: provider for provider in providers}
        self.challenges = Challenges(pool, now_ms=now_ms)

    def redirect_uri(self, provider: OidcProvider) -> str:
        """Return where the provider sends browsers back to; to be registered there."""
        return f"{self._public_url}/api/v1/oidc/{provider.id}/callback"

    async def start(self, provider: OidcProvider) -> Asked:
        """Return where a browser goes to sign in at `provider`.

        Raises:
            ProviderDownError: the provider does not say where.
        """
        known = await self._of(provider)
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        url = prepare_grant_uri(
            known.metadata["authorization_endpoint"],
            provider.client_id,
            "code",
            redirect_uri=self.redirect_uri(provider),
            scope="openid",
            state=state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
            acr_values=" ".join(provider.acr) or None,
        )
        challenge = Challenge(kind="oidc", value=state.encode(), provider=provider.id, nonce=nonce, verifier=verifier)
        return Asked(await self.challenges.give(challenge), url)

    async def finish(self, provider: OidcProvider, back: Callback) -> Entrant:
        """Return who comes back from `provider`.

        Raises:
            ChallengeError: this browser was not sent there.
            OidcRefusedError: forged, meant for somebody else, not strong enough, or nobody's here.
            ProviderDownError: the provider does not answer. May be tried again, from the start.
        """
        asked = await self.challenges.take(back.token, "oidc")
        if asked.provider != provider.id or not hmac.compare_digest(asked.value, back.state.encode()):
            raise OidcRefusedError
        known = await self._of(provider)
        told = known.metadata.get("authorization_response_iss_parameter_supported") is True
        if back.issuer != provider.issuer and (told or back.issuer is not None):
            raise OidcRefusedError
        tokens = await self._exchange(provider, known, back.code, verifier=asked.verifier)
        claims = await self._claims(provider, tokens, nonce=asked.nonce)
        async with self._pool.connection() as conn:
            found = await identities.account_of(conn, issuer=provider.issuer, subject=str(claims["sub"]))
        if found is None:
            raise OidcRefusedError
        account_id, role = found
        if role not in FAMILY_ROLES and provider.acr and claims.get("acr") not in provider.acr:
            raise OidcRefusedError
        return Entrant(account_id, role, "oidc")

    async def _exchange(self, provider: OidcProvider, known: _Known, code: str, *, verifier: str) -> Mapping[str, Any]:
        secret = self._secrets.get(provider.id)
        uri = known.metadata["token_endpoint"]
        body = prepare_token_request(
            "authorization_code", redirect_uri=self.redirect_uri(provider), code=code, code_verifier=verifier
        )
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        method = "client_secret_basic" if secret else "none"
        uri, headers, body = ClientAuth(provider.client_id, secret, method).prepare("POST", uri, headers, body)
        try:
            async with httpx.AsyncClient(timeout=_TIMEOUT_S, follow_redirects=False) as http:
                answer = await http.post(uri, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise ProviderDownError from error
        if answer.is_client_error:  # the code is not one of theirs, or was used
            raise OidcRefusedError
        return _object(answer)

    async def _claims(self, provider: OidcProvider, tokens: Mapping[str, Any], *, nonce: str) -> Mapping[str, Any]:
        """Return the claims of an ID token that is the provider's answer to our question and fresh."""
        try:
            id_token = str(tokens["id_token"])
            try:
                decoded = jwt.decode(id_token, (await self._of(provider)).keys, algorithms=_ALGORITHMS)
            except (JoseError, ValueError):  # signed by a key that is newer than our copy of their list, perhaps
                decoded = jwt.decode(id_token, (await self._of(provider, anew=True)).keys, algorithms=_ALGORITHMS)
            options = {
                "iss": {"essential": True, "value": provider.issuer},
                "aud": {"essential": True, "value": provider.client_id},
                "sub": {"essential": True},
            }
            params = {"nonce": nonce, "client_id": provider.client_id, "access_token": tokens.get("access_token")}
            claims = CodeIDToken(decoded.claims, decoded.header, options, params)
            claims.validate(now=self._now_ms() // 1000, leeway=_LEEWAY_S)
        except _FORGED as error:
            raise OidcRefusedError from error
        return dict(claims)

    async def _of(self, provider: OidcProvider, *, anew: bool = False) -> _Known:
        known = self._known.get(provider.id)
        now_s = time.monotonic()
        if known is None or now_s - known.read_s > _KEPT_S or (anew and now_s - known.read_s > 1.0):
            known = self._known[provider.id] = await _read(provider, now_s)
        return known


def _secret(provider: OidcProvider) -> str:
    try:
        return Path(provider.client_secret_file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"oidc.providers: {provider.id}: client_secret_file cannot be read") from error


async def _read(provider: OidcProvider, now_s: float) -> _Known:
    """Return what a provider says of itself.

    Raises:
        ProviderDownError: it does not answer, names another issuer, or an endpoint that is not safe to speak to.
    """
    try:
        async with httpx.AsyncClient(timeout=_TIMEOUT_S, follow_redirects=False) as http:
            metadata = _object(await http.get(get_well_known_url(provider.issuer, external=True)))
            if metadata.get("issuer") != provider.issuer or not all(
                is_safe_url(str(metadata.get(name))) for name in _ENDPOINTS
            ):
                raise ProviderDownError
            keys = KeySet.import_key_set(dict(_object(await http.get(metadata["jwks_uri"]))))  # type: ignore[arg-type]
    except (httpx.HTTPError, *_FORGED) as error:
        raise ProviderDownError from error
    return _Known(metadata, keys, now_s)


def _object(answer: httpx.Response) -> Mapping[str, Any]:
    if answer.status_code != httpx.codes.OK or len(answer.content) > _MOST_OCTETS:
        raise ProviderDownError
    try:
        told = answer.json()
    except ValueError as error:
        raise ProviderDownError from error
    if not isinstance(told, dict):
        raise ProviderDownError
    return told
