"""Who may ask what: every route of a ward with every kind of person, byte for byte."""

from collections.abc import Awaitable, Callable

import httpx

SignIn = Callable[[str], Awaitable[httpx.AsyncClient]]
OF_A_WARD = ("place", "track", "track?date=2026-11-24", "events", "events?limit=1", "places")
OF_A_SESSION = ("/api/v1/me", "/api/v1/map", "/api/v1/live")


async def test_the_guardian_sees_the_ward(signed_in: SignIn) -> None:
    client = await signed_in("demo")
    answers = {leaf: await client.get(f"/api/v1/wards/ward-yui/{leaf}") for leaf in OF_A_WARD}
    assert {leaf: answer.status_code for leaf, answer in answers.items()} == dict.fromkeys(OF_A_WARD, 200)


async def test_a_ward_of_someone_else_is_like_one_who_does_not_exist(signed_in: SignIn) -> None:
    seen = set()
    for client in (await signed_in("other"), await signed_in("ended")):
        for ward in ("ward-yui", "ward-new", "nobody", "%00", "あ", "a" * 500):
            for leaf in OF_A_WARD:
                answer = await client.get(f"/api/v1/wards/{ward}/{leaf}")
                headers = {name: value for name, value in answer.headers.items() if name != "date"}
                seen.add((answer.status_code, answer.content, str(sorted(headers.items()))))
    assert [status for status, _, _ in seen] == [404]


async def test_an_anonymous_visitor_is_asked_to_sign_in(client: Callable[[], httpx.AsyncClient]) -> None:
    visitor = client()
    for path in [f"/api/v1/wards/ward-yui/{leaf}" for leaf in OF_A_WARD] + list(OF_A_SESSION):
        for cookie in ({}, {"cookie": "mimamori_session=made-up"}, {"cookie": "mimamori_session="}):
            answer = await visitor.get(path, headers=cookie)
            assert (answer.status_code, answer.json()["code"]) == (401, "not-signed-in"), path


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
