"""The clerk process: looks at all cases whenever one of them, an order or an export changed, and every few seconds.

Cases live by wall time, whatever the town's clock says. Several clerks may run: a case has one lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable
from typing import Final

from privacy.retention import schedule_of
from server.cases.office import Office
from server.clerk.metrics import ClerkMetrics
from server.clerk.room import Room
from server.clerk.tend import sweep
from server.config import ServerConfig
from server.exposition import exposed
from server.footage.exports import FOLDER
from server.retention import run as retention
from server.statistics.loop import keep
from server.store import case_order
from server.store.connection import DatabaseError, connect

log = logging.getLogger(__name__)

RETENTION_S: Final = 3_600.0
"""Wall seconds between runs of the schedule of what is kept: nothing outlives its limit by more than this."""
SETTLE_S: Final = 60.0
"""After a start the other programs come first."""
LOOK_S: Final = 5.0
"""Wall seconds between looks when nothing is heard: what falls due by time is done so late at most."""
_CALM_S: Final = 0.2
"""What comes at once is looked at together."""


def wall_ms() -> int:
    """Return the machine's wall time, Unix milliseconds."""
    return time.time_ns() // 1_000_000


def room_of(config: ServerConfig, now_ms: Callable[[], int] = wall_ms) -> Room:
    """Return what the clerk works with.

    Raises:
        ConfigError: the city's ordinance profile is wrong.
        PolicyError: the policies cannot be used.
    """
    office = Office.of(config, now_ms)
    url = f"{config.http.public_url.rstrip('/')}/api/v1/exports"
    return Room(office, config.state_dir / FOLDER, url)


async def run(config: ServerConfig) -> None:
    """Look after cases until cancelled; the database may go and come back.

    Raises:
        ConfigError: see `room_of`.
        ServerError: the metrics port cannot be had.
    """
    room, metrics, wake = room_of(config), ClerkMetrics(), asyncio.Event()
    with exposed(metrics.registry, config.clerk.metrics_port):
        log.info("clerk.started")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_hear(config, wake))
            tasks.create_task(_work(config, room, metrics, wake))
            tasks.create_task(expire(config, room, metrics))
            tasks.create_task(keep(config))


async def _work(config: ServerConfig, room: Room, metrics: ClerkMetrics, wake: asyncio.Event) -> None:
    while True:
        try:
            async with await connect(config.dsn("clerk")) as conn:
                while True:
                    wake.clear()
                    await sweep(conn, room, metrics)
                    metrics.sweeps.inc()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(LOOK_S):
                            await wake.wait()
                            await asyncio.sleep(_CALM_S)
        except (DatabaseError, OSError) as error:
            metrics.database_errors.inc()
            log.warning("database.lost", extra={"reason": type(error).__name__})
        await asyncio.sleep(random.uniform(0.5, 2.0))  # noqa: S311 - spreads reconnections, protects nothing


async def expire(config: ServerConfig, room: Room, metrics: ClerkMetrics, *, settle_s: float = SETTLE_S) -> None:
    """Delete every hour what is too old by the one schedule; each run leaves its certificate."""
    schedule = schedule_of(room.office.profile)
    await asyncio.sleep(settle_s)
    while True:
        try:
            async with await connect(config.dsn("clerk")) as conn:
                await retention.run(conn, schedule, room.office.now_ms(), town_ms=config.clock.now_ms())
            metrics.retention_runs.inc()
        except (DatabaseError, OSError) as error:
            metrics.retention_failures.inc()
            log.exception("retention.failed", extra={"error": type(error).__name__})
        await asyncio.sleep(RETENTION_S)


async def _hear(config: ServerConfig, wake: asyncio.Event) -> None:
    """Wake the worker for every change; deaf while the database is away, when it looks by itself."""
    while True:
        try:
            async with (
                await connect(config.dsn("clerk")) as conn,
                contextlib.aclosing(case_order.changes(conn)) as changes,
            ):
                async for _ in changes:
                    wake.set()
        except (DatabaseError, OSError) as error:
            log.warning("listen.broke", extra={"reason": type(error).__name__})
        await asyncio.sleep(random.uniform(0.5, 2.0))  # noqa: S311 - as above
