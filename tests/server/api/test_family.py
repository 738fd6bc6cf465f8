"""What a family reads: place, track, events, places, the map, themselves."""

import datetime as dt
from collections.abc import Awaitable, Callable
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from server.api.track import day_ms

SignIn = Callable[[str], Awaitable[httpx.AsyncClient]]
Sql = Callable[..., list[tuple[Any, ...]]]
YUI = "/api/v1/wards/ward-yui"
HEARD_AT_MS = 1_795_473_600_000


async def test_the_place_says_where_when_and_near_what(signed_in: SignIn) -> None:
    place = (await (await signed_in("demo")).get(f"{YUI}/place")).json()
    assert place == {
        "lat_deg": 34.7612,
        "lon_deg": 134.8418,
        "accuracy_m": 35.0,
        "heard_at_ms": HEARD_AT_MS,
        "received_at_ms": HEARD_AT_MS + 2000,
        "late": False,
        "near": {"name_ja": "図書館", "name_en": "Library"},
        "battery_pct": 42,
        "sos": False,
        "traceable": False,
    }


async def test_only_the_ward_s_own_home_is_ever_near(signed_in: SignIn, sql: Sql) -> None:
    sql("UPDATE last_place SET lat_deg = 34.7501, lon_deg = 134.8301")
    near = (await (await signed_in("demo")).get(f"{YUI}/place")).json()["near"]
    assert near == {"name_ja": "ゆいの家", "name_en": "Home of Yui"}
    foreign = (await (await signed_in("other")).get("/api/v1/wards/ward-ken/place")).json()["near"]
    assert foreign is None


async def test_a_ward_whose_tag_was_never_heard_is_told_so(signed_in: SignIn) -> None:
    answer = await (await signed_in("demo")).get("/api/v1/wards/ward-new/place")
    assert (answer.status_code, answer.json()["code"]) == (404, "not-seen-yet")


async def test_a_track_is_one_day_of_the_city(signed_in: SignIn) -> None:
    client = await signed_in("demo")
    fixes = (await client.get(f"{YUI}/track?date=2026-11-24")).json()["fixes"]
    assert [round(fix["lat_deg"], 3) for fix in fixes] == [34.761, 34.762, 34.763]
    assert [fix["late"] for fix in fixes] == [False, False, True]
    assert fixes[0]["heard_at_ms"] == int(dt.datetime(2026, 11, 23, 15, tzinfo=dt.UTC).timestamp() * 1000)
    assert len((await client.get(f"{YUI}/track?date=2026-11-25")).json()["fixes"]) == 1
    for day in ("0001-01-01", "9999-12-31"):
        assert (await client.get(f"{YUI}/track?date={day}")).json() == {"fixes": []}


async def test_a_day_is_written_in_one_way(signed_in: SignIn) -> None:
    client = await signed_in("demo")
    for day in ("", "0", "20261124", "2026-11-24T00:00:00Z", "2026-02-30", "today", "２０２６-11-24"):
        answer = await client.get(f"{YUI}/track", params={"date": day})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid-input"), day


def test_a_day_has_as_many_hours_as_its_zone_gives_it() -> None:
    first_ms, after_ms = day_ms(dt.date(2026, 3, 29), ZoneInfo("Europe/Berlin"))
    assert after_ms - first_ms == 23 * 3_600_000


async def test_events_come_newest_first_and_page_by_page(signed_in: SignIn) -> None:
    client = await signed_in("demo")
    first = (await client.get(f"{YUI}/events?limit=2")).json()
    assert [event["kind"] for event in first["events"]] == ["sos", "arrived"]
    assert [event["place"] for event in first["events"]] == [None, {"name_ja": "小学校", "name_en": "School"}]
    rest = (await client.get(f"{YUI}/events?limit=2&before={first['next']}")).json()
    assert [event["kind"] for event in rest["events"]] == ["departed"]
    assert rest["next"] is None
    assert (await client.get(f"{YUI}/events")).json()["events"] == first["events"] + rest["events"]


async def test_pages_have_bounds(signed_in: SignIn) -> None:
    client = await signed_in("demo")
    for query in ("limit=0", "limit=201", "limit=x", "before=0", f"before={2**63}", "before=1e9"):
        assert (await client.get(f"{YUI}/events?{query}")).status_code == 422, query


async def test_places_are_the_ward_s_own_and_the_watched_ones(signed_in: SignIn) -> None:
    demo = (await (await signed_in("demo")).get(f"{YUI}/places")).json()["places"]
    assert [place["id"] for place in demo] == ["home-yui", "school"]
    assert demo[1] == {
        "id": "school",
        "name_ja": "小学校",
        "name_en": "School",
        "kind": "school",
        "lat_deg": 34.77,
        "lon_deg": 134.85,
        "radius_m": 80.0,
    }


async def test_me_says_who_where_and_when(signed_in: SignIn) -> None:
    me = (await (await signed_in("demo")).get("/api/v1/me")).json()
    assert me["guardian"] == {"name_ja": "demoの保護者", "name_en": "Guardian demo", "language": "ja"}
    assert me["city"] == {"id": "mimamori", "name_ja": "みまもり市", "name_en": "Mimamori City", "tz": "Asia/Tokyo"}
    assert (me["clock"]["simulated"], me["clock"]["speed"]) == (False, 1.0)
    assert [ward["id"] for ward in me["wards"]] == ["ward-new", "ward-yui"]
    assert len(me["push_public_key"]) == 87


async def test_the_map_is_the_whole_town_and_the_same_for_everyone(signed_in: SignIn) -> None:
    answers = [await (await signed_in(login)).get("/api/v1/map") for login in ("demo", "other")]
    assert answers[0].content == answers[1].content
    assert answers[0].headers["content-type"] == "application/geo+json"
    assert answers[0].json()["type"] == "FeatureCollection"


async def test_the_map_is_not_sent_twice(signed_in: SignIn) -> None:
    client = await signed_in("demo")
    etag = (await client.get("/api/v1/map")).headers["etag"]
    again = await client.get("/api/v1/map", headers={"if-none-match": etag})
    assert (again.status_code, again.content) == (304, b"")


async def test_without_a_map_there_is_none(signed_in: SignIn, sql: Sql) -> None:
    sql("DELETE FROM town_map")
    client = await signed_in("demo")
    assert (await client.get("/api/v1/map")).status_code == 404
    assert (await client.get(f"{YUI}/place")).json()["near"] is None
