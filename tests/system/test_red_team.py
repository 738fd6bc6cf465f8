"""Everybody tries everything: each role on each route, each role of the database on each table.

The matrix of what came of it is docs/ACCESS.md. Real are the API, its port, the sessions and the database.
"""

import asyncio
import contextlib
import dataclasses
import logging
import math
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psycopg
import pytest
from fastapi import FastAPI
from psycopg import sql as psql

from privacy.terms import Role
from server import keys
from server.accounts.sessions import Entrant
from server.accounts.signin import SignInLimits
from server.api.app import Knobs, create_app, make_server, open_pools
from server.api.cookies import SESSION
from server.config import BrokerConfig, HttpConfig, ServerConfig
from server.embedded.postgres import Postgres
from tests import intruders
from tests.casework import NOW_MS
from tests.intruders import ABSENT, COLUMNS, LOOK_UP, MARKS, MAY_SEE, NO_CASE, PEOPLE, VISITOR, WARD, Targets
from tests.routing import routes_of
from wire.clock import Clock

pytestmark = [pytest.mark.db, pytest.mark.timeout(300)]
DOCUMENT = Path(__file__).parents[2] / "docs" / "ACCESS.md"
FRESH = Path(__file__).parents[2] / "artefacts" / "ACCESS.md"
DATABASE_ROLES = ("ingest", "api", "notify", "gate", "warden", "ledger", "clerk")
OFTEN = "99999 per minute"


@dataclass
class City:
    """The city under attack.

    Attributes:
        config: its configuration.
        app: serving at `url`.
        targets: what is aimed at.
        nobody: the same things, of nobody.
    """

    config: ServerConfig
    app: FastAPI
    url: str
    targets: Targets
    nobody: Targets

    async def cookie(self, column: str) -> dict[str, str]:
        """Sign somebody in, in a session of its own."""
        if column == VISITOR:
            return {}
        account, role = PEOPLE[column]
        token = await self.app.state.parts.sessions.open(Entrant(account, role, "passkey"))
        return {"cookie": f"{SESSION}={token}"}


@contextlib.asynccontextmanager
async def _serving(config: ServerConfig, static: Path) -> AsyncIterator[tuple[FastAPI, str]]:
    knobs = Knobs(limits=SignInLimits(OFTEN, OFTEN), now_ms=lambda: NOW_MS, static_dir=static)
    async with open_pools(config, max_size=4) as pools:
        app = create_app(config, pools, knobs)
        server = make_server(app, "127.0.0.1", 0)
        task = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 - uvicorn says it in no other way
            await asyncio.sleep(0.01)
        try:
            yield app, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


@pytest.fixture
async def city(db: ServerConfig, tmp_path: Path) -> AsyncIterator[City]:
    """The marked town, with a submitted request, a look-up and a hold that waits for its second manager."""
    clock = Clock(time.time_ns() // 1_000_000, NOW_MS, speed=1.0)
    broker = BrokerConfig(url="mqtt://127.0.0.1:9", tls=False)
    config = dataclasses.replace(db, broker=broker, http=HttpConfig(port=0), clock=clock)
    keys.make(config)
    intruders.found(config)
    (tmp_path / "index.html").write_text("<!doctype html><title>みまもり</title>")
    async with _serving(config, tmp_path) as (app, url):
        nobody = Targets(ABSENT, NO_CASE, NO_CASE, "00000000-0000-4000-8000-000000000000", 2**60, NO_CASE)
        made = City(config, app, url, nobody, nobody)
        made.targets = await _planted(made)
        yield made


async def _planted(city: City) -> Targets:
    async with httpx.AsyncClient(base_url=city.url, headers={"sec-fetch-site": "same-origin"}) as client:

        async def ask(column: str, method: str, path: str, **more: Any) -> Any:
            headers = {**await city.cookie(column), **more.pop("headers", {})}
            answer = await client.request(method, f"/api/v1/{path}", headers=headers, **more)
            assert answer.is_success, answer.text
            return answer.json()

        case = await ask("officer", "POST", "cases", json=intruders.CASE)
        for kind in ("inquiry", "request"):
            content, headers = intruders.paper(kind)
            kept = await ask("officer", "PUT", f"cases/{case['id']}/papers/{kind}", content=content, headers=headers)
        await ask("officer", "POST", f"cases/{case['id']}/steps", json={"step": "submit"})
        await ask("handler", "POST", f"wards/{WARD}/look-up", json=LOOK_UP)
        told = await ask("guardian", "GET", f"wards/{WARD}/look-ups")
        quiet = {**LOOK_UP, "days": 1, "case": "2026-9999"}
        hold = await ask("manager", "POST", f"wards/{WARD}/look-up-holds", json=quiet)
        sessions = await ask("guardian", "GET", "sessions")
    return Targets(
        WARD, case["id"], kept["id"], hold["id"], int(told["look_ups"][0]["id"]), sessions["sessions"][0]["id"]
    )


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    text: str

    def marks(self) -> set[str]:
        """Return what personal is in it."""
        return {what for what, marks in MARKS.items() if any(mark in self.text for mark in marks)}


async def _ask(client: httpx.AsyncClient, method: str, aim: intruders.Aim, cookie: dict[str, str]) -> Answer:
    headers = {"sec-fetch-site": "same-origin", **cookie, **aim.headers}
    more: dict[str, Any] = {"content": aim.content} if aim.content is not None else {"json": aim.body}
    if aim.body is None and aim.content is None:
        more = {}
    async with client.stream(method, aim.path, headers=headers, **more) as answer:
        told = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.4 if "event-stream" in answer.headers.get("content-type", "") else 30):
                async for part in answer.aiter_bytes():
                    told += part
        told_headers = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
        return Answer(answer.status_code, f"{told_headers}\n{told.decode('utf-8', 'replace')}")


async def _try_all(city: City) -> dict[str, dict[str, Answer]]:
    """Return the answers, by route and by who asked; each asks in a session of its own."""
    answers: dict[str, dict[str, Answer]] = {}
    async with httpx.AsyncClient(base_url=city.url, timeout=30) as client:
        for route in routes_of(city.app):
            [method] = sorted(route.methods or ())
            line = answers[f"{method} {route.path.removeprefix('/api/v1')}"] = {}
            for column in COLUMNS:
                aim = city.targets.aim(route.name, route.path)
                line[column] = await _ask(client, method, aim, await city.cookie(column))
    return answers


def _tables(config: ServerConfig) -> dict[str, dict[str, str]]:
    """Return what each role of the database may read of each table without a token, as tried and as granted."""
    query = """
    SELECT c.relname, c.relrowsecurity, r.rolname,
           has_any_column_privilege(r.rolname, c.oid, 'SELECT') OR has_table_privilege(r.rolname, c.oid, 'SELECT'),
           (SELECT pg_get_expr(p.polqual, p.polrelid) FROM pg_policy AS p
            WHERE p.polrelid = c.oid AND p.polcmd IN ('*', 'r') AND r.oid = ANY (p.polroles) LIMIT 1)
    FROM pg_class AS c CROSS JOIN pg_roles AS r
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND r.rolname = ANY (%s)
    ORDER BY c.relname"""
    found: dict[str, dict[str, str]] = {}
    with psycopg.connect(config.dsn(), autocommit=True) as owner:
        for table, is_guarded, role, is_granted, policy in owner.execute(query, (list(DATABASE_ROLES),)).fetchall():
            cell = (
                "–"
                if not is_granted
                else "all"
                if not is_guarded or policy == "true"
                else "token"
                if policy
                else "none"
            )
            found.setdefault(table, {})[role] = cell
    for table, row in found.items():
        for role, cell in row.items():
            seen = _tried(config, table, role)
            assert (seen is None) == (cell == "–"), (table, role)
            assert not seen or cell == "all", (table, role)
    return found


def _tried(config: ServerConfig, table: str, role: str) -> bool | None:
    """Return whether the role sees a row, None where it is refused."""
    with psycopg.connect(config.dsn(role)) as conn:
        try:
            row = conn.execute(psql.SQL("SELECT count(*) FROM {}").format(psql.Identifier(table))).fetchone()
        except psycopg.errors.InsufficientPrivilege:
            return None
    return bool(row and row[0])


def _matrix(answers: dict[str, dict[str, Answer]], tables: dict[str, dict[str, str]]) -> str:
    head = DOCUMENT.read_text().split("<!-- matrix -->")[0] if DOCUMENT.exists() else ""
    lines = [f"{head}<!-- matrix -->", "", "## Routes", "", _row(["", *COLUMNS]), _row(["---"] * (len(COLUMNS) + 1))]
    for route, line in answers.items():
        cells = [f"{one.status}{'*' if one.marks() else ''}" for one in line.values()]
        lines.append(_row([f"`{route}`", *cells]))
    lines += ["", "## Tables", "", _row(["", *DATABASE_ROLES]), _row(["---"] * (len(DATABASE_ROLES) + 1))]
    lines += [_row([f"`{table}`", *(row[role] for role in DATABASE_ROLES)]) for table, row in tables.items()]
    return "\n".join(lines) + "\n"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


async def test_nobody_gets_what_is_not_for_them_by_any_route(
    city: City, caplog: pytest.LogCaptureFixture, postgres: Postgres
) -> None:
    caplog.set_level(logging.DEBUG)
    before = postgres.log_file.stat().st_size
    tables = _tables(city.config)
    answers = await _try_all(city)
    leaks = [
        f"{route}, {column}: {what}"
        for route, line in answers.items()
        for column, answer in line.items()
        for what in answer.marks()
        if column not in MAY_SEE[what] or answer.status >= 400
    ]
    assert leaks == []
    assert not [
        f"{route}, {column}" for route, line in answers.items() for column, one in line.items() if one.status == 500
    ]
    assert {what for line in answers.values() for one in line.values() for what in one.marks()} == {
        what for what, who in MAY_SEE.items() if who
    }, "a marker that nobody at all was shown proves nothing"
    _nothing_marked_in(caplog.text, "the log")
    with postgres.log_file.open("rb") as log:
        log.seek(before)
        _nothing_marked_in(log.read().decode("utf-8", "replace"), "the database's log")
    with psycopg.connect(city.config.dsn()) as conn:
        entries = conn.execute("SELECT convert_from(body, 'UTF8') FROM audit_entry").fetchall()
    assert len(entries) > 300
    _nothing_marked_in("\n".join(str(row[0]) for row in entries), "the audit log")
    now = _matrix(answers, tables)
    print(now)  # noqa: T201 - the matrix is what this test is for
    FRESH.parent.mkdir(exist_ok=True)
    FRESH.write_text(now)
    assert DOCUMENT.exists(), f"look at {FRESH} and copy it"
    assert DOCUMENT.read_text() == now, f"who may do what has changed: compare with {FRESH}"


def _nothing_marked_in(text: str, where: str) -> None:
    assert [mark for marks in MARKS.values() for mark in marks if mark in text] == [], where


OF_SOMEBODY = ("wards/{ward_id}", "cases/{case_id}", "audit/proof", "sessions/", "passkeys/kept")


async def test_what_is_not_yours_is_answered_as_what_is_not_there(city: City) -> None:
    different, compared = [], 0
    async with httpx.AsyncClient(base_url=city.url, timeout=30) as client:
        for route in routes_of(city.app):
            if not any(part in route.path for part in OF_SOMEBODY):
                continue
            [method] = sorted(route.methods or ())
            for column in COLUMNS:
                cookie = await city.cookie(column)
                there, absent = [
                    _without_date(await _ask(client, method, one.aim(route.name, route.path), cookie))
                    for one in (city.targets, city.nobody)
                ]
                if there.status in {401, 403, 404, 405, 422}:
                    compared += 1
                    if there != absent:
                        different.append((route.name, column, there, absent))
    assert different == []
    assert compared > 150


def _without_date(answer: Answer) -> Answer:
    lines = [line for line in answer.text.split("\n") if not line.startswith("date: ")]
    return Answer(answer.status, "\n".join(lines))


async def test_how_long_a_refusal_takes_does_not_tell_whether_there_is_such_a_ward(city: City) -> None:
    """The Mann-Whitney U test over 400 refusals of each kind, in turn; that of a difference would be near 1."""
    took: tuple[list[float], list[float]] = ([], [])
    cookie = await city.cookie("other guardian")
    async with httpx.AsyncClient(base_url=city.url, timeout=30) as client:
        for number in range(900):
            way = number % 2
            aim = (city.targets, city.nobody)[way].aim("get_place", "/api/v1/wards/{ward_id}/place")
            start_s = time.perf_counter()
            assert (await _ask(client, "GET", aim, cookie)).status == 404
            if number >= 100:  # the first ones warm up
                took[way].append(time.perf_counter() - start_s)
    share, p = mann_whitney(*took)
    print(f"n = 400 + 400, share {share:.3f}, p = {p:.3f}")  # noqa: T201 - a figure of the report
    assert p > 0.001 or abs(share - 0.5) < 0.1, (share, p)


def mann_whitney(one: list[float], other: list[float]) -> tuple[float, float]:
    """Return how often a value of `one` is above one of `other` (0.5: no difference), and the two-sided p."""
    ranks = np.argsort(np.argsort(np.array(one + other))) + 1
    n, m = len(one), len(other)
    u = float(ranks[:n].sum()) - n * (n + 1) / 2
    z = (u - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)
    return u / (n * m), math.erfc(abs(z) / math.sqrt(2))


def test_the_test_of_times_would_find_a_difference() -> None:
    rng = np.random.default_rng(7)
    same, later = rng.normal(8, 1, 400).tolist(), rng.normal(8.5, 1, 400).tolist()
    share, p = mann_whitney(same, later)
    assert p < 0.001
    assert abs(share - 0.5) > 0.1


def test_everybody_takes_part_and_no_marker_stands_for_two_things() -> None:
    assert {role for _, role in PEOPLE.values()} == set(Role) - {Role.PUBLIC, Role.CLERK}
    marks = [mark for some in MARKS.values() for mark in some]
    assert len(set(marks)) == len(marks)
