"""The track over HTTP is the same whether its hours are plain, sealed, or half of each."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from server.config import ServerConfig
from server.history.keyring import KeyRing
from server.history.sealing import Sealer
from server.registry.kek import load as load_kek
from server.store.connection import connect

pytestmark = pytest.mark.db
SignIn = Callable[[str], Awaitable[httpx.AsyncClient]]
Sql = Callable[..., list[tuple[Any, ...]]]
TRACK = "/api/v1/wards/ward-yui/track?date=2026-11-24"
NOON_MS = 1_795_489_200_000  # 2026-11-24 12:00 in Tokyo
DAY_MS = 86_400_000


async def _seal(config: ServerConfig, now_ms: int) -> None:
    sealer = Sealer(KeyRing(config.keystore_dsn("ingest"), load_kek(config.keys_dir / "history.bin")))
    async with await connect(config.dsn("ingest")) as conn:
        await sealer.plan(conn, now_ms)
        assert await sealer.work(conn, budget_s=30)
    await sealer.ring.close()


async def test_the_answer_is_the_same_octet_for_octet(signed_in: SignIn, town: ServerConfig, sql: Sql) -> None:
    client = await signed_in("demo")
    plain = (await client.get(TRACK)).content
    assert plain.count(b"lat_deg") == 3
    await _seal(town, NOON_MS)
    assert sql("SELECT count(*) FROM fix WHERE ward_id = 'ward-yui'") == [(2,)]
    assert (await client.get(TRACK)).content == plain
    await _seal(town, NOON_MS + 3 * DAY_MS)
    assert sql("SELECT count(*) FROM fix") == [(0,)]
    assert (await client.get(TRACK)).content == plain


async def test_a_sealed_track_is_nobody_else_s(signed_in: SignIn, town: ServerConfig) -> None:
    await _seal(town, NOON_MS + 3 * DAY_MS)
    for login in ("other", "ended"):
        client = await signed_in(login)
        unknown = await client.get(TRACK.replace("ward-yui", "ward-nobody"))
        answer = await client.get(TRACK)
        assert (answer.status_code, answer.content) == (404, unknown.content)


async def test_while_the_key_store_is_away_the_answer_says_so(signed_in: SignIn, town: ServerConfig) -> None:
    client = await signed_in("demo")
    await _seal(town, NOON_MS + 3 * DAY_MS)
    today = await client.get(TRACK.replace("2026-11-24", "2026-11-26"))
    assert (today.status_code, today.json()) == (200, {"fixes": []})
    async with await connect(town.keystore_dsn()) as keys:
        await keys.execute("ALTER TABLE ward_key RENAME TO ward_key_away")
        try:
            answer = await client.get(TRACK)
        finally:
            await keys.execute("ALTER TABLE ward_key_away RENAME TO ward_key")
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert len((await client.get(TRACK)).json()["fixes"]) == 3
