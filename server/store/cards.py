"""Enrolment cards: sheets of paper that open an account's door once. Only the SHA-256 of their codes is here."""

from __future__ import annotations

from dataclasses import dataclass

from privacy.terms import Role
from server.store.connection import Connection, at


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCard:
    """A card to make.

    Attributes:
        account_id: whom it lets in.
        code_hash: SHA-256 of the code.
        made_by: account; None: the server's own command line.
        made_at_ms: wall time; likewise `expires_at_ms`.
        household_id: which its use joins, as `household_role`.
    """

    account_id: str
    code_hash: bytes
    made_by: str | None
    made_at_ms: int
    expires_at_ms: int
    household_id: str | None = None
    household_role: str | None = None


@dataclass(frozen=True, slots=True)
class UsedCard:
    """A card that was used just now."""

    id: str
    account_id: str
    role: Role
    household_id: str | None
    household_role: str | None


async def add(conn: Connection, new: NewCard) -> str:
    """Make a card and return its id; unused cards of the same account open nothing any more."""
    await conn.execute(
        "UPDATE enrolment_card SET expires_at = least(expires_at, %s) WHERE account_id = %s AND used_at IS NULL",
        (at(new.made_at_ms), new.account_id),
    )
    cursor = await conn.execute(
        """INSERT INTO enrolment_card (account_id, code_hash, made_by, made_at, expires_at, household_id,
                                       household_role)
           VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING id""",
        (
            new.account_id,
            new.code_hash,
            new.made_by,
            at(new.made_at_ms),
            at(new.expires_at_ms),
            new.household_id,
            new.household_role,
        ),
    )
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - RETURNING gives one row or raises
    return str(row[0])


async def use(conn: Connection, code_hash: bytes, *, now_ms: int) -> UsedCard | None:
    """Use a card up; None: no such card, used before, expired, or of an account or agency that has ended.

    An invitation is worth what its maker is worth now: an owner who is barred, disabled or none any more opens nothing.
    """
    cursor = await conn.execute(
        """UPDATE enrolment_card AS c SET used_at = %(now)s
           FROM account AS a LEFT JOIN agency AS g ON g.id = a.agency_id
           WHERE c.code_hash = %(code_hash)s AND c.used_at IS NULL AND c.expires_at > %(now)s
             AND a.id = c.account_id AND a.disabled_at IS NULL AND g.ended_at IS NULL
             AND (c.household_id IS NULL OR EXISTS (
                 SELECT FROM household_member AS m JOIN account AS maker ON maker.id = m.account_id
                 WHERE m.household_id = c.household_id AND m.account_id = c.made_by AND m.role = 'owner'
                   AND m.since <= %(now)s AND m.until > %(now)s AND maker.disabled_at IS NULL
                   AND NOT EXISTS (
                       SELECT FROM household_ward AS w JOIN protective_measure AS p ON p.ward_id = w.ward_id
                       WHERE w.household_id = c.household_id AND p.account_id = m.account_id
                         AND p.since <= %(now)s AND p.until > %(now)s)))
           RETURNING c.id, c.account_id, a.role, c.household_id, c.household_role""",
        {"code_hash": code_hash, "now": at(now_ms)},
    )
    row = await cursor.fetchone()
    return None if row is None else UsedCard(row[0], row[1], Role(row[2]), row[3], row[4])
