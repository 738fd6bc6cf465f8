"""The live stream over real LISTEN/NOTIFY: what comes, what comes again, and when it ends."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import psycopg
import pytest
from fastapi import FastAPI

from server.api import hub
from server.config import ServerConfig

SignIn = Callable[[str], Awaitable[httpx.AsyncClient]]
Sql = Callable[..., list[tuple[Any, ...]]]
Message = dict[str, Any]
PLACE = """
UPDATE last_place SET lat_deg = %s, heard_at = heard_at + interval '1 minute' WHERE ward_id = %s
"""
EVENT = """
INSERT INTO event (ward_id, place_id, kind, at, received_at)
VALUES (%s, 'school', 'departed', '2026-11-24 15:10+09', '2026-11-24 15:10:01+09') RETURNING id
"""


@contextlib.asynccontextmanager
async def streaming(client: httpx.AsyncClient, **headers: str) -> AsyncIterator[AsyncIterator[Message]]:
    async with client.stream("GET", "/api/v1/live", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield messages(answer)


async def messages(answer: httpx.Response) -> AsyncIterator[Message]:
    message: Message = {}
    async for line in answer.aiter_lines():
        if not line and "data" in message:
            yield message
            message = {}
        name, _, value = line.partition(": ")
        message[name] = json.loads(value) if name == "data" else value


async def take(stream: AsyncIterator[Message], count: int, timeout_s: float = 20.0) -> list[Message]:
    async with asyncio.timeout(timeout_s):
        return [await anext(stream) for _ in range(count)]


async def is_quiet(stream: AsyncIterator[Message]) -> bool:
    waiting = asyncio.ensure_future(anext(stream, None))
    done, _ = await asyncio.wait({waiting}, timeout=0.5)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    return not done


async def ends(stream: AsyncIterator[Message], within_s: float = 20.0) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            async for _ in stream:
                pass
            return True
    return False


def tell(sql: Sql, ward: str = "ward-yui", kind: str = "place") -> None:
    sql("SELECT pg_notify('live', %s)", json.dumps({"kind": kind, "wards": [ward]}))


@pytest.fixture
def unswept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing looks after open streams from time to time: what ends one is what the test did."""
    monkeypatch.setattr(hub, "SWEEP_S", 3600.0)


async def test_the_stream_begins_with_the_current_place(signed_in: SignIn) -> None:
    client = await signed_in("demo")
    async with streaming(client) as stream:
        [message] = await take(stream, 1)
    assert message["event"] == "place"
    rest = (await client.get("/api/v1/wards/ward-yui/place")).json()
    assert message["data"] == {"ward_id": "ward-yui", **rest}


async def test_a_new_place_and_a_new_event_arrive(signed_in: SignIn, sql: Sql) -> None:
    client = await signed_in("demo")
    async with streaming(client) as stream:
        await take(stream, 1)
        sql(PLACE, 34.77, "ward-yui")
        [(event_id,)] = sql(EVENT, "ward-yui")
        tell(sql)
        event, place = await take(stream, 2)
    assert (event["event"], event["data"]["id"], event["data"]["place"]["name_en"]) == (
        "event",
        str(event_id),
        "School",
    )
    assert (place["event"], place["data"]["lat_deg"], place["data"]["ward_id"]) == ("place", 34.77, "ward-yui")
    listed = (await client.get("/api/v1/wards/ward-yui/events?limit=1")).json()["events"][0]
    assert event["data"] == {"ward_id": "ward-yui", **listed}


async def test_nobody_hears_of_another_family_s_ward(signed_in: SignIn, sql: Sql) -> None:
    async with streaming(await signed_in("other")) as stream:
        await take(stream, 1)
        sql(PLACE, 34.77, "ward-yui")
        sql(EVENT, "ward-yui")
        tell(sql)
        assert await is_quiet(stream)


async def test_a_notice_without_news_sends_nothing(signed_in: SignIn, sql: Sql) -> None:
    async with streaming(await signed_in("demo")) as stream:
        await take(stream, 1)
        tell(sql)
        for payload in ("", "{}", "not json", '{"wards": 5}', '{"wards": [5, {}]}', "[]"):
            sql("SELECT pg_notify('live', %s)", payload)
        assert await is_quiet(stream)


async def test_a_stream_that_comes_back_gets_what_it_missed(signed_in: SignIn, sql: Sql) -> None:
    client = await signed_in("demo")
    async with streaming(client) as stream:
        [seen] = await take(stream, 1)
    [(missed,)] = sql(EVENT, "ward-yui")
    async with streaming(client, **{"last-event-id": seen["id"]}) as stream:
        again = await take(stream, 2)
    assert [message["event"] for message in again] == ["event", "place"]
    assert again[0]["data"]["id"] == str(missed)
    async with streaming(client, **{"last-event-id": again[-1]["id"]}) as stream:
        assert [message["event"] for message in await take(stream, 1)] == ["place"]
        assert await is_quiet(stream)


async def test_a_stream_that_joins_while_another_catches_up_starts_from_now(
    signed_in: SignIn, town: ServerConfig
) -> None:
    behind, fresh = await signed_in("demo"), await signed_in("demo")
    async with await psycopg.AsyncConnection.connect(town.dsn()) as conn:
        await conn.execute("LOCK TABLE last_place IN ACCESS EXCLUSIVE MODE")  # holds the look-up for the first one
        async with streaming(behind, **{"last-event-id": "ward-yui=0"}) as old, streaming(fresh) as new:
            await asyncio.sleep(0.3)
            await conn.rollback()
            assert [message["event"] for message in await take(old, 4)] == ["event"] * 3 + ["place"]
            assert [message["event"] for message in await take(new, 1)] == ["place"]
            assert await is_quiet(new)


async def test_an_id_that_we_never_gave_is_no_id(signed_in: SignIn, sql: Sql) -> None:
    client = await signed_in("demo")
    for last in ("x", "ward-yui=99999999999999999999", "ward-yui=-1", "=,=,", "ward-ken=0", "ward-yui=999999999"):
        async with streaming(client, **{"last-event-id": last}) as stream:
            assert (await take(stream, 1))[0]["event"] == "place"
            sql("DELETE FROM event WHERE kind = 'departed' AND place_id = 'school'")
            sql(EVENT, "ward-yui")
            tell(sql, kind="event")
            assert (await take(stream, 1))[0]["event"] == "event"


@pytest.mark.usefixtures("unswept")
async def test_signing_out_ends_the_streams_of_the_session_alone(signed_in: SignIn, sql: Sql) -> None:
    client, elsewhere = await signed_in("demo"), await signed_in("demo")
    async with streaming(client) as stream, streaming(elsewhere) as other:
        await take(stream, 1)
        await take(other, 1)
        await client.delete("/api/v1/session")
        assert await ends(stream)
        sql(PLACE, 34.78, "ward-yui")
        tell(sql)
        assert (await take(other, 1))[0]["data"]["lat_deg"] == 34.78


@pytest.mark.usefixtures("unswept")
async def test_a_session_deleted_in_the_database_ends_its_stream(signed_in: SignIn, sql: Sql) -> None:
    async with streaming(await signed_in("demo")) as stream:
        await take(stream, 1)
        sql("DELETE FROM session")
        assert await ends(stream)


@pytest.mark.usefixtures("unswept")
async def test_a_guardianship_that_ends_ends_the_stream_at_once(signed_in: SignIn, sql: Sql) -> None:
    client = await signed_in("demo")
    async with streaming(client) as stream:
        await take(stream, 1)
        sql("UPDATE guardianship SET until = now() WHERE ward_id = 'ward-yui' AND guardian_id = 'g-demo'")
        assert await ends(stream)
    async with streaming(client) as stream:
        tell(sql)
        assert await is_quiet(stream)


@pytest.mark.usefixtures("unswept")
async def test_nothing_leaks_between_the_end_of_a_right_and_the_end_of_the_stream(signed_in: SignIn, sql: Sql) -> None:
    async with streaming(await signed_in("demo")) as stream:
        await take(stream, 1)
        for told in ("guardianship_begun_or_ended", "guardianship_changed"):  # the notice never comes
            sql(f"ALTER TABLE guardianship DISABLE TRIGGER {told}")
        sql("UPDATE guardianship SET until = now() WHERE ward_id = 'ward-yui' AND guardian_id = 'g-demo'")
        sql(PLACE, 34.79, "ward-yui")
        tell(sql)
        async with asyncio.timeout(20):
            assert [message async for message in stream] == []


async def test_streams_that_stay_open_are_swept(signed_in: SignIn, sql: Sql) -> None:
    async with streaming(await signed_in("demo")) as stream:
        await take(stream, 1)
        sql("ALTER TABLE session DISABLE TRIGGER USER")
        sql("DELETE FROM session")
        assert await ends(stream)


async def test_the_listener_comes_back_and_catches_up(signed_in: SignIn, sql: Sql) -> None:
    async with streaming(await signed_in("demo")) as stream:
        await take(stream, 1)
        sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'api'")
        sql(PLACE, 34.71, "ward-yui")
        sql(EVENT, "ward-yui")
        tell(sql)
        news = await take(stream, 2)
    assert {message["event"] for message in news} == {"event", "place"}


@pytest.mark.usefixtures("unswept")
async def test_too_many_streams_of_a_session_end_the_oldest(signed_in: SignIn, app: FastAPI) -> None:
    client = await signed_in("demo")
    async with contextlib.AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(streaming(client)) for _ in range(7)]
        await asyncio.gather(*(take(stream, 1) for stream in streams[1:]))
        assert await ends(streams[0])
    async with asyncio.timeout(20):
        while app.state.parts.metrics.registry.get_sample_value("mimamori_api_live_streams"):  # noqa: ASYNC110 - a gauge
            await asyncio.sleep(0.05)


@pytest.mark.usefixtures("unswept")
async def test_stopping_the_server_ends_the_streams(signed_in: SignIn, app: FastAPI) -> None:
    async with streaming(await signed_in("demo")) as stream:
        await take(stream, 1)
        app.state.parts.hub.close_all("stopping")
        assert await ends(stream)


async def test_a_guardian_a_thousand_events_behind_gets_them_all_in_order(signed_in: SignIn, sql: Sql) -> None:
    ids = [
        event_id
        for (event_id,) in sql(
            "INSERT INTO event (ward_id, place_id, kind, at, received_at)"
            " SELECT %s, 'school', 'departed', at, at FROM generate_series("
            "'2026-11-24 16:00+09'::timestamptz, '2026-11-24 16:00+09'::timestamptz + interval '999 s', '1 s') AS at"
            " RETURNING id",
            "ward-yui",
        )
    ]
    client, cursor = await signed_in("demo"), f"ward-yui={min(ids) - 1}"
    async with streaming(client, **{"last-event-id": cursor}) as slow, streaming(client) as other:
        await take(other, 1)
        [(newest,)] = sql(EVENT, "ward-yui")
        tell(sql)
        assert [message["data"]["id"] for message in await take(other, 1)] == [str(newest)]
        told = [message["data"]["id"] for message in await take(slow, 1002, 20) if message["event"] == "event"]
    assert told == [str(event_id) for event_id in (*sorted(ids), newest)]
