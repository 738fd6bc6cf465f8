"""Look-ups of a ward: who may, what they are told, and what the family is told of it."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from privacy.terms import Role
from server.accounts.sessions import Entrant

pytestmark = pytest.mark.db
SignIn = Callable[[str], Awaitable[httpx.AsyncClient]]
Sql = Callable[..., list[tuple[Any, ...]]]
ASKED = {"case": "2026-0917", "reason": "電池の相談"}
PATH = "/api/v1/wards/ward-yui/look-up"
DAY_MS = 86_400_000
STAFF = """
INSERT INTO agency (id, city_id, kind, name_ja, name_en, legal_basis)
    VALUES ('tags', 'mimamori', 'provider', 'タグ社', 'Tags Inc.', 'contract'),
           ('other', 'mimamori', 'provider', '他社', 'Other Inc.', 'contract');
INSERT INTO account (id, login, name_ja, name_en, role, agency_id) VALUES
    ('a-handler', 'h', '担当', 'Handler', 'handler', NULL), ('a-manager', 'm', '管理', 'Manager', 'manager', NULL),
    ('a-manager-2', 'm2', '管理二', 'Manager two', 'manager', NULL), ('a-board', 'b', '委員', 'Board', 'board', NULL),
    ('a-provider', 'p', '社員', 'Technician', 'provider', 'tags'),
    ('a-other', 'o', '他社員', 'Technician', 'provider', 'other');
UPDATE ward SET provider_id = 'tags' WHERE id = 'ward-yui';
"""


@pytest.fixture
def staff(app: FastAPI, client: Callable[[], httpx.AsyncClient], sql: Sql) -> SignIn:
    """Sign somebody of city hall or a provider in, as after a passkey: `await staff("handler")`."""
    for statement in STAFF.strip().rstrip(";").split(";\n"):
        sql(statement)

    async def sign_in(name: str) -> httpx.AsyncClient:
        role = Role({"manager-2": "manager", "other": "provider"}.get(name, name))
        token = await app.state.parts.sessions.open(Entrant(f"a-{name}", role, "passkey"))
        one = client()
        one.cookies.set("mimamori_session", token)
        return one

    return sign_in


async def test_a_handler_is_told_that_the_tag_works_and_never_where(staff: SignIn, sql: Sql) -> None:
    sql("UPDATE last_place SET heard_at = now() - interval '2 hours'")
    answer = await (await staff("handler")).post(PATH, json=ASKED)
    assert answer.status_code == 200
    assert answer.json() == {
        "id": "ward-yui",
        "name_ja": "ゆい",
        "name_en": "Yui",
        "tag": {"kind": "uid", "battery_pct": 42, "heard": "day"},
    }
    assert not any(part in answer.text for part in ("34.7", "134.8", "lat", "home", "家"))


async def test_the_family_is_told_at_once_who_asked_and_what_for(staff: SignIn, signed_in: SignIn) -> None:
    family = await signed_in("demo")
    assert (await family.get("/api/v1/wards/ward-yui/look-ups")).json() == {"look_ups": [], "next": None}
    await (await staff("handler")).post(PATH, json=ASKED)
    await (await staff("provider")).post(PATH, json={**ASKED, "case": "T-7"})
    told = (await family.get("/api/v1/wards/ward-yui/look-ups")).json()["look_ups"]
    assert [(one["role"], one["case"], one["purpose"], one["action"]) for one in told] == [
        ("provider", "T-7", "family_support", "lookUpWard"),
        ("handler", "2026-0917", "family_support", "lookUpWard"),
    ]
    assert [one["agency"] and one["agency"]["name_ja"] for one in told] == ["タグ社", None]
    assert "電池" not in str(told)
    page = (await family.get("/api/v1/wards/ward-yui/look-ups?limit=1")).json()
    older = (await family.get(f"/api/v1/wards/ward-yui/look-ups?limit=1&before={page['next']}")).json()
    assert ([one["case"] for one in page["look_ups"] + older["look_ups"]], older["next"]) == (
        ["T-7", "2026-0917"],
        None,
    )


async def test_nobody_else_s_family_is_told(staff: SignIn, signed_in: SignIn) -> None:
    await (await staff("handler")).post(PATH, json=ASKED)
    other = await signed_in("other")
    assert (await other.get("/api/v1/wards/ward-yui/look-ups")).status_code == 404
    assert (await other.get("/api/v1/wards/ward-ken/look-ups")).json()["look_ups"] == []


async def test_a_provider_looks_up_whom_it_serves_and_the_refusal_is_like_nobody(staff: SignIn, sql: Sql) -> None:
    seen = set()
    for name, ward in (("other", "ward-yui"), ("provider", "ward-ken"), ("provider", "nobody"), ("board", "ward-yui")):
        answer = await (await staff(name)).post(f"/api/v1/wards/{ward}/look-up", json=ASKED)
        seen.add((answer.status_code, answer.content))
    assert len(seen) == 1
    assert next(iter(seen))[0] == 404
    query = "SELECT count(*) FROM audit_entry WHERE convert_from(body, 'UTF8')::jsonb ->> 'kind' = 'lookup.refused'"
    assert sql(query) == [(4,)]


async def test_a_ward_who_does_not_exist_is_no_fault_of_the_server(staff: SignIn) -> None:
    answer = await (await staff("handler")).post("/api/v1/wards/nobody/look-up", json=ASKED)
    assert answer.status_code == 404


@pytest.mark.parametrize("wrong", [{"case": ""}, {"reason": ""}, {"case": "x; y"}, {"reason": None}])
async def test_without_number_and_reason_nothing_is_asked(staff: SignIn, wrong: dict[str, Any]) -> None:
    answer = await (await staff("handler")).post(PATH, json={**ASKED, **wrong})
    assert answer.status_code == 422


async def test_each_look_up_is_in_the_log_for_itself(staff: SignIn, sql: Sql) -> None:
    handler = await staff("handler")
    for _ in range(3):
        await handler.post(PATH, json=ASKED)
    query = "SELECT convert_from(body, 'UTF8') FROM audit_entry WHERE convert_from(body, 'UTF8') ~ 'lookup.made'"
    bodies = [row[0] for row in sql(query)]
    assert len(bodies) == 3
    assert not any(value in body for body in bodies for value in ("ward-yui", "a-handler", "電池"))


async def test_a_hold_of_two_managers_delays_the_record_to_its_day_at_most(
    staff: SignIn, signed_in: SignIn, sql: Sql
) -> None:
    family, one, other = await signed_in("demo"), await staff("manager"), await staff("manager-2")
    await (await staff("handler")).post(PATH, json=ASKED)
    asked = {**ASKED, "days": 1}
    held = await one.post("/api/v1/wards/ward-yui/look-up-holds", json=asked)
    assert (held.status_code, held.json()["is_confirmed"]) == (201, False)
    confirm = f"/api/v1/wards/ward-yui/look-up-holds/{held.json()['id']}/confirmation"

    async def told() -> int:
        return len((await family.get("/api/v1/wards/ward-yui/look-ups")).json()["look_ups"])

    assert await told() == 1, "one manager alone holds nothing back"
    assert (await one.post(confirm)).status_code == 404
    assert await told() == 1
    assert (await other.post(confirm)).json()["is_confirmed"] is True
    assert await told() == 0
    sql("UPDATE look_up_hold SET asked_at = now() - interval '1 day', until_at = now()")
    assert await told() == 2, "the look-up, and that it was held back"


@pytest.mark.parametrize("days", [-1, 0, 181])
async def test_a_hold_has_a_day_and_a_reason(staff: SignIn, days: int) -> None:
    asked = {**ASKED, "days": days}
    answer = await (await staff("manager")).post("/api/v1/wards/ward-yui/look-up-holds", json=asked)
    assert answer.status_code == 422


@pytest.mark.parametrize("name", ["handler", "provider", "board"])
async def test_only_managers_hold_back(staff: SignIn, sql: Sql, name: str) -> None:
    asked = {**ASKED, "days": 1}
    answer = await (await staff(name)).post("/api/v1/wards/ward-yui/look-up-holds", json=asked)
    assert answer.status_code == 404
    assert sql("SELECT count(*) FROM look_up_hold") == [(0,)]
