"""Tickets for the simulated town's gateways and cars, by which they enrol themselves, as real ones do."""

import asyncio
import secrets
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from server.config import ServerConfig
from server.enrolment import vault
from server.enrolment.tickets import Desk
from server.store.connection import connect
from wire.enrolment import CODE_OCTETS, Ticket


@dataclass(frozen=True, slots=True)
class Waiting:
    """A gateway that has yet to enrol, and where it looks for its ticket."""

    detector: str
    ticket_file: Path


def hand_out(settings: ServerConfig, gateways_dir: Path) -> int:
    """Write a ticket for every gateway in `gateways_dir` that has no identity yet; return how many those are.

    Raises:
        ServerError: the city has no authority.
        DatabaseError: the database is away.
    """
    waiting = _waiting(gateways_dir)
    for each, ticket in zip(waiting, asyncio.run(_tickets(settings, waiting)), strict=True):
        each.ticket_file.parent.mkdir(mode=0o700, exist_ok=True)
        vault.write(each.ticket_file, ticket.to_json().encode(), mode=0o600)
    return len(waiting)


def _waiting(gateways_dir: Path) -> list[Waiting]:
    found = []
    for file in sorted(gateways_dir.glob("*.toml")):
        table = tomllib.loads(file.read_text("utf-8"))
        if "enrolment" in table and not (Path(table["state_dir"]) / "identity").exists():
            found.append(Waiting(str(table["detector"]), Path(table["enrolment"]["ticket_file"])))
    return found


async def _tickets(settings: ServerConfig, waiting: Sequence[Waiting]) -> list[Ticket]:
    desk, now_ms = Desk.of(settings), time.time_ns() // 1_000_000
    async with await connect(settings.dsn()) as conn, conn.transaction():
        codes = [secrets.token_bytes(CODE_OCTETS) for _ in waiting]
        pairs = zip(waiting, codes, strict=True)
        return [await desk.ticket(conn, each.detector, code, now_ms=now_ms) for each, code in pairs]
