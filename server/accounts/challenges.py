"""What a browser is given to answer: bound to it by a cookie, good for one answer and for minutes."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final

from server.accounts.sessions import hash_of, wall_ms
from server.errors import ServerError
from server.store import passkeys as rows
from server.store.passkeys import Challenge, Kind
from server.store.pool import Pool

VALID_S: Final = 300


class ChallengeError(ServerError):
    """This browser was given nothing to answer, or it was too long ago."""


class Challenges:
    """Hands challenges out and takes them back, once each. The pool is of the role warden."""

    def __init__(self, pool: Pool, *, now_ms: Callable[[], int] = wall_ms) -> None:
        self._pool = pool
        self._now_ms = now_ms

    async def give(self, challenge: Challenge) -> str:
        """Return the value of the cookie that binds `challenge` to a browser."""
        token = secrets.token_urlsafe(32)
        async with self._pool.connection() as conn:
            expires_at_ms = self._now_ms() + VALID_S * 1000
            await rows.put_challenge(conn, hash_of(token), challenge, expires_at_ms=expires_at_ms)
        return token

    async def take(self, token: str | None, kind: Kind) -> Challenge:
        """Return the challenge behind a cookie, which is used up by this, whatever the answer is worth.

        Raises:
            ChallengeError: there is none of this kind, or it is too old.
        """
        found = None
        if token:
            async with self._pool.connection() as conn:
                found = await rows.take_challenge(conn, hash_of(token), kind, now_ms=self._now_ms())
        if found is None:
            raise ChallengeError
        return found

    async def sweep(self) -> int:
        """Forget what nobody answered; return how many those were."""
        async with self._pool.connection() as conn:
            return await rows.sweep_challenges(conn, now_ms=self._now_ms())
