"""A police station and a city hall with people in it, each with a card that lets him or her in once."""

import asyncio
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

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


OFFICER = Person("officer-sato", Role.OFFICER, "佐藤 花子", "Hanako Sato")
HANDLER = Person("handler-suzuki", Role.HANDLER, "鈴木 一郎", "Ichiro Suzuki")
SUPERVISOR = Person("supervisor-takahashi", Role.SUPERVISOR, "高橋 恵", "Megumi Takahashi")
MANAGER = Person("manager-tanaka", Role.MANAGER, "田中 進", "Susumu Tanaka")
BOARD = Person("board-ito", Role.BOARD, "伊藤 光", "Hikaru Ito")
EVERYBODY = (OFFICER, HANDLER, SUPERVISOR, MANAGER, BOARD)


def hire(settings: ServerConfig) -> dict[str, str]:
    """Register the station and everybody; return the code of each one's card by account."""
    return asyncio.run(_hire(settings))


def go_live(config_file: Path, camera: str) -> None:
    """Let a camera go live as city hall does: its records, and a mask by three people."""
    bare = config_file.with_name("mask.json")
    bare.write_text('{"bare": true}')
    for kind in ("sign", "consultation", "notice", "location"):
        record = ("record", camera, kind, "--on", "2026-11-01", "--reference", "市報")
        _duty(config_file, HANDLER, *record)
    _duty(config_file, HANDLER, "mask-draw", camera, str(bare), "--reason", "設置")
    _duty(config_file, SUPERVISOR, "mask-check", "1")
    _duty(config_file, MANAGER, "mask-approve", "1")
    _duty(config_file, MANAGER, "live", camera)


def _duty(config_file: Path, person: Person, *arguments: str) -> None:
    command = [sys.executable, "-m", "server", "duty", *arguments, "--as", person.id, "--config", str(config_file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


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
