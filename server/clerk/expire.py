"""Runs the schedule of what is kept, at the start and every hour; each run leaves its certificate."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from privacy.ordinance import Profile
from privacy.retention import schedule_of
from server.config import ServerConfig
from server.retention.run import run as run_schedule
from server.store.connection import DatabaseError, connect

log = logging.getLogger(__name__)

EVERY_S: Final = 3_600.0
"""Wall seconds between runs: what is too old is gone an hour later at most."""
_AGAIN_S: Final = 30.0
"""After a run that failed."""


async def run(config: ServerConfig, profile: Profile, *, every_s: float = EVERY_S) -> None:
    """Run the schedule again and again until cancelled; the database may go and come back."""
    schedule = schedule_of(profile)
    while True:
        pause_s = every_s
        try:
            async with await connect(config.dsn("clerk")) as conn:
                now_ms = time.time_ns() // 1_000_000
                certificate = await run_schedule(conn, schedule, now_ms, town_ms=config.clock.now_ms())
        except (DatabaseError, OSError) as error:
            log.warning("retention.failed", extra={"reason": type(error).__name__})
            pause_s = min(every_s, _AGAIN_S)
        else:
            if certificate.left:
                log.error("retention.left", extra={"pending": certificate.left})
        await asyncio.sleep(pause_s)
