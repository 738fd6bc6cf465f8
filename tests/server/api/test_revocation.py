"""After an account is barred, disabled or no longer a guardian, no channel gives it a byte about the ward."""

import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from server.config import ServerConfig
from server.core.places import Event, Kind
from server.store import event
from server.store.connection import connect
from server.store.notices import NoticeStore

SignIn = Callable[[str], Awaitable[httpx.AsyncClient]]
Sql = Callable[..., list[tuple[Any, ...]]]
BAR = (
    "INSERT INTO protective_measure (ward_id, account_id, since, until, asked_until, entered_by)"
    " VALUES ('ward-yui', 'g-demo', now(), now() + interval '7 days', now() + interval '1 year', 'g-other')"
)
LIFT = (
    "UPDATE protective_measure SET until = greatest(now(), since + interval '1 millisecond')"
    " WHERE account_id = 'g-demo' AND until > now()"
)
END = "UPDATE guardianship SET until = now() WHERE ward_id = 'ward-yui' AND guardian_id = 'g-demo'"
BEGIN = "UPDATE guardianship SET until = 'infinity' WHERE ward_id = 'ward-yui' AND guardian_id = 'g-demo'"
DISABLE = "UPDATE account SET disabled_at = now() WHERE id = 'g-demo'"
ENABLE = "UPDATE account SET disabled_at = NULL WHERE id = 'g-demo'"
SIGN_OUT = "DELETE FROM session WHERE account_id = 'g-demo'"
OF_A_WARD = ("place", "track?date=2026-11-24", "events", "places")
WAYS_OUT = {"barred": BAR, "ended": END, "disabled": DISABLE, "signed out": SIGN_OUT}


@pytest.mark.parametrize("way", WAYS_OUT)
async def test_a_live_stream_ends_within_a_second(signed_in: SignIn, sql: Sql, way: str) -> None:
    one = await signed_in("demo")
    async with one.stream("GET", "/api/v1/live") as answer:
        lines = answer.aiter_lines()
        async for line in lines:
            if line.startswith("event: place"):
                break
        began_s = time.monotonic()
        sql(WAYS_OUT[way])
        async for _ in lines:
            pass
        assert time.monotonic() - began_s < 1.0


@pytest.mark.parametrize("way", WAYS_OUT)
async def test_what_happens_afterwards_tells_the_stream_nothing(signed_in: SignIn, sql: Sql, way: str) -> None:
    one = await signed_in("demo")
    async with one.stream("GET", "/api/v1/live") as answer:
        lines = answer.aiter_lines()
        async for line in lines:
            if line.startswith("event: place"):
                break
        async for line in lines:
            if not line:
                break
        sql(WAYS_OUT[way])
        sql("UPDATE last_place SET lat_deg = 34.7777, heard_at = heard_at + interval '1 minute'")
        assert [line async for line in lines if line and not line.startswith(":")] == []


async def reads(one: httpx.AsyncClient) -> list[httpx.Response]:
    return [await one.get(f"/api/v1/wards/ward-yui/{path}") for path in OF_A_WARD]


async def strangers(one: httpx.AsyncClient) -> list[httpx.Response]:
    return [await one.get(f"/api/v1/wards/ward-none/{path}") for path in OF_A_WARD]


async def told(town: ServerConfig, number: int) -> int:
    """Return how many notices of a new event g-demo would get: written by ingest, let out by notify."""
    at_ms = 1_764_000_000_000 + number * 60_000
    async with await connect(town.dsn("ingest")) as conn, conn.transaction():
        new = Event("ward-yui", None, Kind.SOS, at_ms)
        await event.tell(conn, [new], time.time_ns() // 1_000_000)
    store = await NoticeStore.connect(town.dsn("notify"))
    try:
        due = await store.claim("mail", 100, lease_s=60, town_now_ms=time.time_ns() // 1_000_000)
    finally:
        await store.close()
    return sum(notice.may_know for notice in due if notice.email == "demo@example.jp")


@pytest.mark.timeout(180)
@pytest.mark.parametrize("seed", range(3))
async def test_in_whatever_order_rights_come_and_go_no_channel_says_a_byte_without_one(
    signed_in: SignIn, sql: Sql, town: ServerConfig, seed: int
) -> None:
    chance = random.Random(seed)
    state = {"barred": False, "guardian": True, "disabled": False}
    steps: dict[str, tuple[str, str, bool]] = {
        "bar": (BAR, "barred", True),
        "lift": (LIFT, "barred", False),
        "end": (END, "guardian", False),
        "begin": (BEGIN, "guardian", True),
        "disable": (DISABLE, "disabled", True),
        "enable": (ENABLE, "disabled", False),
    }
    one = await signed_in("demo")
    allowed_seen = refused_seen = 0
    for number in range(20):
        [word] = chance.choices(list(steps), weights=(1, 3, 1, 3, 1, 3))  # three rights at once are rare otherwise
        statement, name, value = steps[word]
        sql(statement)
        state[name] = value
        if not state["disabled"] and (await one.get("/api/v1/session")).status_code == 401:
            one = await signed_in("demo")
        may_see = state["guardian"] and not state["barred"] and not state["disabled"]
        answers = await reads(one)
        me = await one.get("/api/v1/me")
        assert (await told(town, seed * 100 + number) > 0) == may_see
        assert ("ward-yui" in me.text) == may_see
        if may_see:
            allowed_seen += 1
            assert {answer.status_code for answer in answers} == {200}
        else:
            refused_seen += 1
            unknown = await strangers(one)
            assert [(a.status_code, a.content) for a in answers] == [(a.status_code, a.content) for a in unknown]
    assert allowed_seen
    assert refused_seen


async def test_the_published_log_does_not_tell_the_barred_that_they_are(signed_in: SignIn, sql: Sql) -> None:
    one = await signed_in("demo")
    said = []
    for way in (BAR, f"{LIFT}; {END}"):
        sql(way)
        ((before,),) = sql("SELECT coalesce(max(id), 0) FROM audit_entry")
        for path in ("wards/ward-yui/place", "wards/ward-yui/look-ups", "wards/nobody/place", "me", "audit/proof/1"):
            await one.get(f"/api/v1/{path}")
        rows = sql("SELECT convert_from(body, 'UTF8')::jsonb FROM audit_entry WHERE id > %s ORDER BY id", before)
        said.append([(row["kind"], row["facts"]) for (row,) in rows])
    assert said[0] == said[1]
    assert said[0][0] == said[0][2]
    assert "barred" not in str(said)
