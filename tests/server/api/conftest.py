"""A small town in a real database, and the API serving it on a real port."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from fastapi import FastAPI

from server import keys
from server.accounts.codes import hash_code
from server.accounts.sessions import SessionRules
from server.accounts.signin import SignInLimits
from server.api.app import Knobs, create_app, make_server, open_pools
from server.config import BrokerConfig, HttpConfig, ServerConfig

CODE = "1234-5678"
GEOJSON = (
    '{"type":"FeatureCollection","features":['
    '{"type":"Feature","properties":{"kind":"poi","name_ja":"図書館","name_en":"Library"},'
    '"geometry":{"type":"Point","coordinates":[134.8420,34.7610]}}]}'
)
TOWN = """
INSERT INTO city VALUES ('mimamori', 'みまもり市', 'Mimamori City', 'Asia/Tokyo');
INSERT INTO tag (id, city_id, kind, static_id, shard) VALUES
    ('tag-yui', 'mimamori', 'uid', '\\x0000000000000001', 1), ('tag-ken', 'mimamori', 'uid', '\\x0000000000000002', 2);
INSERT INTO ward VALUES ('ward-yui', 'mimamori', 'ゆい', 'Yui', 'tag-yui'),
    ('ward-ken', 'mimamori', 'けん', 'Ken', 'tag-ken'), ('ward-new', 'mimamori', 'あおい', 'Aoi', NULL);
INSERT INTO guardianship (guardian_id, ward_id, until) VALUES
    ('g-demo', 'ward-yui', 'infinity'), ('g-demo', 'ward-new', 'infinity'), ('g-other', 'ward-ken', 'infinity'),
    ('g-ended', 'ward-yui', now() - interval '1 hour');
INSERT INTO place VALUES
    ('school', 'mimamori', '小学校', 'School', 'school', 34.7700, 134.8500, 80, NULL),
    ('pool', 'mimamori', 'プール', 'Pool', 'pool', 34.7800, 134.8500, 50, NULL),
    ('home-yui', 'mimamori', 'ゆいの家', 'Home of Yui', 'home', 34.7500, 134.8300, 40, 'ward-yui'),
    ('home-ken', 'mimamori', 'けんの家', 'Home of Ken', 'home', 34.7612, 134.8418, 40, 'ward-ken');
INSERT INTO watch VALUES ('ward-yui', 'school', true, true, 60), ('ward-yui', 'home-yui', true, true, 60),
    ('ward-ken', 'pool', true, true, 60);
INSERT INTO last_place (ward_id, lat_deg, lon_deg, accuracy_m, heard_at, received_at, battery_dv) VALUES
    ('ward-yui', 34.7612, 134.8418, 35, '2026-11-24 07:40+09', '2026-11-24 07:40:02+09', 29),
    ('ward-ken', 34.7612, 134.8418, 35, '2026-11-24 07:41+09', '2026-11-24 07:41:02+09', NULL);
INSERT INTO fix SELECT ward, t, t, 34.76 + n * 0.001, 134.84, 30, 2, t + interval '2 s', n = 3
    FROM unnest(ARRAY['ward-yui', 'ward-ken']) AS ward,
         (VALUES (1, '2026-11-24 00:00+09'::timestamptz), (2, '2026-11-24 07:40+09'), (3, '2026-11-24 23:59:59+09'),
                 (4, '2026-11-25 00:00+09')) AS f (n, t);
INSERT INTO event (ward_id, place_id, kind, at, received_at) VALUES
    ('ward-yui', 'home-yui', 'departed', '2026-11-24 07:30+09', '2026-11-24 07:30:02+09'),
    ('ward-ken', 'pool', 'arrived', '2026-11-24 07:35+09', '2026-11-24 07:35:02+09'),
    ('ward-yui', 'school', 'arrived', '2026-11-24 07:45+09', '2026-11-24 07:45:02+09'),
    ('ward-yui', NULL, 'sos', '2026-11-24 07:50+09', '2026-11-24 07:50:02+09');
"""
Sql = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture(scope="session")
def code_hash() -> str:
    return hash_code(CODE)


@pytest.fixture
def sql(db: ServerConfig) -> Sql:
    """Run one statement as the owner, committed at once, and give its rows."""

    def run(statement: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(db.dsn(), autocommit=True) as conn:
            cursor = conn.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

    return run


@pytest.fixture
def town(db: ServerConfig, sql: Sql, code_hash: str) -> ServerConfig:
    """The configuration of a town with two families, keys and a map; its broker is not there."""
    for login in ("demo", "other", "ended"):
        sql(
            "INSERT INTO account VALUES (%s, %s, %s, %s, %s, %s)",
            f"g-{login}",
            login,
            code_hash,
            f"{login}の保護者",
            f"Guardian {login}",
            f"{login}@example.jp",
        )
    with psycopg.connect(db.dsn(), autocommit=True) as conn:
        conn.execute(TOWN.encode())
    sql("INSERT INTO town_map (city_id, geojson) VALUES ('mimamori', %s)", GEOJSON.encode())
    config = dataclasses.replace(db, broker=BrokerConfig(url="mqtt://127.0.0.1:9", tls=False), http=HttpConfig(port=0))
    keys.make(config)
    return config


@pytest.fixture
def knobs(tmp_path: Path) -> Knobs:
    """As a city has them, but for a web app of one page; a test module may override it."""
    static = tmp_path / "static"
    (static / "assets").mkdir(parents=True)
    (static / "index.html").write_text("<!doctype html><title>みまもり</title>")
    (static / "assets" / "index-Abc123.js").write_text("export {}" + " " * 2000)
    (static / "sw.js").write_text("// worker")
    return Knobs(rules=SessionRules(), limits=SignInLimits(), static_dir=static)


@contextlib.asynccontextmanager
async def _serving(config: ServerConfig, knobs: Knobs) -> AsyncIterator[FastAPI]:
    async with open_pools(config, max_size=4) as pools:
        app = create_app(config, pools, knobs)
        server = make_server(app, "127.0.0.1", 0)
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
            assert not task.done(), "the API did not start"
        app.state.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        try:
            yield app
        finally:
            server.should_exit = True
            await task


@pytest.fixture
async def app(town: ServerConfig, knobs: Knobs) -> AsyncIterator[FastAPI]:
    """The application, served on loopback at `app.state.url`."""
    async with _serving(town, knobs) as serving:
        yield serving


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[Callable[[], httpx.AsyncClient]]:
    """Make a client that nobody is signed in with."""
    made: list[httpx.AsyncClient] = []

    def make() -> httpx.AsyncClient:
        made.append(httpx.AsyncClient(base_url=app.state.url, headers={"sec-fetch-site": "same-origin"}, timeout=20))
        return made[-1]

    yield make
    for one in made:
        await one.aclose()


@pytest.fixture
def signed_in(client: Callable[[], httpx.AsyncClient]) -> Callable[[str], Awaitable[httpx.AsyncClient]]:
    """Make a client and sign a guardian in: `await signed_in("demo")`."""

    async def sign_in(login: str) -> httpx.AsyncClient:
        one = client()
        answer = await one.post("/api/v1/session", json={"login": login, "code": CODE})
        assert answer.status_code == 200, answer.text
        return one

    return sign_in
