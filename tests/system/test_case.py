"""A request for footage from the officer's draft to the certificate of return, with a gateway that really films.

The street is drawn and the people are test accounts; the rest is real: encoder, broker, database, policies, clerk, API
and the command line with which the officer opens the file. Accounts get their sessions from the server's own service,
not from a passkey.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pyrage
import pytest

from privacy.terms import Role
from server.accounts.sessions import Entrant, Sessions
from server.api import cookies
from server.demo import town
from server.store.pool import make_pool
from tests.casework import PAPERS, pdf
from tests.system.village import Village

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

CAMERA = town.CAMERA
WINDOW_S = 12
STAFF = {
    "officer": ("o-1", Role.OFFICER),
    "handler": ("h-1", Role.HANDLER),
    "supervisor": ("s-1", Role.SUPERVISOR),
    "manager": ("m-1", Role.MANAGER),
}
STORY = [
    "paper.added",
    "paper.added",
    "case.submitted",
    "order.issued",
    "case.prepared",
    "case.checked",
    "case.approved",
    "order.issued",
    "order.issued",
    "case.exported",
    "case.undertaken",
    "footage.downloaded",
    "case.returned",
    "case.answered",
    "case.closed",
]
"""What the log must have of the case, in this order but for what clerk and people do side by side."""


@pytest.fixture(scope="module")
def village(founded: Callable[..., AbstractContextManager[Village]]) -> Iterator[Village]:
    with founded(speed=1.0, has_camera=True) as made:
        made.until(lambda: _told(made)[0] == "recording", 60)
        yield made


@pytest.fixture(scope="module")
def identity(open_dir: Path) -> Path:
    key = open_dir / "case-officer.key"
    key.write_text(str(pyrage.x25519.Identity.generate()) + "\n")
    return key


@pytest.fixture(scope="module")
def people(village: Village, identity: Path) -> Iterator[dict[str, httpx.Client]]:
    """The four who take part, each signed in."""
    recipient = str(pyrage.x25519.Identity.from_str(identity.read_text().strip()).to_public())
    with psycopg.connect(village.settings.dsn(), autocommit=True) as conn:
        conn.execute(
            """INSERT INTO agency (id, city_id, kind, name_ja, name_en, legal_basis)
               VALUES ('kakogawa-ps', %s, 'police', '加古川警察署', 'Kakogawa Police Station', '刑訴法197条2項')
               ON CONFLICT DO NOTHING""",
            (village.settings.city.id,),
        )
        for name, (account, role) in STAFF.items():
            conn.execute(
                "INSERT INTO account (id, login, name_ja, name_en, role, agency_id) VALUES (%s, %s, %s, %s, %s, %s)",
                (account, name, name, name, role.value, "kakogawa-ps" if role is Role.OFFICER else None),
            )
        conn.execute("UPDATE account SET recipient = %s, recipient_set_at = now() WHERE id = 'o-1'", (recipient,))
    clients = asyncio.run(_signed_in(village))
    yield clients
    for client in clients.values():
        client.close()


async def _signed_in(village: Village) -> dict[str, httpx.Client]:
    clients = {}
    async with make_pool(village.settings.dsn("warden")) as pool:
        for name, (account, role) in STAFF.items():
            token = await Sessions(pool).open(Entrant(account, role, "passkey"))
            base_url = f"http://127.0.0.1:{village.settings.http.port}/api/v1"
            client = httpx.Client(base_url=base_url, headers={"sec-fetch-site": "same-origin"}, timeout=30)
            client.cookies.set(cookies.SESSION, token)
            clients[name] = client
    return clients


def _run(village: Village, *arguments: str) -> str:
    return _mimamori(*arguments, "--config", str(village.options.config_file))


def _mimamori(*arguments: str) -> str:
    command = [sys.executable, "-m", "server", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _told(village: Village) -> tuple[str, int | None]:
    """What the camera's gateway said last: its state, and from when on it keeps footage."""
    with psycopg.connect(village.settings.dsn()) as conn:
        found = conn.execute(
            "SELECT coalesce(camera, ''), footage_from_ms FROM detector_health WHERE detector_id = %s", (CAMERA,)
        ).fetchone()
    return ("", None) if found is None else (str(found[0]), found[1])


def _entries(village: Village) -> list[dict[str, Any]]:
    with psycopg.connect(village.settings.dsn()) as conn:
        rows = conn.execute("SELECT convert_from(body, 'UTF8')::jsonb FROM audit_entry ORDER BY id").fetchall()
    return [body for (body,) in rows if "case" in body["facts"]]


def _case(client: httpx.Client, case_id: str) -> dict[str, Any]:
    answer = client.get(f"/cases/{case_id}")
    assert answer.status_code == 200, answer.text
    case: dict[str, Any] = answer.json()
    return case


def _step(client: httpx.Client, case_id: str, step: str, **more: Any) -> dict[str, Any]:
    answer = client.post(f"/cases/{case_id}/steps", json={"step": step, **more})
    assert answer.status_code == 200, answer.text
    case: dict[str, Any] = answer.json()
    return case


def _draft(officer: httpx.Client, from_s: int) -> dict[str, Any]:
    window = {"id": CAMERA, "from_ms": from_s * 1000, "to_ms": (from_s + WINDOW_S) * 1000}
    body = {
        "purpose": "crime",
        "offence": "窃盗",
        "has_occurred": True,
        "inquiry": {
            "number": "加古川捜発第123号",
            "dated_on": "2026-11-25",
            "station": "加古川警察署",
            "officer": "司法警察員",
        },
        "cameras": [window],
    }
    answer = officer.post("/cases", json=body)
    assert answer.status_code == 201, answer.text
    case: dict[str, Any] = answer.json()
    for kind in ("inquiry", "request"):
        headers = {"content-type": "application/pdf", "x-file-name": f"{kind}.pdf"}
        put = officer.put(f"/cases/{case['id']}/papers/{kind}", content=pdf(*PAPERS[kind]), headers=headers)
        assert put.status_code == 200, put.text
    return case


@pytest.fixture(scope="module")
def submitted(village: Village, people: dict[str, httpx.Client]) -> dict[str, Any]:
    """A case whose window the gateway has frozen."""
    from_s = int(time.time()) + 1
    village.pause(WINDOW_S + 3)
    village.until(lambda: (_told(village)[1] or from_s * 2000) <= from_s * 1000, 90)
    case = _draft(people["officer"], from_s)
    case = _step(people["officer"], case["id"], "submit")
    village.until(lambda: _case(people["officer"], case["id"])["cameras"][0]["kept"] == "frozen", 60)
    return case


@pytest.fixture(scope="module")
def ready(village: Village, people: dict[str, httpx.Client], submitted: dict[str, Any]) -> dict[str, Any]:
    """The case after three people approved it, its export brought by the gateway; the clerk was killed on the way."""
    for name, step in (("handler", "prepare"), ("supervisor", "check")):
        _step(people[name], submitted["id"], step)
    _step(people["manager"], submitted["id"], "approve", mode="download")
    village.kill("clerk")
    village.until(lambda: _case(people["officer"], submitted["id"])["state"] == "ready", 120)
    return _case(people["officer"], submitted["id"])


def test_nothing_is_given_out_before_the_undertaking(people: dict[str, httpx.Client], ready: dict[str, Any]) -> None:
    export = ready["cameras"][0]["export"]
    answer = people["officer"].get(f"/cases/{ready['id']}/exports/{export['id']}")
    assert answer.status_code == 409
    assert "R16-undertaking" in {one["policy"] for one in answer.json()["reasons"]}


def test_the_officer_opens_what_was_approved_and_returns_it_and_the_log_has_every_step(
    village: Village, people: dict[str, httpx.Client], ready: dict[str, Any], identity: Path, tmp_path: Path
) -> None:
    officer, case_id = people["officer"], ready["id"]
    case = _step(officer, case_id, "undertake")
    assert case["release"]["mode"] == "download"
    export = case["cameras"][0]["export"]
    given = officer.get(f"/cases/{case_id}/exports/{export['id']}", params={"mode": "download"})
    assert (given.status_code, given.headers["x-sha256"]) == (200, export["sha256"])
    sealed = tmp_path / "footage.age"
    sealed.write_bytes(given.content)
    assert people["manager"].get(f"/cases/{case_id}/exports/{export['id']}").status_code == 409

    ca, clips = str(village.settings.keys_dir / "ca.pem"), str(tmp_path / "clips")
    told = _mimamori(
        *("footage", "open", str(sealed), "--identity", str(identity), "--ca", ca, "--out", clips, "--json")
    )
    report = json.loads(told)
    assert report["is_sound"]
    assert (report["manifest"]["case"], report["manifest"]["camera"]) == (case["number"], CAMERA)
    assert list((tmp_path / "clips").glob("*.mp4"))

    _step(officer, case_id, "return", hashes=[export["sha256"]], method="消去")
    _step(officer, case_id, "feedback", feedback="used")
    village.until(lambda: _case(officer, case_id)["state"] == "closed", 60)
    assert _case(officer, case_id)["copy_certificate"]["hashes"] == [export["sha256"]]
    assert list((village.settings.state_dir / "exports").glob("*.age")) == []
    _check_log(village, case["number"])


def _check_log(village: Village, number: str) -> None:
    kinds = [entry["kind"] for entry in _entries(village) if entry["facts"]["case"] == number]
    wanted = iter(kinds)
    assert [kind for kind in STORY if kind not in kinds] == []
    people_only = [kind for kind in STORY if kind.startswith(("case.", "footage."))]
    assert all(kind in wanted for kind in people_only), kinds


def test_the_gateway_lets_the_window_go_once_it_was_released(village: Village, ready: dict[str, Any]) -> None:
    def kinds() -> list[str]:
        with psycopg.connect(village.settings.dsn()) as conn:
            rows = conn.execute(
                """SELECT o.kind FROM gateway_order AS o JOIN case_order USING (detector_id, sequence)
                   WHERE o.state = 'done' ORDER BY sequence"""
            )
            return [str(kind) for (kind,) in rows.fetchall()]

    assert ready["number"] == "2026-0001"
    village.until(lambda: kinds() == ["freeze", "freeze", "export", "thaw"], 60)
