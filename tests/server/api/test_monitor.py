"""Health, counters and log lines: what an operator sees, and nothing of it is about a person."""

import asyncio
import io
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx
import psycopg
import pytest
from fastapi import FastAPI

from server.config import ServerConfig
from wire.logs import JsonFormatter

Client = Callable[[], httpx.AsyncClient]
SignIn = Callable[[str], Awaitable[httpx.AsyncClient]]
Sql = Callable[..., list[tuple[Any, ...]]]
MARKERS = ("M4RK", "34.7777", "134.8888", "127.0.0.1", "ward-yui", "g-demo", "demo")


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Everything that is logged, as the process itself would write it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(before)


async def test_health_names_what_is_missing(client: Client) -> None:
    answer = await client().get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "degraded", "database": "up", "broker": "down"})


async def test_counters_know_routes_by_their_templates(client: Client, signed_in: SignIn, app: FastAPI) -> None:
    await (await signed_in("demo")).get("/api/v1/wards/ward-yui/place")
    await client().get("/some/page/of/the/app")
    await client().get("/api/v1/nope")
    await client().request("BREW", "/healthz")
    text = (await client().get("/metrics")).text
    assert 'method="GET",route="/api/v1/wards/{ward_id}/place",status="200"' in text
    assert 'method="GET",route="web",status="200"' in text
    assert 'method="GET",route="other",status="404"' in text
    assert 'method="other"' in text
    assert 'mimamori_api_signins_total{outcome="right"} 1.0' in text
    assert app.state.parts.metrics.text().decode().startswith("# HELP")


async def test_gateways_that_need_somebody_are_counted_and_not_named(client: Client, sql: Sql) -> None:
    name, hot = "mimamori_gateways_needing_attention", 'mimamori_gateways_needing_attention{reason="hot"}'
    detector = "gw-pole-17"
    sql(
        "INSERT INTO detector (id, city_id, kind, label_ja, label_en, public_key)"
        " SELECT %s, id, 'vehicle', '車', 'Car', '' FROM city LIMIT 1",
        detector,
    )
    sql(
        "INSERT INTO detector_health (detector_id, state, received_at, temp_cdeg, camera)"
        " VALUES (%s, 'online', now(), 8500, 'no-mask')",
        detector,
    )
    text = (await client().get("/metrics")).text
    assert f"{hot} 1.0" in text
    assert f'{name}{{reason="no-mask"}} 1.0' in text
    assert f'{name}{{reason="disk-low"}} 0.0' in text
    assert detector not in text


async def test_nothing_personal_reaches_logs_counters_or_errors(
    signed_in: SignIn, client: Client, sql: Sql, lines: io.StringIO
) -> None:
    sql("UPDATE account SET name_ja = 'M4RK親', name_en = 'M4RK', email = 'M4RK@example.jp' WHERE id = 'g-demo'")
    sql("UPDATE ward SET name_ja = 'M4RK子', name_en = 'M4RK' WHERE id = 'ward-yui'")
    sql("UPDATE last_place SET lat_deg = 34.7777, lon_deg = 134.8888 WHERE ward_id = 'ward-yui'")
    sql("UPDATE place SET name_ja = 'M4RK所', name_en = 'M4RK'")
    demo, anybody = await signed_in("demo"), client()
    anybody.headers["user-agent"] = "M4RK"
    for path in ("me", "wards/ward-yui/place", "wards/ward-yui/events", "wards/ward-yui/places", "wards/M4RK/track"):
        await demo.get(f"/api/v1/{path}", params={"q": "M4RK"})
    wrong = [
        await anybody.post("/api/v1/session", json={"login": "M4RK", "code": "M4RK"}),
        await anybody.post("/api/v1/session", json={"login": "M4RK" * 99, "M4RK": "M4RK"}),
        await anybody.post("/api/v1/batches", content=b"M4RK", headers={"content-type": "application/cose"}),
        await demo.get("/api/v1/wards/M4RK/place"),
        await demo.get("/api/v1/wards/ward-yui/track?date=M4RK"),
        await demo.put("/api/v1/push-subscription", json={"endpoint": "https://M4RK.example", "keys": "M4RK"}),
        await anybody.get("/M4RK.png"),
        await anybody.get("/api/v1/me", headers={"cookie": "mimamori_session=M4RK", "last-event-id": "M4RK"}),
    ]
    outputs = [lines.getvalue(), (await anybody.get("/metrics")).text, *(answer.text for answer in wrong)]
    assert all(answer.status_code >= 400 for answer in wrong)
    assert "request.answered" in outputs[0]
    assert [marker for marker in MARKERS for output in outputs if marker in output] == []


async def test_an_error_of_the_database_does_not_quote_its_row(signed_in: SignIn, sql: Sql, lines: io.StringIO) -> None:
    demo = await signed_in("demo")
    sql("ALTER TABLE push_subscription ADD CONSTRAINT no_such CHECK (auth <> 'M4RKxxxxxxxxxxxxxxxxxx')")
    keys = {"p256dh": "B" + "x" * 86, "auth": "M4RKxxxxxxxxxxxxxxxxxx"}
    body = {"endpoint": "https://fcm.googleapis.com/M4RK", "keys": keys}
    answer = await demo.put("/api/v1/push-subscription", json=body)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "CheckViolation" in lines.getvalue()
    assert "M4RK" not in lines.getvalue() + answer.text


async def test_without_its_database_the_api_says_so_and_comes_back(
    signed_in: SignIn, client: Client, town: ServerConfig
) -> None:
    demo = await signed_in("demo")
    name = psycopg.conninfo.conninfo_to_dict(town.dsn())["dbname"]
    with psycopg.connect(town.dsn(), dbname="postgres", autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        away = await demo.get("/api/v1/me")
        health = await client().get("/healthz")
        await asyncio.sleep(7)  # longer than the pool tries by itself
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())
    assert (away.status_code, away.json()["code"], away.headers["retry-after"]) == (503, "unavailable", "5")
    assert (health.status_code, health.json()["database"]) == (503, "down")
    async with asyncio.timeout(40):
        while (await demo.get("/api/v1/me")).status_code != 200:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.2)
