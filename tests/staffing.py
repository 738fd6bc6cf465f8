"""A police station and a city hall with people in it, each with a card that lets him or her in once."""

import asyncio
import time
from dataclasses import dataclass

from privacy.terms import Role
from server.accounts import cards, desk
from server.accounts.cards import CardOrder
from server.accounts.desk import Deed
from server.config import ServerConfig
from server.store.accounts import NewAccount, NewAgency
from server.store.connection import Connection, connect

STATION = NewAgency(
    id="mimamori-ps",
    city_id="mimamori",
    kind="police",
    name_ja="みまもり警察署",
    name_en="Mimamori Police Station",
    legal_basis="刑事訴訟法197条2項",
)


@dataclass(frozen=True)
class Person:
    """Somebody with an account."""

    id: str
    role: Role
    name_ja: str
    name_en: str

    @property
    def agency(self) -> str | None:
        return STATION.id if self.role is Role.OFFICER else None


OFFICER = Person("officer-a", Role.OFFICER, "生活安全課 捜査担当", "Community safety, investigator")
HANDLER = Person("handler-a", Role.HANDLER, "市民安全課 取扱者", "Safety division, handler")
SUPERVISOR = Person("supervisor-a", Role.SUPERVISOR, "市民安全課 取扱責任者", "Safety division, supervisor")
MANAGER = Person("manager-a", Role.MANAGER, "市民安全課 管理責任者", "Safety division, manager")
BOARD = Person("board-a", Role.BOARD, "見守り審議会 委員", "Oversight board, member")
EVERYBODY = (OFFICER, HANDLER, SUPERVISOR, MANAGER, BOARD)


def hire(settings: ServerConfig) -> dict[str, str]:
    """Register the station and everybody; return the code of each one's card by account."""
    return asyncio.run(_hire(settings))


async def _hire(settings: ServerConfig) -> dict[str, str]:
    deed = Deed(Role.CLERK, None, time.time_ns() // 1_000_000)
    async with await connect(settings.dsn("warden")) as conn, conn.transaction():
        await desk.register(conn, deed, STATION)
        return {person.id: await _card(conn, deed, person) for person in EVERYBODY}


async def _card(conn: Connection, deed: Deed, person: Person) -> str:
    new = NewAccount(
        id=person.id,
        role=person.role,
        login=person.id,
        name_ja=person.name_ja,
        name_en=person.name_en,
        language="ja",
        agency_id=person.agency,
    )
    await desk.add(conn, deed, new)
    card = await cards.make(conn, CardOrder(person.id, None, Role.CLERK), now_ms=deed.now_ms)
    return card.code
