"""Reports and ledgers over HTTP: for everybody, the same for everybody."""

from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from server.config import ServerConfig
from server.reports.annual import Asked, annual
from server.reports.as_html import STYLE_HASH
from server.reports.folder import read
from server.reports.ledgers import Ledger
from server.reports.rendering import Format, rendered
from server.reports.rules import rules_of
from tests.publishing import append, sequence
from tests.server.reports.conftest import Log, year_of_everything

pytestmark = pytest.mark.db


@pytest.fixture
async def log(town: ServerConfig) -> Log:
    """A year that has been sequenced and published."""
    made = year_of_everything(Log())
    append(town, made.bodies)
    await sequence(town)
    return made


async def _get(app: FastAPI, path: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=app.state.url, timeout=20) as client:
        return await client.get(f"/api/v1{path}", headers=headers)


@pytest.mark.usefixtures("log")
async def test_everybody_gets_what_the_published_log_gives(town: ServerConfig, app: FastAPI) -> None:
    head, bodies = read(Path(town.log_dir))
    expected = annual(bodies, Asked(2026, rules_of(town), head))
    for form in Format:
        answer = await _get(app, f"/reports/2026.{form}")
        assert answer.status_code == 200
        assert answer.content == rendered(expected, form)


@pytest.mark.usefixtures("log")
async def test_a_report_sets_no_cookie_and_may_be_kept(app: FastAPI) -> None:
    answer = await _get(app, "/reports/2026.html")
    assert "set-cookie" not in answer.headers
    assert answer.headers["cache-control"] == "public, max-age=60"
    again = await _get(app, "/reports/2026.html", **{"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.usefixtures("log")
async def test_the_page_may_use_its_own_style_and_nothing_else(app: FastAPI) -> None:
    answer = await _get(app, "/reports/2026.html")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith(f"default-src 'none'; style-src '{STYLE_HASH}'")
    other = await _get(app, "/reports/2026.pdf")
    assert other.headers["content-security-policy"].startswith("default-src 'self'")


async def test_an_entry_without_a_place_in_the_log_is_in_no_report(town: ServerConfig, app: FastAPI, log: Log) -> None:
    late = Log()
    late.add("complaint.received", "2026-09-01", about="tag")
    append(town, late.bodies)
    head, _ = read(Path(town.log_dir))
    expected = annual(log.bodies, Asked(2026, rules_of(town), head))
    assert (await _get(app, "/reports/2026.json")).content == rendered(expected, Format.JSON)


@pytest.mark.usefixtures("log")
async def test_the_years_of_the_log_are_listed(app: FastAPI) -> None:
    assert (await _get(app, "/reports")).json() == {"years": [2026]}


async def test_before_the_first_entry_there_is_no_year_and_a_report_says_so(app: FastAPI) -> None:
    assert (await _get(app, "/reports")).json() == {"years": []}
    answer = await _get(app, "/reports/2026.html")
    assert answer.status_code == 200
    assert "該当はありません。" in answer.text


@pytest.mark.parametrize(
    "path", ["/reports/99999.html", "/reports/2026.exe", "/reports/x.html", "/ledgers/secret.html"]
)
async def test_what_does_not_exist_is_a_problem(app: FastAPI, path: str) -> None:
    answer = await _get(app, path)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.usefixtures("log")
async def test_each_ledger_is_there_in_each_form(app: FastAPI) -> None:
    for ledger in Ledger:
        for form in Format:
            answer = await _get(app, f"/ledgers/{ledger}.{form}")
            assert answer.status_code == 200, (ledger, form)
            assert answer.content


@pytest.mark.usefixtures("log")
async def test_the_public_ledger_of_provision_shows_no_case(app: FastAPI) -> None:
    told = (await _get(app, "/ledgers/provision.json")).text
    assert "2026-0001" not in told
    assert "行方不明者の捜索" not in told
