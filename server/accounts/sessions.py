"""Sessions: opaque tokens that only the browser knows; the database keeps their SHA-256 and can end them at once."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from server.store import sessions as rows
from server.store.pool import Pool

_DAY_S: Final = 86_400


def wall_ms() -> int:
    """Return the wall clock, UTC ms: a session's life is real time, also in a town that runs faster."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class SessionRules:
    """How long a session lives.

    Attributes:
        idle_s: without a request; a family's phone that is used monthly stays signed in.
        absolute_s: in any case.
        touch_s: how often use is written down; a write per request would be waste.
    """

    idle_s: int = 30 * _DAY_S
    absolute_s: int = 90 * _DAY_S
    touch_s: int = 300


@dataclass(frozen=True, slots=True)
class Session:
    """One account signed in on one device."""

    token_hash: bytes
    account_id: str


def hash_of(token: str) -> bytes:
    """Return what the database keeps of a token. Plain SHA-256 is enough: 256 random bits cannot be guessed."""
    return hashlib.sha256(token.encode()).digest()


class Sessions:
    """Opens, finds and ends sessions."""

    def __init__(self, pool: Pool, *, rules: SessionRules | None = None, now_ms: Callable[[], int] = wall_ms) -> None:
        self._pool = pool
        self._now_ms = now_ms
        self.rules = rules or SessionRules()

    async def open(self, account_id: str, *, replacing: str | None = None) -> str:
        """Return the token of a new session; a session the browser had before (`replacing`) ends."""
        token = secrets.token_urlsafe(32)
        now_ms = self._now_ms()
        lasts_ms = now_ms + self.rules.absolute_s * 1000
        async with self._pool.connection() as conn:
            if replacing:
                await rows.end(conn, hash_of(replacing))
            await rows.add(conn, hash_of(token), account_id, now_ms=now_ms, expires_at_ms=lasts_ms)
        return token

    async def find(self, token: str) -> Session | None:
        """Return the session of `token`, or None: unknown, ended, idle too long or too old."""
        token_hash = hash_of(token)
        now_ms = self._now_ms()
        async with self._pool.connection() as conn:
            found = await rows.find(conn, token_hash, now_ms=now_ms, idle_ms=self.rules.idle_s * 1000)
            if found is None:
                return None
            if now_ms - found.used_at_ms >= self.rules.touch_s * 1000:
                await rows.touch(conn, token_hash, now_ms=now_ms)
        return Session(token_hash, found.account_id)

    async def end(self, token: str) -> None:
        """End the session of `token`; nothing happens when there is none."""
        async with self._pool.connection() as conn:
            await rows.end(conn, hash_of(token))

    async def sweep(self) -> int:
        """Delete sessions that have expired; return how many."""
        async with self._pool.connection() as conn:
            return await rows.sweep(conn, now_ms=self._now_ms(), idle_ms=self.rules.idle_s * 1000)
