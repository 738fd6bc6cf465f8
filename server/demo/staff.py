"""Enrolment cards for the demonstration's offices: their passkeys are made in a visitor's own browser."""

import asyncio
import time
from dataclasses import dataclass

from privacy.ordinance import load
from privacy.policy.engine import Engine
from server.accounts.sessions import FAMILY_ROLES
from server.config import ServerConfig
from server.permit.counter import CONSOLE, Counter
from server.store import accounts, passkeys
from server.store.accounts import AccountRow
from server.store.connection import Connection, connect


@dataclass(frozen=True, slots=True)
class Office:
    """An account of the demonstration.

    Attributes:
        name_ja: of the office.
        name_en: likewise.
        code: of its enrolment card; "" where it has a passkey already.
    """

    name_ja: str
    name_en: str
    code: str


def offices(settings: ServerConfig) -> tuple[Office, ...]:
    """Return every account that is no family's, with a new card for each that has no passkey.

    Raises:
        DatabaseError: the database is away.
        RefusedError: the policies let nobody make cards here.
    """
    counter = Counter(Engine.load(), load(settings.city.ordinance).facts(), lambda: time.time_ns() // 1_000_000)

    async def run() -> tuple[Office, ...]:
        async with await connect(settings.dsn("warden")) as conn:
            staff = [row for row in await accounts.every(conn) if row.role not in FAMILY_ROLES and not row.is_disabled]
            return tuple([await _office(counter, conn, row) for row in staff])

    return asyncio.run(run())


async def _office(counter: Counter, conn: Connection, row: AccountRow) -> Office:
    has_key = await passkeys.of_account(conn, row.id)
    code = "" if has_key else (await counter.make_card(conn, CONSOLE, row.id)).code
    return Office(row.name_ja, row.name_en, code)
