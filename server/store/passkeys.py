"""Passkeys (WebAuthn credentials): public keys and counters; and what a browser was given to answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from psycopg.rows import class_row

from privacy.terms import Role
from server.store.connection import Connection, at

Kind = Literal["registration", "assertion", "oidc"]


@dataclass(frozen=True, slots=True)
class PasskeyRow:
    """A passkey of an account."""

    id: str
    name: str
    credential_id: bytes = field(repr=False)
    transports: list[str]
    created_at_ms: int
    last_used_at_ms: int | None


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A passkey that somebody shows, and whose it is."""

    id: str
    account_id: str
    role: Role
    handle: bytes = field(repr=False)
    public_key: bytes = field(repr=False)
    sign_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPasskey:
    """A passkey to keep."""

    account_id: str
    credential_id: bytes
    public_key: bytes
    sign_count: int
    transports: list[str]
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What a browser has to answer.

    Attributes:
        kind: of the answer.
        value: WebAuthn's challenge, or OIDC's state.
        account_id: of a registration.
        provider: of OIDC; so are `nonce` and `verifier` (PKCE).
    """

    kind: Kind
    value: bytes = field(repr=False)
    account_id: str | None = None
    provider: str = ""
    nonce: str = field(default="", repr=False)
    verifier: str = field(default="", repr=False)


async def of_account(conn: Connection, account_id: str) -> list[PasskeyRow]:
    """Return the passkeys of an account, the oldest first."""
    async with conn.cursor(row_factory=class_row(PasskeyRow)) as cursor:
        await cursor.execute(
            """SELECT id, name, credential_id, transports,
                   (extract(epoch FROM created_at) * 1000)::bigint AS created_at_ms,
                   (extract(epoch FROM last_used_at) * 1000)::bigint AS last_used_at_ms
               FROM passkey WHERE account_id = %s ORDER BY created_at, id""",
            (account_id,),
        )
        return await cursor.fetchall()


async def known(conn: Connection, credential_id: bytes) -> KnownKey | None:
    """Return a passkey of an account and agency in force, locked until the transaction ends: its counter will move."""
    cursor = await conn.execute(
        """SELECT p.id, p.account_id, a.role, a.handle, p.public_key, p.sign_count
           FROM passkey AS p JOIN account AS a ON a.id = p.account_id LEFT JOIN agency AS g ON g.id = a.agency_id
           WHERE p.credential_id = %s AND a.disabled_at IS NULL AND g.ended_at IS NULL FOR UPDATE OF p""",
        (credential_id,),
    )
    row = await cursor.fetchone()
    return None if row is None else KnownKey(row[0], row[1], Role(row[2]), *row[3:])


async def add(conn: Connection, new: NewPasskey, *, now_ms: int) -> str | None:
    """Keep a passkey and return its id; None: this credential is kept already, whosever it is."""
    cursor = await conn.execute(
        """INSERT INTO passkey (account_id, credential_id, public_key, sign_count, transports, name, created_at)
           VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (credential_id) DO NOTHING RETURNING id""",
        (
            new.account_id,
            new.credential_id,
            new.public_key,
            new.sign_count,
            new.transports,
            new.name,
            at(now_ms),
        ),
    )
    row = await cursor.fetchone()
    return None if row is None else str(row[0])


async def used(conn: Connection, passkey_id: str, *, sign_count: int, now_ms: int) -> None:
    """Note that a passkey was shown, with its new counter."""
    await conn.execute(
        "UPDATE passkey SET sign_count = %s, last_used_at = %s WHERE id = %s", (sign_count, at(now_ms), passkey_id)
    )


async def remove(conn: Connection, account_id: str, passkey_id: str) -> bool:
    """Remove a passkey, and by a foreign key every session it opened; False: the account has no such key."""
    cursor = await conn.execute("DELETE FROM passkey WHERE account_id = %s AND id = %s", (account_id, passkey_id))
    return cursor.rowcount == 1


async def put_challenge(conn: Connection, token_hash: bytes, new: Challenge, *, expires_at_ms: int) -> None:
    """Keep what a browser has to answer."""
    await conn.execute(
        """INSERT INTO challenge (token_hash, kind, account_id, value, provider, nonce, verifier, expires_at)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s)""",
        (
            token_hash,
            new.kind,
            new.account_id,
            new.value,
            new.provider,
            new.nonce,
            new.verifier,
            at(expires_at_ms),
        ),
    )


async def take_challenge(conn: Connection, token_hash: bytes, kind: Kind, *, now_ms: int) -> Challenge | None:
    """Return what a browser has to answer and forget it: one answer, right or wrong. None: nothing, or too late."""
    cursor = await conn.execute(
        """DELETE FROM challenge WHERE token_hash = %s AND kind = %s
           RETURNING value, account_id, provider, nonce, verifier, expires_at > %s""",
        (token_hash, kind, at(now_ms)),
    )
    row = await cursor.fetchone()
    if row is None or not row[5]:
        return None
    return Challenge(kind=kind, value=row[0], account_id=row[1], provider=row[2], nonce=row[3], verifier=row[4])


async def sweep_challenges(conn: Connection, *, now_ms: int) -> int:
    """Forget what nobody answered in time; return how many those are."""
    return (await conn.execute("DELETE FROM challenge WHERE expires_at <= %s", (at(now_ms),))).rowcount
