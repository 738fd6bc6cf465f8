"""What the clerk's loop does with a town that was heard."""

import dataclasses
import time

import pytest

from server.config import ServerConfig
from server.statistics.loop import look
from server.statistics.publishing import Press
from tests.server.statistics.conftest import Town, at_ms
from wire.clock import Clock

pytestmark = pytest.mark.db


async def test_a_look_counts_and_the_next_day_publishes(db: ServerConfig, town: Town, press: Press) -> None:
    town.heard(town.people(100), "2026-11-24T07:10")
    for when in ("2026-11-24T08:30", "2026-11-25T00:10"):
        clock = Clock(time.time_ns() // 1_000_000, at_ms(when), speed=1e-5)
        await look(dataclasses.replace(db, clock=clock), press)
    assert town.sql("SELECT released FROM statistic_release") == [(1,)]
