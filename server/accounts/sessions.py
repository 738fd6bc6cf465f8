"""Sessions: opaque tokens that only the browser knows; the database keeps their SHA-256 and can end them at once."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from privacy.terms import Role
from privacy.transparency.record import Record
from server.store import audit
from server.store import sessions as rows
from server.store.connection import Connection
from server.store.pool import Pool

_DAY_S: Final = 86_400
FAMILY_ROLES: Final = frozenset({Role.GUARDIAN, Role.WATCHED, Role.VOLUNTEER})
"""Who may sign in with a code, and stays signed in for weeks."""

Way = Literal["code", "card", "passkey", "oidc"]
"""How somebody signed in."""


def wall_ms() -> int:
    """Return the wall clock, UTC ms: a session's life is real time, also in a town that runs faster."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Span:
    """How long one session may live: without a request, and in any case."""

    idle_s: int
    absolute_s: int


@dataclass(frozen=True, slots=True)
class SessionRules:
    """How long a session lives.

    Attributes:
        idle_s: of families, without a request; a phone that is used monthly stays signed in.
        absolute_s: of families, in any case.
        staff_idle_s: of city, police, providers and the board.
        staff_absolute_s: likewise: a working day.
        enrol_s: of a session that a card opened: long enough to make a passkey at the counter.
        fresh_s: how long after a key was shown a step-up still holds.
        touch_s: how often use is written down; a write per request would be waste.
    """

    idle_s: int = 30 * _DAY_S
    absolute_s: int = 90 * _DAY_S
    staff_idle_s: int = 15 * 60
    staff_absolute_s: int = 8 * 3600
    enrol_s: int = 15 * 60
    fresh_s: int = 5 * 60
    touch_s: int = 300

    def of(self, role: Role, *, is_enrolling: bool = False) -> Span:
        """Return how long a session of `role` lives."""
        if is_enrolling:
            return Span(self.enrol_s, self.enrol_s)
        if role in FAMILY_ROLES:
            return Span(self.idle_s, self.absolute_s)
        return Span(self.staff_idle_s, self.staff_absolute_s)


@dataclass(frozen=True, slots=True)
class Session:
    """One account signed in on one device.

    Attributes:
        token_hash: SHA-256 of the cookie's value.
        account_id: whose.
        role: of the account.
        agency: of officers and providers.
        id: by which its owner can end it; not the token.
        way: how it was opened.
        is_enrolling: opened by a card: may set up a way to sign in and nothing else.
        proved_at_ms: when a key was last shown in it; None: never.
    """

    token_hash: bytes = field(repr=False)
    account_id: str = field(repr=False)
    role: Role = Role.GUARDIAN
    agency: str | None = None
    id: str = ""
    way: str = "code"
    is_enrolling: bool = False
    proved_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Entrant:
    """Who is let in, and how they showed that it is they.

    Attributes:
        account_id: id.
        role: of the account.
        way: how.
        passkey_id: the key that was shown.
    """

    account_id: str
    role: Role
    way: Way
    passkey_id: str | None = None


def hash_of(token: str) -> bytes:
    """Return what the database keeps of a token. Plain SHA-256 is enough: 256 random bits cannot be guessed."""
    return hashlib.sha256(token.encode()).digest()


class Sessions:
    """Opens, finds and ends sessions. The pool is of the role warden."""

    def __init__(self, pool: Pool, *, rules: SessionRules | None = None, now_ms: Callable[[], int] = wall_ms) -> None:
        self._pool = pool
        self.now_ms = now_ms
        self.rules = rules or SessionRules()

    async def open(self, entrant: Entrant, *, replacing: str | None = None) -> str:
        """Return the token of a new session; a session the browser had before (`replacing`) ends."""
        async with self._pool.connection() as conn, conn.transaction():
            return await self.open_in(conn, entrant, replacing=replacing)

    async def open_in(self, conn: Connection, entrant: Entrant, *, replacing: str | None = None) -> str:
        """Return the token of a new session that begins with the caller's transaction, and so does its log entry."""
        token = secrets.token_urlsafe(32)
        now_ms = self.now_ms()
        span = self.rules.of(entrant.role, is_enrolling=entrant.way == "card")
        if replacing:
            await rows.end(conn, hash_of(replacing))
        new = rows.NewSession(
            token_hash=hash_of(token),
            account_id=entrant.account_id,
            scope="enrol" if entrant.way == "card" else "full",
            way=entrant.way,
            now_ms=now_ms,
            expires_at_ms=now_ms + span.absolute_s * 1000,
            idle_s=span.idle_s,
            proved_at_ms=None if entrant.passkey_id is None else now_ms,
            passkey_id=entrant.passkey_id,
        )
        await rows.add(conn, new)
        facts = {"way": entrant.way}
        opened = Record("session.opened", now_ms, entrant.role, facts, {"account": entrant.account_id})
        await audit.append(conn, opened)
        return token

    async def prove_in(self, conn: Connection, session: Session, passkey_id: str) -> None:
        """Note in the caller's transaction that a key was shown in `session`: what needs a step-up may be done."""
        now_ms = self.now_ms()
        await rows.prove(conn, session.token_hash, passkey_id=passkey_id, now_ms=now_ms)
        proved = Record("session.proved", now_ms, session.role, {}, {"account": session.account_id})
        await audit.append(conn, proved)

    async def close_in(self, conn: Connection, session: Session) -> None:
        """End `session` in the caller's transaction."""
        await rows.end(conn, session.token_hash)

    async def refuse(self, way: Way) -> None:
        """Write down that a sign-in was refused. It says neither for whom nor what was wrong: nobody may learn it."""
        async with self._pool.connection() as conn, conn.transaction():
            await audit.append(conn, Record("session.refused", self.now_ms(), Role.PUBLIC, {"way": way}))

    async def find(self, token: str) -> Session | None:
        """Return the session of `token`, or None: unknown, ended, idle too long or too old."""
        token_hash = hash_of(token)
        now_ms = self.now_ms()
        async with self._pool.connection() as conn:
            found = await rows.find(conn, token_hash, now_ms=now_ms)
            if found is None:
                return None
            if now_ms - found.used_at_ms >= min(self.rules.touch_s, found.idle_s // 15) * 1000:
                await rows.touch(conn, token_hash, now_ms=now_ms)
        return Session(
            token_hash,
            found.account_id,
            found.role,
            found.agency_id,
            found.id,
            found.way,
            found.scope == "enrol",
            found.proved_at_ms,
        )

    def is_fresh(self, session: Session) -> bool:
        """Return whether a key was shown in `session` so recently that what needs a step-up may be done."""
        proved_ms = session.proved_at_ms
        return proved_ms is not None and self.now_ms() - proved_ms < self.rules.fresh_s * 1000

    async def mine(self, session: Session) -> list[rows.OpenRow]:
        """Return the sessions of the account that are in force."""
        async with self._pool.connection() as conn:
            return await rows.of_account(conn, session.account_id, now_ms=self.now_ms())

    async def end(self, token: str) -> None:
        """End the session of `token`; nothing happens when there is none."""
        async with self._pool.connection() as conn:
            await rows.end(conn, hash_of(token))

    async def end_one(self, session: Session, session_id: str) -> bool:
        """End another session of the same account; False: the account has no such session."""
        async with self._pool.connection() as conn, conn.transaction():
            if not await rows.end_one(conn, session.account_id, session_id):
                return False
            ended = Record("session.ended", self.now_ms(), session.role, {}, {"account": session.account_id})
            await audit.append(conn, ended)
        return True

    async def sweep(self) -> int:
        """Delete sessions that have expired; return how many."""
        async with self._pool.connection() as conn:
            return await rows.sweep(conn, now_ms=self.now_ms())
