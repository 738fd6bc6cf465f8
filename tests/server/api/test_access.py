"""Who may ask what: every route of a ward with every kind of person, byte for byte."""

from collections.abc import Awaitable, Callable

import httpx
import pytest

SignIn = Callable[[str], Awaitable[httpx.AsyncClient]]
OF_A_WARD = ("place", "track", "track?date=2026-11-24", "events", "events?limit=1", "places")
OF_A_SESSION = ("/api/v1/me", "/api/v1/map", "/api/v1/live")


@pytest.mark.parametrize("leaf", OF_A_WARD)
async def test_the_guardian_sees_the_ward(signed_in: SignIn, leaf: str) -> None:
    answer = await (await signed_in("demo")).get(f"/api/v1/wards/ward-yui/{leaf}")
    assert answer.status_code == 200


@pytest.mark.parametrize("leaf", OF_A_WARD)
async def test_a_ward_of_someone_else_is_like_one_who_does_not_exist(signed_in: SignIn, leaf: str) -> None:
    answers = {}
    for login in ("other", "ended"):
        client = await signed_in(login)
        for ward in ("ward-yui", "ward-new", "nobody", "%00", "あ", "a" * 500):
            answer = await client.get(f"/api/v1/wards/{ward}/{leaf}")
            answers[login, ward] = (answer.status_code, answer.content, answer.headers["content-type"])
            answer.headers.pop("date")
    assert len(set(answers.values())) == 1
    assert answers["other", "nobody"][0] == 404


async def test_headers_do_not_tell_a_foreign_ward_from_none(signed_in: SignIn) -> None:
    client = await signed_in("other")
    answers = [await client.get(f"/api/v1/wards/{ward}/place") for ward in ("ward-yui", "nobody")]
    mine, none = ({k: v for k, v in answer.headers.items() if k != "date"} for answer in answers)
    assert mine == none


@pytest.mark.parametrize("path", [f"/api/v1/wards/ward-yui/{leaf}" for leaf in OF_A_WARD] + list(OF_A_SESSION))
async def test_an_anonymous_visitor_is_asked_to_sign_in(client: Callable[[], httpx.AsyncClient], path: str) -> None:
    for cookie in ({}, {"cookie": "mimamori_session=made-up"}, {"cookie": "mimamori_session="}):
        answer = await client().get(path, headers=cookie)
        assert answer.status_code == 401
        assert answer.json()["code"] == "not-signed-in"


async def test_a_guardianship_that_ends_is_over_at_the_next_request(
    signed_in: SignIn, sql: Callable[..., list[tuple[object]]]
) -> None:
    client = await signed_in("demo")
    assert (await client.get("/api/v1/wards/ward-yui/place")).status_code == 200
    sql("UPDATE guardianship SET until = now() WHERE guardian_id = 'g-demo' AND ward_id = 'ward-yui'")
    assert (await client.get("/api/v1/wards/ward-yui/place")).json()["code"] == "not-found"
    assert [ward["id"] for ward in (await client.get("/api/v1/me")).json()["wards"]] == ["ward-new"]


async def test_a_guardianship_that_has_not_begun_shows_nothing(
    signed_in: SignIn, sql: Callable[..., list[tuple[object]]]
) -> None:
    sql("UPDATE guardianship SET since = now() + interval '1 hour' WHERE guardian_id = 'g-other'")
    client = await signed_in("other")
    assert (await client.get("/api/v1/me")).json()["wards"] == []
    assert (await client.get("/api/v1/wards/ward-ken/events")).status_code == 404
