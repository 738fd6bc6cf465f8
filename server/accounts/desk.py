"""What city hall does to accounts and agencies: each deed with its log entry, in the caller's transaction.

Whether it may be done is asked before, of the policies; nothing here decides.
"""

from __future__ import annotations

from dataclasses import dataclass

from privacy.terms import Role
from privacy.transparency.record import Record
from server.errors import ServerError
from server.store import accounts as rows
from server.store import audit, identities
from server.store.connection import Connection


class AccountError(ServerError):
    """There is no such account or agency in force, or there is one already. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Deed:
    """Who does it, and when.

    Attributes:
        role: of whoever does it; CLERK at the server's own command line.
        by: account; None at the command line.
        now_ms: wall time.
    """

    role: Role
    by: str | None
    now_ms: int


async def add(conn: Connection, deed: Deed, new: rows.NewAccount) -> None:
    """Make an account; it has no way to sign in before a card is made for it.

    Raises:
        AccountError: the id or login is taken, or the agency is not registered.
    """
    if new.agency_id is not None:
        await _agency_in_force(conn, new.agency_id)
    if not await rows.add(conn, new):
        raise AccountError(f"{new.id}: もうあります。This id or login is taken")
    await _note(conn, deed, new.id, "added")


async def disable(conn: Connection, deed: Deed, account_id: str) -> None:
    """Disable an account and sign it out everywhere, in this moment.

    Raises:
        AccountError: no such account in force.
    """
    if not await rows.disable(conn, account_id, now_ms=deed.now_ms):
        raise AccountError(f"{account_id}: 有効なアカウントはありません。There is no such account in force")
    await _note(conn, deed, account_id, "disabled")


async def link(conn: Connection, deed: Deed, account_id: str, *, issuer: str, subject: str) -> None:
    """Let an identity provider's subject sign in as an account.

    Raises:
        AccountError: no such account in force, or the subject is somebody already.
    """
    await in_force(conn, account_id)
    if not await identities.link(conn, account_id, issuer=issuer, subject=subject):
        raise AccountError("この相手はもう結び付けられています。This subject is linked already")
    await _note(conn, deed, account_id, "linked")


async def in_force(conn: Connection, account_id: str) -> rows.AccountRow:
    """Return an account that is not disabled.

    Raises:
        AccountError: there is none.
    """
    found = await rows.find(conn, account_id)
    if found is None or found.is_disabled:
        raise AccountError(f"{account_id}: 有効なアカウントはありません。There is no such account in force")
    return found


async def register(conn: Connection, deed: Deed, new: rows.NewAgency) -> None:
    """Register an agency.

    Raises:
        AccountError: the id is taken.
    """
    if not await rows.add_agency(conn, new):
        raise AccountError(f"{new.id}: もうあります。This agency is registered already, or was")
    await note_registered(conn, deed, new)


async def note_registered(conn: Connection, deed: Deed, new: rows.NewAgency) -> None:
    """Log that an agency was registered: from this entry reports count it and have its name."""
    # The name of a public body, which reports publish; never a person's.
    facts = {"agency": new.id, "agency_kind": new.kind, "name_ja": new.name_ja, "name_en": new.name_en}
    await audit.append(conn, Record("agency.registered", deed.now_ms, deed.role, facts, _by(deed)))


async def end_agency(conn: Connection, deed: Deed, agency_id: str) -> None:
    """End an agency's registration and sign its accounts out, in this moment.

    Raises:
        AccountError: no such agency in force.
    """
    if not await rows.end_agency(conn, agency_id, now_ms=deed.now_ms):
        raise AccountError(f"{agency_id}: 有効な登録はありません。There is no such agency in force")
    await audit.append(conn, Record("agency.ended", deed.now_ms, deed.role, {"agency": agency_id}, _by(deed)))


async def _agency_in_force(conn: Connection, agency_id: str) -> None:
    found = await rows.agency(conn, agency_id)
    if found is None or found.has_ended:
        raise AccountError(f"{agency_id}: 登録された機関ではありません。There is no such agency in force")


async def _note(conn: Connection, deed: Deed, account_id: str, what: str) -> None:
    personal = {"account": account_id, **_by(deed)}
    await audit.append(conn, Record("account.changed", deed.now_ms, deed.role, {"what": what}, personal))


def _by(deed: Deed) -> dict[str, str]:
    return {} if deed.by is None else {"by": deed.by}
