"""Signing in with a login and a code: limited per login and in all, equally slow for logins that do not exist."""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import dataclass
from typing import NoReturn

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from server.accounts.codes import is_code_of, normalise_login
from server.accounts.sessions import FAMILY_ROLES, Entrant
from server.errors import ServerError
from server.store import sessions as rows
from server.store.pool import Pool


class WrongCodeError(ServerError):
    """The login or the code is wrong, or the account signs in otherwise; which of them is not said."""


class TooManyTriesError(ServerError):
    """Too many tries for this login, or in all. May be tried again.

    Attributes:
        retry_after_s: seconds until the next try counts.
    """

    def __init__(self, retry_after_s: int) -> None:
        super().__init__()
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class SignInLimits:
    """How often one may try, in the notation of `limits`.

    Attributes:
        per_login: wrong tries for one login; a right code clears them.
        overall: tries of everybody; each costs about 20 ms of a core.
        at_once: how many codes are checked at the same time, 19 MiB each.
    """

    per_login: str = "10 per 5 minutes"
    overall: str = "300 per minute"
    at_once: int = 2


class SignIn:
    """Checks codes within the limits."""

    def __init__(self, pool: Pool, limits: SignInLimits | None = None) -> None:
        limits = limits or SignInLimits()
        self._pool = pool
        self._per_login = parse(limits.per_login)
        self._overall = parse(limits.overall)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._at_once = asyncio.Semaphore(limits.at_once)

    async def check(self, login: str, code: str) -> Entrant:
        """Return who has `login` and `code`: of a family, for nobody else signs in with a code.

        Raises:
            TooManyTriesError: before anything is looked up.
            WrongCodeError: unknown login or wrong code, after the same work.
        """
        login = normalise_login(login)
        key = hashlib.sha256(login.encode()).hexdigest()
        # A login that is at its limit is refused first: hammering one must not use up everybody's tries.
        if not await self._limiter.test(self._per_login, key):
            await self._refuse(self._per_login, key)
        await self._spend(self._overall, "all")
        await self._spend(self._per_login, key)
        async with self._pool.connection() as conn:
            found = await rows.login(conn, login)
        async with self._at_once:
            fits = await asyncio.to_thread(is_code_of, found.code_hash if found else None, code)
        if not found or not fits or found.role not in FAMILY_ROLES:
            raise WrongCodeError
        await self._limiter.clear(self._per_login, key)
        return Entrant(found.account_id, found.role, "code")

    async def spend(self) -> None:
        """Count one try that names no login: a card, a passkey, an identity provider.

        Raises:
            TooManyTriesError: all together have tried too often.
        """
        await self._spend(self._overall, "all")

    async def _spend(self, limit: RateLimitItem, key: str) -> None:
        if not await self._limiter.hit(limit, key):
            await self._refuse(limit, key)

    async def _refuse(self, limit: RateLimitItem, key: str) -> NoReturn:
        stats = await self._limiter.get_window_stats(limit, key)
        raise TooManyTriesError(max(1, round(stats.reset_time - time.time())))
