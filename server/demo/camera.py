"""The town's camera: its mask, drawn for the street scene, and its settings, ordered as a city would order them."""

import asyncio
import json
import subprocess
import sys
import time
from typing import Any, Final

from server.config import ServerConfig
from server.demo import town
from server.demo.parts import FPS, SIZE
from server.orders import issue
from server.orders.issue import CitySigner, Drawing
from server.store import order as orders
from server.store.connection import connect

MAX_MB: Final = 500


def provide(settings: ServerConfig) -> None:
    """Order a mask and settings for the town's camera, unless that was done before; the gate sends them.

    Raises:
        TownError: the simulator does not say what is private in its scene.
        ServerError: the orders cannot be given.
        DatabaseError: the database is away.
    """
    asyncio.run(_provide(settings))


async def _provide(settings: ServerConfig) -> None:
    signer, now_ms = CitySigner.of(settings), time.time_ns() // 1_000_000
    async with await connect(settings.dsn()) as conn, conn.transaction():
        if await orders.of_kinds(conn, town.CAMERA, "mask"):
            return
        changes: dict[str, Any] = {"fps": FPS, "max_mb": MAX_MB}
        await issue.issue_settings(conn, signer, town.CAMERA, changes=changes, now_ms=now_ms)
        drawing = Drawing(await asyncio.to_thread(_private))
        await issue.issue_mask(conn, signer, town.CAMERA, drawing=drawing, now_ms=now_ms)


def _private() -> tuple[tuple[tuple[float, float], ...], ...]:
    """Return what of the scene is nobody's business, as the simulator tells it."""
    command = [sys.executable, "-m", "firmware_sim", "street", "--masks", "--size", SIZE]
    # A session of its own, as in town.py.
    done = subprocess.run(command, capture_output=True, text=True, check=False, start_new_session=True)
    if done.returncode != 0:
        raise town.TownError(f"the simulator does not say what is private: {done.stderr.strip()[-2000:]}")
    return tuple(tuple((x, y) for x, y in polygon) for polygon in json.loads(done.stdout))
