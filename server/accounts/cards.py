"""Enrolment cards: what city hall prints and hands over, so that somebody can make a passkey. Each opens once."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Final

from privacy.terms import Role
from privacy.transparency.record import Record
from server.errors import ServerError
from server.store import audit
from server.store import cards as rows
from server.store.connection import Connection
from wire.enrolment import CODE_OCTETS, code_of, code_sha256

VALID_S: Final = 14 * 86_400
"""A card that was posted arrives within days; one that was lost is worthless soon."""


class CardError(ServerError):
    """No card in force has this code; whether it was used, has expired or never was is not said."""


@dataclass(frozen=True, slots=True)
class Card:
    """A card as it is printed.

    Attributes:
        id: of the card, no secret.
        code: to be typed, in groups of four.
        expires_at_ms: wall time.
    """

    id: str
    code: str = field(repr=False)
    expires_at_ms: int

    def qr_text(self, public_url: str) -> str:
        """Return what its QR code says. The code is in the fragment, which browsers send to no server."""
        return f"{public_url.rstrip('/')}/#card={self.code}"


@dataclass(frozen=True, slots=True)
class CardOrder:
    """What card is to be made.

    Attributes:
        account_id: whom it lets in.
        by: account that makes it; None: the server's own command line.
        by_role: of whoever makes it.
        household: id and role that its use joins.
    """

    account_id: str
    by: str | None
    by_role: Role
    household: tuple[str, str] | None = None


async def make(conn: Connection, order: CardOrder, *, now_ms: int, valid_s: int = VALID_S) -> Card:
    """Return a new card, in the caller's transaction with its log entry; older unused ones of the account are void.

    Args:
        conn: of the role warden, in a transaction.
        order: for whom and by whom.
        now_ms: wall time.
        valid_s: how long it opens anything.
    """
    code = code_of(secrets.token_bytes(CODE_OCTETS))
    expires_at_ms = now_ms + valid_s * 1000
    household_id, household_role = order.household or (None, None)
    new = rows.NewCard(
        account_id=order.account_id,
        code_hash=code_sha256(code),
        made_by=order.by,
        made_at_ms=now_ms,
        expires_at_ms=expires_at_ms,
        household_id=household_id,
        household_role=household_role,
    )
    card_id = await rows.add(conn, new)
    personal = {"account": order.account_id, **({"by": order.by} if order.by else {})}
    await audit.append(conn, Record("card.made", now_ms, order.by_role, {"card": card_id}, personal))
    return Card(card_id, code, expires_at_ms)


async def use(conn: Connection, code: str, *, now_ms: int) -> rows.UsedCard:
    """Use a card up and return whom it lets in, in the caller's transaction with its log entry.

    Raises:
        CardError: it opens nothing.
    """
    used = await rows.use(conn, code_sha256(code), now_ms=now_ms)
    if used is None:
        raise CardError
    await audit.append(conn, Record("card.used", now_ms, used.role, {"card": used.id}, {"account": used.account_id}))
    return used
