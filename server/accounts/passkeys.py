"""Passkeys: registering one and signing in with one. The user is always verified, by PIN, finger or face.

Source: W3C Web Authentication Level 3, sections 7.1 and 7.2; the verification itself is py_webauthn's.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import urlsplit

import webauthn
from webauthn.helpers import base64url_to_bytes, options_to_json_dict
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from privacy.terms import Role
from privacy.transparency.record import Record
from server.accounts.challenges import Challenges
from server.accounts.sessions import Entrant, Session, Sessions, wall_ms
from server.config import ServerConfig
from server.errors import ServerError
from server.store import accounts, audit
from server.store import passkeys as rows
from server.store.connection import Connection
from server.store.passkeys import Challenge, KnownKey, NewPasskey, PasskeyRow
from server.store.pool import Pool

MOST_KEYS: Final = 10
_CHALLENGE_OCTETS: Final = 32
_TIMEOUT_MS: Final = 120_000
_TRANSPORTS: Final = frozenset(one.value for one in AuthenticatorTransport)
_BROKEN: Final = (WebAuthnException, ValueError, KeyError, TypeError)
"""What py_webauthn and base64 raise of answers that no authenticator gives."""


class KeyRefusedError(ServerError):
    """This answer is none of a passkey that is known here; what is wrong with it is not said."""


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """Who we are to a browser.

    Attributes:
        id: host name; passkeys are bound to it.
        name: shown by the browser.
        origin: `https://host`, from which answers have to come.
    """

    id: str
    name: str
    origin: str

    @classmethod
    def of(cls, config: ServerConfig) -> Self:
        """Return who this server is."""
        parts = urlsplit(config.http.public_url)
        return cls(parts.hostname or "", config.city.name_ja, f"{parts.scheme}://{parts.netloc}")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a browser is asked: options for `navigator.credentials`, and the cookie that binds its answer to it."""

    token: str
    options: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Entered:
    """Who came in by a passkey; `token` is None where the session was there and is only fresh again."""

    entrant: Entrant
    token: str | None


class Passkeys:
    """Registers passkeys and lets their owners in. The pool is of the role warden."""

    def __init__(
        self, pool: Pool, sessions: Sessions, party: RelyingParty, *, now_ms: Callable[[], int] = wall_ms
    ) -> None:
        self._pool = pool
        self._sessions = sessions
        self._party = party
        self._now_ms = now_ms
        self.challenges = Challenges(pool, now_ms=now_ms)

    async def may_register(self, session: Session) -> bool:
        """Return whether a passkey may be added now: by a card, as the first one, or when one was shown just now."""
        if session.is_enrolling or self._sessions.is_fresh(session):
            return True
        return not await self.mine(session)

    async def mine(self, session: Session) -> list[PasskeyRow]:
        """Return the passkeys of the account."""
        async with self._pool.connection() as conn:
            return await rows.of_account(conn, session.account_id)

    async def ask_registration(self, session: Session) -> Asked:
        """Return what the browser is asked, to make a passkey for the account of `session`.

        Raises:
            KeyRefusedError: the account is gone or has too many keys.
        """
        async with self._pool.connection() as conn:
            account = await accounts.find(conn, session.account_id)
            kept = await rows.of_account(conn, session.account_id)
        if account is None or len(kept) >= MOST_KEYS:
            raise KeyRefusedError
        value = secrets.token_bytes(_CHALLENGE_OCTETS)
        options = webauthn.generate_registration_options(
            rp_id=self._party.id,
            rp_name=self._party.name,
            user_id=account.handle,
            user_name=account.login,
            user_display_name=account.name_ja,
            challenge=value,
            timeout=_TIMEOUT_MS,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
            ),
            exclude_credentials=[PublicKeyCredentialDescriptor(id=key.credential_id) for key in kept],
        )
        token = await self.challenges.give(Challenge(kind="registration", value=value, account_id=session.account_id))
        return Asked(token, options_to_json_dict(options))

    async def register(self, session: Session, token: str | None, credential: Mapping[str, Any], name: str) -> Entered:
        """Keep the passkey that a browser made, and return who it belongs to, signed in by it.

        Raises:
            ChallengeError: nothing was asked of this browser.
            KeyRefusedError: the answer is none to what was asked.
        """
        asked = await self.challenges.take(token, "registration")
        if asked.account_id != session.account_id:
            raise KeyRefusedError
        try:
            verified = webauthn.verify_registration_response(
                credential=dict(credential),
                expected_challenge=asked.value,
                expected_rp_id=self._party.id,
                expected_origin=self._party.origin,
                require_user_verification=True,
            )
        except _BROKEN as error:
            raise KeyRefusedError from error
        new = NewPasskey(
            account_id=session.account_id,
            credential_id=verified.credential_id,
            public_key=verified.credential_public_key,
            sign_count=verified.sign_count,
            transports=_transports(credential),
            name=name,
        )
        async with self._pool.connection() as conn, conn.transaction():
            passkey_id = await rows.add(conn, new, now_ms=self._now_ms())
            if passkey_id is None:
                raise KeyRefusedError
            await self._note(conn, "passkey.added", session.role, session.account_id)
            entrant = Entrant(session.account_id, session.role, "passkey", passkey_id)
            return await self._enter(conn, entrant, session)

    async def ask_assertion(self) -> Asked:
        """Return what a browser is asked, to show whichever passkey of this server it has."""
        value = secrets.token_bytes(_CHALLENGE_OCTETS)
        options = webauthn.generate_authentication_options(
            rp_id=self._party.id,
            challenge=value,
            timeout=_TIMEOUT_MS,
            user_verification=UserVerificationRequirement.REQUIRED,
        )
        token = await self.challenges.give(Challenge(kind="assertion", value=value))
        return Asked(token, options_to_json_dict(options))

    async def show(
        self, token: str | None, credential: Mapping[str, Any], *, session: Session | None, replacing: str | None
    ) -> Entered:
        """Let in whoever shows a passkey; in a session of the same account, note that it was shown just now.

        Args:
            token: the cookie that binds the answer to what was asked.
            credential: the answer.
            session: that the browser has, if it is in force.
            replacing: token of the session that ends when another account comes in.

        Raises:
            ChallengeError: nothing was asked of this browser.
            KeyRefusedError: no known passkey, or the answer is none to what was asked.
        """
        asked = await self.challenges.take(token, "assertion")
        async with self._pool.connection() as conn, conn.transaction():
            key, sign_count = await self._verified(conn, asked, credential)
            await rows.used(conn, key.id, sign_count=sign_count, now_ms=self._now_ms())
            entrant = Entrant(key.account_id, key.role, "passkey", key.id)
            return await self._enter(conn, entrant, session, replacing)

    async def remove(self, session: Session, passkey_id: str) -> bool:
        """Take a passkey away, with every session that it opened; False: the account has no such key."""
        async with self._pool.connection() as conn, conn.transaction():
            if not await rows.remove(conn, session.account_id, passkey_id):
                return False
            await self._note(conn, "passkey.removed", session.role, session.account_id)
        return True

    async def _verified(
        self, conn: Connection, asked: Challenge, credential: Mapping[str, Any]
    ) -> tuple[KnownKey, int]:
        try:
            key = await rows.known(conn, base64url_to_bytes(str(credential["id"])))
            if key is None or base64url_to_bytes(str(credential["response"]["userHandle"])) != key.handle:
                raise KeyRefusedError
            verified = webauthn.verify_authentication_response(
                credential=dict(credential),
                expected_challenge=asked.value,
                expected_rp_id=self._party.id,
                expected_origin=self._party.origin,
                credential_public_key=key.public_key,
                credential_current_sign_count=key.sign_count,
                require_user_verification=True,
            )
        except _BROKEN as error:
            raise KeyRefusedError from error
        return key, verified.new_sign_count

    async def _enter(
        self, conn: Connection, entrant: Entrant, session: Session | None, replacing: str | None = None
    ) -> Entered:
        is_same = session is not None and session.account_id == entrant.account_id and not session.is_enrolling
        if is_same and session is not None and entrant.passkey_id is not None:
            await self._sessions.prove_in(conn, session, entrant.passkey_id)
            return Entered(entrant, None)
        if session is not None and session.is_enrolling:
            await self._sessions.close_in(conn, session)
        return Entered(entrant, await self._sessions.open_in(conn, entrant, replacing=replacing))

    async def _note(self, conn: Connection, kind: str, role: Role, account_id: str) -> None:
        await audit.append(conn, Record(kind, self._now_ms(), role, {}, {"account": account_id}))


def _transports(credential: Mapping[str, Any]) -> list[str]:
    told = credential["response"].get("transports") or []
    return [one for one in told if one in _TRANSPORTS]
