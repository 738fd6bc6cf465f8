"""Signing in and out: fixation, expiry, revocation, rate limits, the same time for everybody."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import httpx
import pytest
from fastapi import FastAPI

from server.accounts.sessions import hash_of

Client = Callable[[], httpx.AsyncClient]
SignIn = Callable[[str], Awaitable[httpx.AsyncClient]]
Sql = Callable[..., list[tuple[object, ...]]]
COOKIE = "mimamori_session"


def body(login: str = "demo", code: str = "1234-5678") -> dict[str, str]:
    return {"login": login, "code": code}


async def test_signing_in_gives_the_guardian_and_a_closed_cookie(client: Client) -> None:
    answer = await client().post("/api/v1/session", json=body())
    names = {"name_ja": "demoの保護者", "name_en": "Guardian demo", "language": "ja"}
    assert answer.json() == {
        "guardian": names,
        "account": {"id": "g-demo", "role": "guardian", "agency": None, **names},
    }
    flags = {part.strip().lower() for part in answer.headers["set-cookie"].split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/"} <= flags
    assert "secure" not in flags  # this town is on http://127.0.0.1
    assert len(answer.cookies[COOKIE]) == 43


async def test_login_and_code_are_read_kindly(client: Client) -> None:
    answer = await client().post("/api/v1/session", json=body(" ＤＥＭＯ ", "１２３４ ５６７８"))
    assert answer.status_code == 200


async def test_a_wrong_code_and_an_unknown_login_get_the_same_answer(client: Client) -> None:
    wrong = await client().post("/api/v1/session", json=body(code="0000-0000"))
    unknown = await client().post("/api/v1/session", json=body(login="nobody"))
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.content == unknown.content
    assert "set-cookie" not in wrong.headers


async def test_an_unknown_login_takes_as_long_as_a_wrong_code(client: Client) -> None:
    one = client()
    took: dict[str, list[float]] = {"demo": [], "nobody": []}
    for _ in range(4):
        for login, times in took.items():
            began = time.perf_counter()
            await one.post("/api/v1/session", json=body(login=login, code="0000"))
            times.append(time.perf_counter() - began)
    assert 0.3 < min(took["nobody"]) / min(took["demo"]) < 3


async def test_the_database_keeps_no_token(signed_in: SignIn, sql: Sql) -> None:
    token = (await signed_in("demo")).cookies[COOKIE]
    [(kept,)] = sql("SELECT token_hash FROM session")
    assert bytes(kept) == hash_of(token)  # type: ignore[call-overload]  # bytea


async def test_a_token_that_was_planted_is_not_taken_over(client: Client) -> None:
    victim = client()
    victim.cookies.set(COOKIE, "chosen-by-the-attacker")
    await victim.post("/api/v1/session", json=body())
    attacker = client()
    attacker.cookies.set(COOKIE, "chosen-by-the-attacker")
    assert (await attacker.get("/api/v1/me")).status_code == 401


async def test_signing_in_again_ends_the_session_before(signed_in: SignIn, client: Client) -> None:
    browser = await signed_in("demo")
    old = browser.cookies[COOKIE]
    await browser.post("/api/v1/session", json=body("other"))
    assert (await browser.get("/api/v1/me")).json()["guardian"]["name_en"] == "Guardian other"
    assert (await client().get("/api/v1/me", headers={"cookie": f"{COOKIE}={old}"})).status_code == 401


async def test_signing_out_ends_the_session_at_once(signed_in: SignIn, client: Client) -> None:
    browser = await signed_in("demo")
    token = browser.cookies[COOKIE]
    answer = await browser.delete("/api/v1/session")
    assert answer.status_code == 204
    assert COOKIE not in browser.cookies
    assert (await client().get("/api/v1/me", headers={"cookie": f"{COOKIE}={token}"})).status_code == 401
    assert (await browser.delete("/api/v1/session")).status_code == 204


@pytest.mark.parametrize("column", ["expires_at", "last_used_at"])
async def test_a_session_ends_by_the_clock(signed_in: SignIn, sql: Sql, column: str) -> None:
    browser = await signed_in("demo")
    sql(f"UPDATE session SET {column} = now() - interval '31 days'")
    assert (await browser.get("/api/v1/me")).status_code == 401


async def test_use_keeps_a_session_alive(signed_in: SignIn, sql: Sql) -> None:
    browser = await signed_in("demo")
    sql("UPDATE session SET last_used_at = now() - interval '29 days'")
    assert (await browser.get("/api/v1/me")).status_code == 200
    [(recent,)] = sql("SELECT last_used_at > now() - interval '1 minute' FROM session")
    assert recent is True


async def test_expired_sessions_are_swept(signed_in: SignIn, sql: Sql, app: FastAPI) -> None:
    await signed_in("demo")
    await signed_in("other")
    sql("UPDATE session SET expires_at = now() WHERE account_id = 'g-demo'")
    assert await app.state.parts.sessions.sweep() == 1
    assert sql("SELECT account_id FROM session") == [("g-other",)]


async def test_guessing_is_stopped_for_one_login_and_not_for_another(client: Client) -> None:
    one = client()
    codes = [(await one.post("/api/v1/session", json=body(code=str(n)))).status_code for n in range(11)]
    assert codes == [401] * 10 + [429]
    right = await one.post("/api/v1/session", json=body())
    assert right.status_code == 429
    assert 0 < int(right.headers["retry-after"]) <= 300
    assert (await one.post("/api/v1/session", json=body("other"))).status_code == 200


async def test_a_limit_does_not_tell_whether_a_login_exists(client: Client) -> None:
    one = client()
    last = {}
    for login in ("demo", "nobody"):
        for _ in range(11):
            last[login] = await one.post("/api/v1/session", json=body(login, "0"))
    assert last["demo"].content == last["nobody"].content


async def test_guesses_at_the_same_moment_count_too(client: Client) -> None:
    one = client()
    answers = await asyncio.gather(*(one.post("/api/v1/session", json=body(code=str(n))) for n in range(20)))
    assert sorted(answer.status_code for answer in answers) == [401] * 10 + [429] * 10


async def test_a_right_code_clears_the_count(client: Client) -> None:
    for _ in range(2):
        one = client()
        for n in range(8):
            await one.post("/api/v1/session", json=body(code=str(n)))
        assert (await one.post("/api/v1/session", json=body())).status_code == 200
