"""Households: their owner invites a guardian with a card, the others are told, and guardianship is what is in force.

Each deed has its log entry in the caller's transaction. Whether it may be done is asked of the policies before.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from privacy.terms import Role
from privacy.transparency.record import Record
from server.accounts import cards, desk
from server.accounts.desk import AccountError, Deed
from server.store import audit
from server.store import households as rows
from server.store.accounts import NewAccount
from server.store.cards import UsedCard
from server.store.connection import Connection


@dataclass(frozen=True, slots=True)
class Invitation:
    """Whom an owner invites.

    Attributes:
        role: "guardian" or "viewer".
        name_ja: how the household calls them; likewise `name_en`.
    """

    role: str
    name_ja: str
    name_en: str


@dataclass(frozen=True, slots=True)
class NewHousehold:
    """A household to make: its owner is in charge of the wards from then on."""

    city_id: str
    name: str
    owner_id: str
    ward_ids: Sequence[str]


async def found(conn: Connection, deed: Deed, new: NewHousehold, *, town_ms: int) -> str:
    """Return the id of a new household.

    Raises:
        AccountError: the owner is no guardian's account in force.
        DatabaseError: no such ward, or it is in a household already.
    """
    owner = await desk.in_force(conn, new.owner_id)
    if owner.role is not Role.GUARDIAN:
        raise AccountError(f"{new.owner_id}: 保護者ではありません。Not the account of a guardian")
    household_id = await rows.add(conn, new.city_id, new.name, new.ward_ids)
    await rows.join(conn, household_id, owner.id, "owner", now_ms=deed.now_ms)
    await rows.begin_guardianships(conn, household_id, owner.id, town_ms=town_ms)
    await _note(conn, deed, "household.founded", household_id, owner.id)
    return household_id


async def invite(conn: Connection, deed: Deed, household_id: str, invitation: Invitation) -> cards.Card:
    """Return the card with which somebody new joins a household; until it is used they are in charge of nobody.

    Raises:
        AccountError: never but for an id that is drawn twice.
    """
    account_id = f"g-{secrets.token_hex(8)}"
    new = NewAccount(
        id=account_id,
        login=account_id,
        role=Role.GUARDIAN,
        name_ja=invitation.name_ja,
        name_en=invitation.name_en,
    )
    await desk.add(conn, deed, new)
    order = cards.CardOrder(account_id, deed.by, deed.role, (household_id, invitation.role))
    card = await cards.make(conn, order, now_ms=deed.now_ms)
    await rows.tell(conn, household_id, "invited", account_id, now_ms=deed.now_ms)
    await _note(conn, deed, "household.invited", household_id, account_id)
    return card


async def join(conn: Connection, used: UsedCard, *, now_ms: int, town_ms: int) -> None:
    """Let whoever used an invitation join; nothing happens for a card of city hall."""
    if used.household_id is None or used.household_role is None:
        return
    await rows.join(conn, used.household_id, used.account_id, used.household_role, now_ms=now_ms)
    await rows.begin_guardianships(conn, used.household_id, used.account_id, town_ms=town_ms)
    await rows.tell(conn, used.household_id, "joined", used.account_id, now_ms=now_ms)
    deed = Deed(used.role, used.account_id, now_ms)
    await _note(conn, deed, "household.joined", used.household_id, used.account_id)


async def end_member(conn: Connection, deed: Deed, household_id: str, account_id: str, *, town_ms: int) -> None:
    """End a membership and its guardianships, in this moment.

    Raises:
        AccountError: no such member, or the owner.
    """
    if not await rows.leave(conn, household_id, account_id, now_ms=deed.now_ms):
        raise AccountError("この世帯にいません。There is no such member")
    await rows.end_guardianships(conn, household_id, account_id, town_ms=town_ms)
    await rows.tell(conn, household_id, "left", account_id, now_ms=deed.now_ms)
    await _note(conn, deed, "household.left", household_id, account_id)


async def _note(conn: Connection, deed: Deed, kind: str, household_id: str, account_id: str) -> None:
    personal = {"account": account_id, "household": household_id, **({"by": deed.by} if deed.by else {})}
    await audit.append(conn, Record(kind, deed.now_ms, deed.role, {}, personal))
