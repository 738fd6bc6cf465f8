"""Passkeys against the served API, with a software authenticator: who gets in, and who does not."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx
import psycopg
import pytest

from privacy.terms import Role
from server.accounts import cards
from server.config import HttpConfig, ServerConfig
from server.store.connection import connect
from tests.authenticator import Authenticator, b64

Client = Callable[[], httpx.AsyncClient]
SignIn = Callable[[str], Awaitable[httpx.AsyncClient]]
Sql = Callable[..., list[tuple[Any, ...]]]
ORIGIN = "http://localhost:8780"
STAFF = """
INSERT INTO agency (id, city_id, kind, name_ja, name_en, legal_basis)
VALUES ('station', 'mimamori', 'police', '警察署', 'Police station', '刑訴法197条2項');
INSERT INTO account (id, login, name_ja, name_en, role, agency_id) VALUES
    ('officer-1', 'officer-1', '生活安全課 担当', 'Officer', 'officer', 'station'),
    ('manager-1', 'manager-1', '管理責任者', 'Manager', 'manager', NULL);
"""


@pytest.fixture
def town(town: ServerConfig) -> ServerConfig:
    with psycopg.connect(town.dsn(), autocommit=True) as conn:
        conn.execute(STAFF)
    return replace(town, http=HttpConfig(port=0, public_url=ORIGIN))


@pytest.fixture
def card(town: ServerConfig) -> Callable[[str], Awaitable[str]]:
    """Make an enrolment card and give its code."""

    async def make(account: str) -> str:
        async with await connect(town.dsn("warden")) as conn, conn.transaction():
            order = cards.CardOrder(account, None, Role.CLERK)
            return (await cards.make(conn, order, now_ms=1_000, valid_s=10**10)).code

    return make


async def register(one: httpx.AsyncClient, key: Authenticator) -> httpx.Response:
    asked = await one.post("/api/v1/passkeys/registration")
    assert asked.status_code == 200, asked.text
    made = key.make(asked.json()["options"])
    return await one.put("/api/v1/passkeys/registration", json={"credential": made, "name": "key"})


async def show(one: httpx.AsyncClient, key: Authenticator) -> httpx.Response:
    asked = await one.post("/api/v1/passkeys/assertion")
    assert asked.status_code == 200, asked.text
    return await one.put("/api/v1/passkeys/assertion", json={"credential": key.show(asked.json()["options"])})


@pytest.fixture
def enrolled(client: Client, card: Callable[[str], Awaitable[str]]) -> Callable[[str], Awaitable[Any]]:
    """Enrol an account by card and passkey: gives a signed-in client and the key."""

    async def enrol(account: str) -> tuple[httpx.AsyncClient, Authenticator]:
        one, key = client(), Authenticator(ORIGIN)
        assert (await one.post("/api/v1/cards", json={"code": await card(account)})).status_code == 200
        assert (await register(one, key)).status_code == 200
        return one, key

    return enrol


async def test_an_officer_enrols_by_card_and_signs_in_by_passkey(
    client: Client, enrolled: Callable[[str], Awaitable[Any]]
) -> None:
    _, key = await enrolled("officer-1")
    one = client()
    answer = await show(one, key)
    assert answer.json()["account"]["role"] == "officer"
    me = (await one.get("/api/v1/me")).json()
    assert me["account"]["agency"]["name_en"] == "Police station"
    assert me["guardian"] is None
    assert me["wards"] == []


async def test_a_card_session_may_do_nothing_but_enrol(client: Client, card: Callable[[str], Awaitable[str]]) -> None:
    one = client()
    code = await card("officer-1")
    assert (await one.post("/api/v1/cards", json={"code": code})).status_code == 200
    for path in ("/api/v1/me", "/api/v1/sessions", "/api/v1/passkeys", "/api/v1/live"):
        assert (await one.get(path)).status_code == 401, path
    assert (await one.get("/api/v1/session")).json()["is_enrolling"] is True
    assert (await client().post("/api/v1/cards", json={"code": code})).status_code == 401


async def test_a_card_session_becomes_a_full_one_and_its_token_is_worth_nothing(
    client: Client, card: Callable[[str], Awaitable[str]]
) -> None:
    one = client()
    await one.post("/api/v1/cards", json={"code": await card("manager-1")})
    before = one.cookies["mimamori_session"]
    await register(one, Authenticator(ORIGIN))
    assert (await one.get("/api/v1/session")).json()["is_fresh"] is True
    assert one.cookies["mimamori_session"] != before
    old = await client().get("/api/v1/session", headers={"cookie": f"mimamori_session={before}"})
    assert old.status_code == 401


@pytest.mark.parametrize("trouble", ["unverified", "origin", "party", "counter", "handle", "signature", "unknown"])
async def test_a_passkey_that_is_not_right_lets_nobody_in(
    client: Client, enrolled: Callable[[str], Awaitable[Any]], sql: Sql, trouble: str
) -> None:
    _, key = await enrolled("officer-1")
    if trouble == "counter":
        assert (await show(client(), key)).status_code == 200
    wrong = {
        "unverified": lambda: setattr(key, "is_verifying", False),
        "origin": lambda: setattr(key, "origin", "http://localhost.evil.example"),
        "party": lambda: setattr(key, "rp_id", "evil.example"),
        "counter": lambda: setattr(key, "sign_count", 0),
        "handle": lambda: setattr(key, "handle", b"somebody else"),
        "signature": lambda: setattr(key, "key", Authenticator(ORIGIN).key),
        "unknown": lambda: setattr(key, "credential_id", b"another"),
    }
    wrong[trouble]()
    answer = await show(client(), key)
    assert (answer.status_code, answer.json()["code"]) == (401, "wrong-key")
    assert "mimamori_session" not in answer.cookies
    [(body,)] = sql("SELECT body FROM audit_entry ORDER BY id DESC LIMIT 1")
    told = json.loads(bytes(body))
    assert (told["kind"], told["facts"], told["committed"]) == ("session.refused", {"way": "passkey"}, {})


async def test_an_answer_counts_once_and_for_its_own_browser(
    client: Client, enrolled: Callable[[str], Awaitable[Any]]
) -> None:
    _, key = await enrolled("officer-1")
    one, other = client(), client()
    asked = (await one.post("/api/v1/passkeys/assertion")).json()["options"]
    answer = {"credential": key.show(asked)}
    await other.post("/api/v1/passkeys/assertion")
    assert (await other.put("/api/v1/passkeys/assertion", json=answer)).status_code == 401
    assert (await one.put("/api/v1/passkeys/assertion", json=answer)).status_code == 200
    assert (await client().put("/api/v1/passkeys/assertion", json=answer)).status_code == 401


async def test_a_step_up_keeps_the_session_and_makes_it_fresh(
    enrolled: Callable[[str], Awaitable[Any]], sql: Sql
) -> None:
    one, key = await enrolled("officer-1")
    recipient = {"recipient": "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"}
    before = one.cookies["mimamori_session"]
    sql("UPDATE session SET proved_at = now() - interval '6 minutes'")
    refused = await one.put("/api/v1/me/recipient", json=recipient)
    assert (refused.status_code, refused.json()["code"]) == (403, "step-up")
    assert (await show(one, key)).status_code == 200
    assert one.cookies["mimamori_session"] == before
    assert (await one.put("/api/v1/me/recipient", json=recipient)).status_code == 204
    assert (await one.get("/api/v1/me")).json()["recipient"] == recipient["recipient"]


async def test_a_recipient_with_a_wrong_checksum_is_refused(enrolled: Callable[[str], Awaitable[Any]]) -> None:
    one, _ = await enrolled("officer-1")
    wrong = {"recipient": "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8q"}
    assert (await one.put("/api/v1/me/recipient", json=wrong)).status_code == 422


async def test_a_second_key_needs_the_first_and_a_family_adds_its_first_with_its_code(
    signed_in: SignIn, sql: Sql
) -> None:
    one = await signed_in("demo")
    first, second = Authenticator(ORIGIN), Authenticator(ORIGIN)
    assert (await register(one, first)).status_code == 200
    sql("UPDATE session SET proved_at = NULL")
    assert (await one.post("/api/v1/passkeys/registration")).status_code == 403
    assert (await show(one, first)).status_code == 200
    assert (await register(one, second)).status_code == 200
    assert len((await one.get("/api/v1/passkeys")).json()["passkeys"]) == 2


async def test_a_removed_key_opens_nothing_and_its_sessions_are_over(
    client: Client, enrolled: Callable[[str], Awaitable[Any]]
) -> None:
    one, key = await enrolled("officer-1")
    other = client()
    await show(other, key)
    [kept] = (await one.get("/api/v1/passkeys")).json()["passkeys"]
    assert (await one.delete(f"/api/v1/passkeys/kept/{kept['id']}")).status_code == 204
    assert (await other.get("/api/v1/me")).status_code == 401
    assert (await show(client(), key)).status_code == 401


async def test_one_account_neither_sees_nor_ends_anothers_keys_and_sessions(
    enrolled: Callable[[str], Awaitable[Any]],
) -> None:
    one, _ = await enrolled("officer-1")
    other, _ = await enrolled("manager-1")
    [theirs] = (await other.get("/api/v1/passkeys")).json()["passkeys"]
    [session] = (await other.get("/api/v1/sessions")).json()["sessions"]
    unknown = await one.delete(f"/api/v1/passkeys/kept/{'0' * 32}")
    for path in (f"/api/v1/passkeys/kept/{theirs['id']}", f"/api/v1/sessions/{session['id']}"):
        answer = await one.delete(path)
        assert (answer.status_code, answer.content) == (404, unknown.content)
    assert (await other.get("/api/v1/me")).status_code == 200


async def test_a_key_of_somebody_else_cannot_be_registered_again(
    client: Client, card: Callable[[str], Awaitable[str]], enrolled: Callable[[str], Awaitable[Any]]
) -> None:
    _, key = await enrolled("officer-1")
    one = client()
    await one.post("/api/v1/cards", json={"code": await card("manager-1")})
    answer = await register(one, key)
    assert (answer.status_code, answer.json()["code"]) == (400, "key-refused")


async def test_an_officer_does_not_sign_in_with_a_code(client: Client, sql: Sql) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        sql("UPDATE account SET code_hash = 'x' WHERE id = 'officer-1'")
    answer = await client().post("/api/v1/session", json={"login": "officer-1", "code": "1234-5678"})
    assert answer.status_code == 401


async def test_ending_one_session_of_two_leaves_the_other(
    client: Client, enrolled: Callable[[str], Awaitable[Any]]
) -> None:
    one, key = await enrolled("officer-1")
    other = client()
    await show(other, key)
    listed = (await one.get("/api/v1/sessions")).json()["sessions"]
    assert [row["is_this"] for row in listed].count(True) == 1
    [theirs] = [row for row in listed if not row["is_this"]]
    assert (await one.delete(f"/api/v1/sessions/{theirs['id']}")).status_code == 204
    assert (await other.get("/api/v1/me")).status_code == 401
    assert (await one.get("/api/v1/me")).status_code == 200


async def test_nonsense_in_an_answer_is_a_clean_refusal(client: Client) -> None:
    one = client()
    await one.post("/api/v1/passkeys/assertion")
    junk = {name: b64(b"junk") for name in ("clientDataJSON", "authenticatorData", "signature", "userHandle")}
    credential = {"id": "AQID", "rawId": "AQID", "type": "public-key", "response": junk}
    assert (await one.put("/api/v1/passkeys/assertion", json={"credential": credential})).status_code == 401
