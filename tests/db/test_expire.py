import asyncio
import contextlib

import psycopg
import pytest

from privacy.ordinance import load
from server.clerk import expire
from server.config import ServerConfig
from tests.db.duties import PEOPLE

pytestmark = pytest.mark.db


async def _until_three_runs(owner: psycopg.Connection[tuple[object, ...]]) -> None:
    row = None
    while row != (True,):
        await asyncio.sleep(0.05)
        row = owner.execute("SELECT count(*) >= 3 FROM retention_run").fetchone()


async def test_the_clerk_runs_the_schedule_by_itself_again_and_again(db: ServerConfig) -> None:
    with psycopg.connect(db.dsn(), autocommit=True) as owner:
        owner.execute(PEOPLE.encode())
        owner.execute(
            "INSERT INTO session (token_hash, account_id, expires_at) VALUES (sha256('s'), 'guardian1', now())"
        )
        task = asyncio.create_task(expire.run(db, load("kakogawa"), every_s=0.05))
        try:
            async with asyncio.timeout(20):
                await _until_three_runs(owner)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        assert owner.execute("SELECT count(*) FROM session").fetchone() == (0,)
        found = owner.execute("SELECT certificate ->> 'profile' FROM retention_run LIMIT 1").fetchone()
        assert found == ("kakogawa",)
