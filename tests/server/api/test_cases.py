"""A request over HTTP, by the accounts that take part in it; and what everybody else is told of it: nothing."""

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import httpx
import psycopg
import pytest
from fastapi import FastAPI

from server import keys
from server.accounts.sessions import Entrant
from server.api import cookies
from server.api.app import Knobs
from server.config import BrokerConfig, HttpConfig, ServerConfig
from tests import casework
from tests.casework import NOW_MS, PAPERS, PEOPLE, WINDOW, pdf

pytestmark = pytest.mark.db
As = Callable[[str], Awaitable[httpx.AsyncClient]]
CASES = "/api/v1/cases"
NOT_THERE = "0" * 32
BODY: dict[str, Any] = {
    "purpose": "crime",
    "offence": "窃盗",
    "has_occurred": True,
    "inquiry": {
        "number": "加古川捜発第１２３号",
        "dated_on": "2026-11-25",
        "station": "加古川警察署",
        "officer": "司法警察員 生活安全課長",
    },
    "cameras": [{"id": WINDOW.detector, "from_ms": WINDOW.from_ms, "to_ms": WINDOW.to_ms}],
}


@pytest.fixture
def town(db: ServerConfig) -> ServerConfig:
    casework.found(db)
    config = dataclasses.replace(db, broker=BrokerConfig(url="mqtt://127.0.0.1:9", tls=False), http=HttpConfig(port=0))
    keys.make(config)
    return config


@pytest.fixture
def as_(app: FastAPI, client: Callable[[], httpx.AsyncClient]) -> As:
    """Make a client in which somebody of the city has signed in: `await as_("officer")`."""

    async def sign_in(name: str) -> httpx.AsyncClient:
        account, role, _ = PEOPLE[name]
        one = client()
        one.cookies.set(cookies.SESSION, await app.state.parts.sessions.open(Entrant(account, role, "passkey")))
        return one

    return sign_in


@pytest.fixture
def knobs(knobs: Knobs) -> Knobs:
    return dataclasses.replace(knobs, now_ms=lambda: NOW_MS)


async def _drafted(officer: httpx.AsyncClient, **over: Any) -> dict[str, Any]:
    answer = await officer.post(CASES, json={**BODY, **over})
    assert answer.status_code == 201, answer.text
    case: dict[str, Any] = answer.json()
    return case


async def _submitted(officer: httpx.AsyncClient) -> dict[str, Any]:
    case = await _drafted(officer)
    for kind in ("inquiry", "request"):
        headers = {"content-type": "application/pdf", "x-file-name": quote(f"{kind} 書類.pdf")}
        put = await officer.put(f"{CASES}/{case['id']}/papers/{kind}", content=pdf(*PAPERS[kind]), headers=headers)
        assert put.status_code == 200, put.text
    return await _step(officer, case["id"], "submit")


async def _step(who: httpx.AsyncClient, case_id: str, step: str, **more: Any) -> dict[str, Any]:
    answer = await who.post(f"{CASES}/{case_id}/steps", json={"step": step, **more})
    assert answer.status_code == 200, answer.text
    case: dict[str, Any] = answer.json()
    return case


async def test_a_request_goes_from_the_officer_through_three_hands(as_: As) -> None:
    officer = await as_("officer")
    case = await _submitted(officer)
    assert (case["number"], case["state"], case["may"]) == ("2026-0001", "submitted", ["withdraw"])
    assert case["inquiry"]["number"] == "加古川捜発第123号"
    assert [paper["name"] for paper in case["papers"]] == ["inquiry 書類.pdf", "request 書類.pdf"]
    assert {finding["severity"] for paper in case["papers"] for finding in paper["findings"]} == {"ok"}
    assert [one["kind"] for one in case["deadlines"]] == ["freeze"]
    for name, step, then in (
        ("handler", "prepare", "prepared"),
        ("supervisor", "check", "checked"),
        ("manager", "approve", "approved"),
    ):
        case = await _step(await as_(name), case["id"], step)
        assert case["state"] == then
    assert [one["step"] for one in case["steps"]] == ["submit", "prepare", "check", "approve"]


async def test_what_is_missing_is_told_with_its_rules(as_: As) -> None:
    officer = await as_("officer")
    case = await _drafted(officer)
    assert [one["policy"] for one in case["problems"]] == ["R02-papers"]
    assert "submit" not in case["may"]
    answer = await officer.post(f"{CASES}/{case['id']}/steps", json={"step": "submit"})
    assert (answer.status_code, answer.json()["code"]) == (409, "refused-by-rule")
    assert [one["policy"] for one in answer.json()["reasons"]] == ["R02-papers"]
    assert answer.json()["reasons"][0]["ja"].startswith("犯罪捜査には")


async def test_an_approval_is_not_offered_while_there_is_no_key_to_seal_to(as_: As, town: ServerConfig) -> None:
    case = await _submitted(await as_("officer"))
    for name, step in (("handler", "prepare"), ("supervisor", "check")):
        await _step(await as_(name), case["id"], step)
    manager = await as_("manager")
    with psycopg.connect(town.dsn()) as conn:
        conn.execute("UPDATE account SET recipient = NULL, recipient_set_at = NULL WHERE id = 'o-1'")
    shown = (await manager.get(f"{CASES}/{case['id']}")).json()
    answer = await manager.post(f"{CASES}/{case['id']}/steps", json={"step": "approve"})
    assert "approve" not in shown["may"]
    assert [one["policy"] for one in shown["problems"]] == ["recipient"]
    assert shown["problems"] == answer.json()["reasons"]


@pytest.mark.parametrize("name", ["stranger", "guardian"])
async def test_a_case_that_is_not_yours_is_answered_as_one_that_is_not_there(as_: As, name: str) -> None:
    case = await _submitted(await as_("officer"))
    other = await as_(name)
    for path in ("", f"/papers/{case['papers'][0]['id']}", "/exports/ex-1"):
        mine, none = [await other.get(f"{CASES}/{one}{path}") for one in (case["id"], NOT_THERE)]
        assert (mine.status_code, mine.content) == (none.status_code, none.content) == (404, none.content)
    for body in ({"step": "withdraw"}, {"step": "approve"}):
        mine, none = [await other.post(f"{CASES}/{one}/steps", json=body) for one in (case["id"], NOT_THERE)]
        assert (mine.status_code, mine.content) == (none.status_code, none.content) == (404, none.content)
    assert (await other.get(CASES)).json() == {"cases": [], "next": ""}
    assert (await other.put(f"{CASES}/{case['id']}", json=BODY)).status_code == 404


async def test_a_draft_is_its_officers_alone(as_: As) -> None:
    case = await _drafted(await as_("officer"))
    for name in ("colleague", "handler", "manager", "board"):
        other = await as_(name)
        assert (await other.get(f"{CASES}/{case['id']}")).status_code == 404
        assert (await other.get(CASES)).json()["cases"] == []


@pytest.mark.parametrize("name", ["handler", "board", "guardian"])
async def test_only_officers_write_requests(as_: As, name: str) -> None:
    assert (await (await as_(name)).post(CASES, json=BODY)).status_code == 404


async def test_nobody_signed_in_is_told_anything(client: Callable[[], httpx.AsyncClient]) -> None:
    nobody = client()
    for path in ("/cameras", "/cases", f"/cases/{NOT_THERE}"):
        assert (await nobody.get(f"/api/v1{path}")).status_code == 401


async def test_a_malformed_warrant_number_is_refused_by_its_field(as_: As) -> None:
    answer = await (await as_("officer")).post(CASES, json={**BODY, "warrant_number": "12-345"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-input")
    assert [(one["where"], one["what"]) for one in answer.json()["errors"]] == [("warrant_number", "malformed")]


async def test_lists_come_in_pages_and_by_state(as_: As) -> None:
    officer, handler = await as_("officer"), await as_("handler")
    for _ in range(3):
        await _submitted(officer)
    await _drafted(officer)
    first = (await handler.get(CASES, params={"limit": 2})).json()
    second = (await handler.get(CASES, params={"limit": 2, "before": first["next"]})).json()
    numbers = [one["number"] for one in (*first["cases"], *second["cases"])]
    assert numbers == ["2026-0003", "2026-0002", "2026-0001"]
    assert second["next"] == ""
    assert first["cases"][0]["may"] == ["prepare", "refuse"]
    drafts = (await officer.get(CASES, params={"state": "draft"})).json()["cases"]
    assert [one["number"] for one in drafts] == ["2026-0004"]


async def test_a_list_does_not_tell_which_numbers_others_have(as_: As) -> None:
    officer, stranger = await as_("officer"), await as_("stranger")
    await _drafted(stranger)
    await _drafted(officer)
    await _drafted(stranger)
    lists = [(await stranger.get(CASES, params={"before": number})).content for number in ("2026-0002", "2026-0009")]
    assert lists[0] == lists[1]


async def test_a_paper_is_read_back_as_it_was_uploaded(as_: As) -> None:
    case = await _submitted(await as_("officer"))
    kept = (await (await as_("handler")).get(f"{CASES}/{case['id']}/papers/{case['papers'][0]['id']}")).content
    assert kept.startswith(b"%PDF-")
    assert len(kept) == case["papers"][0]["size_bytes"]


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        (b"MZ" + bytes(100), "application/pdf", 415),
        (b"%PDF-1.4", "text/html", 415),
        (bytes(10 * 1024 * 1024 + 1), "application/pdf", 413),
    ],
)
async def test_what_is_no_paper_is_not_taken(as_: As, content: bytes, media_type: str, status: int) -> None:
    officer = await as_("officer")
    case = await _drafted(officer)
    path = f"{CASES}/{case['id']}/papers/inquiry"
    answer = await officer.put(path, content=content, headers={"content-type": media_type})
    assert answer.status_code == status
    assert (await officer.get(f"{CASES}/{case['id']}")).json()["papers"] == []


async def test_cameras_say_what_they_keep_and_what_the_ordinance_allows(as_: As) -> None:
    told = (await (await as_("officer")).get("/api/v1/cameras")).json()
    assert [(one["id"], one["is_recording"]) for one in told["cameras"]] == [("gw-1", True), ("gw-2", True)]
    assert told["cameras"][0]["kept_from_ms"] == NOW_MS - 10 * casework.DAY_MS
    assert (told["limits"]["max_cameras"], told["limits"]["max_hours"]) == (10, 6)
    assert (await (await as_("guardian")).get("/api/v1/cameras")).status_code == 404
