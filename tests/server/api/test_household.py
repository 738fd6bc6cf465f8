"""Households: inviting by card, who is told, who may, and what a measure hides."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx
import psycopg
import pytest

from server.config import HttpConfig, ServerConfig
from tests.authenticator import Authenticator

Client = Callable[[], httpx.AsyncClient]
SignIn = Callable[[str], Awaitable[httpx.AsyncClient]]
Sql = Callable[..., list[tuple[Any, ...]]]
ORIGIN = "http://localhost:8780"
HOUSEHOLD = """
INSERT INTO household (id, city_id, name) VALUES ('h', 'mimamori', 'デモ家');
INSERT INTO household_ward VALUES ('h', 'ward-yui');
INSERT INTO household_member (household_id, account_id, role) VALUES ('h', 'g-demo', 'owner'), ('h', 'g-other', 'guardian');
"""  # noqa: E501 - SQL


@pytest.fixture
def town(town: ServerConfig) -> ServerConfig:
    with psycopg.connect(town.dsn(), autocommit=True) as conn:
        conn.execute(HOUSEHOLD.encode())
    return replace(town, http=HttpConfig(port=0, public_url=ORIGIN))


async def with_key(one: httpx.AsyncClient) -> None:
    asked = (await one.post("/api/v1/passkeys/registration")).json()["options"]
    made = Authenticator(ORIGIN).make(asked)
    answer = await one.put("/api/v1/passkeys/registration", json={"credential": made})
    assert answer.status_code == 200, answer.text


async def invite(one: httpx.AsyncClient) -> httpx.Response:
    return await one.post("/api/v1/household/invitations", json={"name_ja": "祖母"})


async def test_an_invited_guardian_joins_by_card_and_the_others_are_told(signed_in: SignIn, client: Client) -> None:
    owner, other, new = await signed_in("demo"), await signed_in("other"), client()
    await with_key(owner)
    card = (await invite(owner)).json()
    assert (await new.post("/api/v1/cards", json={"code": card["code"]})).status_code == 200
    await with_key(new)
    assert [ward["id"] for ward in (await new.get("/api/v1/me")).json()["wards"]] == ["ward-yui"]
    told = (await other.get("/api/v1/household")).json()
    assert [(one["kind"], one["name_ja"]) for one in told["news"]] == [("joined", "祖母"), ("invited", "祖母")]
    assert [one["name_ja"] for one in told["members"]][-1] == "祖母"
    assert (await other.delete("/api/v1/household/news")).status_code == 204
    assert (await other.get("/api/v1/household")).json()["news"] == []


async def test_before_the_card_is_used_nobody_new_is_in_charge(signed_in: SignIn, sql: Sql) -> None:
    owner = await signed_in("demo")
    await with_key(owner)
    before = sql("SELECT count(*) FROM guardianship")
    assert (await invite(owner)).status_code == 200
    assert sql("SELECT count(*) FROM guardianship") == before


async def test_without_a_passkey_shown_just_now_nobody_is_invited(signed_in: SignIn, sql: Sql) -> None:
    owner = await signed_in("demo")
    assert (await invite(owner)).json()["code"] == "step-up"
    await with_key(owner)
    sql("UPDATE session SET proved_at = now() - interval '6 minutes'")
    assert (await invite(owner)).json()["code"] == "step-up"


async def test_only_the_owner_invites_and_ends_a_membership(signed_in: SignIn, sql: Sql) -> None:
    other = await signed_in("other")
    await with_key(other)
    accounts = sql("SELECT count(*) FROM account")
    assert (await invite(other)).status_code == 404
    assert (await other.delete("/api/v1/household/members/g-demo")).status_code == 404
    assert sql("SELECT count(*) FROM account") == accounts
    kinds = sql("SELECT convert_from(body, 'UTF8')::jsonb->>'kind' FROM audit_entry ORDER BY id DESC LIMIT 2")
    assert kinds == [("household.refused",), ("household.refused",)]


async def test_a_membership_that_is_ended_ends_the_charge(signed_in: SignIn, sql: Sql) -> None:
    sql("INSERT INTO guardianship (guardian_id, ward_id) VALUES ('g-other', 'ward-yui')")
    owner, other = await signed_in("demo"), await signed_in("other")
    await with_key(owner)
    assert (await other.get("/api/v1/wards/ward-yui/place")).status_code == 200
    assert (await owner.delete("/api/v1/household/members/g-other")).status_code == 204
    assert (await other.get("/api/v1/wards/ward-yui/place")).status_code == 404
    assert (await other.get("/api/v1/household")).status_code == 404


async def test_a_barred_member_learns_nothing_of_the_household_and_invites_nobody(signed_in: SignIn, sql: Sql) -> None:
    owner, stranger = await signed_in("demo"), await signed_in("ended")
    await with_key(owner)
    sql(
        "INSERT INTO protective_measure (ward_id, account_id, since, until, asked_until, entered_by)"
        " VALUES ('ward-yui', 'g-demo', now(), 'infinity', 'infinity', 'g-other')"
    )
    barred, none = await owner.get("/api/v1/household"), await stranger.get("/api/v1/household")
    assert (barred.status_code, barred.content) == (none.status_code, none.content) == (404, none.content)
    assert (await invite(owner)).status_code == 404


@pytest.mark.parametrize(
    "ended",
    [
        """INSERT INTO protective_measure (ward_id, account_id, since, until, asked_until, entered_by)
           VALUES ('ward-yui', 'g-demo', now(), now() + interval '1 day', now() + interval '1 year', 'g-other')""",
        "UPDATE account SET disabled_at = now() WHERE id = 'g-demo'",
        "UPDATE household_member SET until = now() WHERE account_id = 'g-demo'",
    ],
    ids=["barred", "disabled", "owner no more"],
)
async def test_an_invitation_opens_nothing_once_its_owner_may_not_invite_any_more(
    signed_in: SignIn, client: Client, sql: Sql, ended: str
) -> None:
    owner, new = await signed_in("demo"), client()
    await with_key(owner)
    card = (await invite(owner)).json()
    before = sql("SELECT count(*) FROM guardianship")
    sql(ended)
    answer = await new.post("/api/v1/cards", json={"code": card["code"]})
    never = await new.post("/api/v1/cards", json={"code": "AAAA-AAAA-AAAA-AAAA-AAAA-AAAA-AA"})
    assert (answer.status_code, answer.json()["code"]) == (never.status_code, never.json()["code"])
    assert sql("SELECT count(*) FROM guardianship") == before
    assert sql("SELECT count(*) FROM enrolment_card WHERE used_at IS NOT NULL") == [(0,)]
