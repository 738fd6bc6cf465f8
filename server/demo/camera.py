"""The town's camera goes live as a city would let it: records, a mask by three people, settings, signed orders."""

import asyncio
import dataclasses
import datetime as dt
import json
import subprocess
import sys
import time
from typing import Any, Final

from privacy.cases import Step
from privacy.policy.engine import Engine
from privacy.terms import Role
from server.config import ServerConfig
from server.demo import town
from server.demo.parts import FPS, SIZE
from server.duties import cameras, masks
from server.duties.hall import Desk, Hall
from server.orders import issue
from server.orders.issue import CitySigner
from server.permit.ask import Asker
from server.permit.ordinance import profile_of
from server.store import accounts, camera_duty
from server.store import order as orders
from server.store.camera_duty import Duty, DutyRow
from server.store.connection import Connection, connect
from server.store.mask_change import NewChange

MAX_MB: Final = 500
REFERENCE: Final = "みまもり市の実演 demonstration"


def provide(settings: ServerConfig) -> None:
    """Let the town's camera go live, unless that was done before, and order its mask and settings; the gate sends them.

    Raises:
        TownError: the simulator does not say what is private in its scene, or the town has no city hall.
        ServerError: the policies refuse, or the orders cannot be given.
        DatabaseError: the database is away.
    """
    asyncio.run(_provide(settings))


async def _provide(settings: ServerConfig) -> None:
    now_ms = time.time_ns() // 1_000_000
    async with await connect(settings.dsn("warden")) as conn:
        if not await camera_duty.is_live(conn, town.CAMERA):
            await _go_live(conn, settings, now_ms)
    signer = CitySigner.of(settings)
    async with await connect(settings.dsn()) as conn, conn.transaction():
        if await orders.of_kinds(conn, town.CAMERA, "mask"):
            return
        changes: dict[str, Any] = {"fps": FPS, "max_mb": MAX_MB}
        await issue.issue_settings(conn, signer, town.CAMERA, changes=changes, now_ms=now_ms)
        await masks.send(conn, signer, town.CAMERA, now_ms=now_ms)


async def _go_live(conn: Connection, settings: ServerConfig, now_ms: int) -> None:
    """Record what the ordinance wants, and let three people of city hall agree on the mask."""
    hall = Hall(Engine.load(), profile_of(settings), settings.city.id, "command_line")
    handler, supervisor, manager = await _city_hall(conn)
    desk = Desk(conn, hall, handler, now_ms)
    today = dt.datetime.fromtimestamp(now_ms / 1000, dt.UTC).date()
    for kind in Duty:
        await cameras.record(desk, DutyRow(town.CAMERA, kind, today, REFERENCE))
    drawn = NewChange(town.CAMERA, await asyncio.to_thread(_private), is_bare=False, reason=REFERENCE)
    change = await masks.draw(desk, drawn)
    await masks.take(dataclasses.replace(desk, asker=supervisor), change, Step.CHECK)
    await masks.take(dataclasses.replace(desk, asker=manager), change, Step.APPROVE)
    await cameras.go_live(dataclasses.replace(desk, asker=manager), town.CAMERA)


async def _city_hall(conn: Connection) -> tuple[Asker, Asker, Asker]:
    """Return one account of each of the three roles."""
    known = {row.role: Asker(row.id, Role(row.role)) for row in await accounts.every(conn) if not row.is_disabled}
    try:
        return known[Role.HANDLER], known[Role.SUPERVISOR], known[Role.MANAGER]
    except KeyError as error:
        raise town.TownError("the town has no city hall with three roles") from error


def _private() -> tuple[tuple[tuple[float, float], ...], ...]:
    """Return what of the scene is nobody's business, as the simulator tells it."""
    command = [sys.executable, "-m", "firmware_sim", "street", "--masks", "--size", SIZE]
    # A session of its own, as in town.py.
    done = subprocess.run(command, capture_output=True, text=True, check=False, start_new_session=True)
    if done.returncode != 0:
        raise town.TownError(f"the simulator does not say what is private: {done.stderr.strip()[-2000:]}")
    return tuple(tuple((x, y) for x, y in polygon) for polygon in json.loads(done.stdout))
