"""The clerk as a program: it hears of changes, and runs the schedule of what is kept."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from server.clerk import loop
from tests.casework import Hall

pytestmark = pytest.mark.db


async def _until(is_so: Callable[[], bool], within_s: float = 15.0) -> float:
    began_s = time.monotonic()
    while not is_so():
        assert time.monotonic() - began_s < within_s
        await asyncio.sleep(0.05)
    return time.monotonic() - began_s


async def _while(work: Coroutine[Any, Any, None], do: Callable[[], Coroutine[Any, Any, None]]) -> None:
    task = asyncio.create_task(work)
    try:
        await do()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_it_hears_of_a_submission_at_once(hall: Hall) -> None:
    async def submit() -> None:
        await _until(lambda: bool(hall.sql("SELECT 1 FROM pg_stat_activity WHERE query = 'LISTEN gateway_order'")))
        await asyncio.sleep(0.5)
        await hall.submitted()
        assert await _until(lambda: bool(hall.sql("SELECT 1 FROM case_order"))) < loop.LOOK_S

    await _while(loop.run(hall.config), submit)


async def test_the_schedule_is_run_and_leaves_its_entry(hall: Hall) -> None:
    async def wait() -> None:
        await _until(lambda: "retention.run" in hall.kinds())

    await _while(loop.expire(hall.config, loop.room_of(hall.config), hall.metrics, settle_s=0), wait)
    assert hall.metrics.retention_runs._value.get() == 1


async def test_a_run_that_fails_is_counted_and_deletes_nothing(hall: Hall) -> None:
    hall.sql("REVOKE INSERT ON audit_entry FROM clerk")

    async def wait() -> None:
        await _until(lambda: hall.metrics.retention_failures._value.get() == 1)

    await _while(loop.expire(hall.config, loop.room_of(hall.config), hall.metrics, settle_s=0), wait)
    assert hall.sql("SELECT 1 FROM retention_run") == []
