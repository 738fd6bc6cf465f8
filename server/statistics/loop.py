"""Counts and publishes as time goes by, beside the clerk's other work; the database may go and come back."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from privacy.anonymity import AnonymityError
from server.config import ServerConfig
from server.statistics.publishing import Press, press_of, work
from server.store.connection import DatabaseError, connect

log = logging.getLogger(__name__)

_EVERY_S: Final = 600.0
"""Town seconds between looks: an hour may be counted for eighty-five minutes before it is sealed."""
_LEAST_S: Final = 1.0


async def keep(config: ServerConfig) -> None:
    """Count and publish until cancelled.

    Raises:
        ConfigError: there is no such ordinance profile.
        PolicyError: the policies cannot be used.
    """
    press = press_of(config)
    while True:
        try:
            await look(config, press)
        except (DatabaseError, OSError) as error:
            log.warning("database.lost", extra={"reason": type(error).__name__})
        except AnonymityError as error:
            log.exception("statistic.unpublished", extra={"reason": type(error).__name__})
        await asyncio.sleep(max(_LEAST_S, _EVERY_S / config.clock.speed))


async def look(config: ServerConfig, press: Press) -> None:
    """Do what is due now.

    Raises:
        DatabaseError: the database is away.
        AnonymityError: a day cannot be published so that nobody is told of.
    """
    async with await connect(config.dsn("clerk")) as conn:
        await work(conn, press, town_ms=config.clock.now_ms(), wall_ms=time.time_ns() // 1_000_000)
