"""What people change of their own account: each change with its log entry, in the caller's transaction."""

from __future__ import annotations

import asyncio
import secrets
from typing import Final

from privacy.transparency.record import Record
from server.accounts.codes import hash_code
from server.accounts.sessions import Session
from server.errors import ServerError
from server.store import accounts as rows
from server.store import audit
from server.store.connection import Connection

_LETTERS: Final = "23456789abcdefghjkmnpqrstuvwxyz"
"""Without look-alikes: a code is read aloud."""
_GROUPS: Final = 3


class AccountGoneError(ServerError):
    """The account is no longer there."""


async def set_recipient(conn: Connection, session: Session, recipient: str, *, now_ms: int) -> None:
    """Take another age public key to which footage is sealed."""
    await rows.set_recipient(conn, session.account_id, recipient, now_ms=now_ms)
    await _note(conn, session, "recipient", now_ms)


async def give_code(conn: Connection, session: Session, *, now_ms: int) -> tuple[str, str]:
    """Return the login and a new code, which only its owner will ever have seen.

    Raises:
        AccountGoneError: there is no such account any more.
    """
    account = await rows.find(conn, session.account_id)
    if account is None:
        raise AccountGoneError
    code = "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(_GROUPS))
    await rows.set_code(conn, account.id, await asyncio.to_thread(hash_code, code))
    await _note(conn, session, "code", now_ms)
    return account.login, code


async def set_email(conn: Connection, session: Session, email: str | None, *, now_ms: int) -> None:
    """Take another address for notices."""
    await rows.set_email(conn, session.account_id, email)
    await _note(conn, session, "email", now_ms)


async def _note(conn: Connection, session: Session, what: str, now_ms: int) -> None:
    personal = {"account": session.account_id}
    await audit.append(conn, Record("account.changed", now_ms, session.role, {"what": what}, personal))
