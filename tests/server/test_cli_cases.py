"""Requests for footage on the command line: read on behalf of an account, decided and logged as everywhere."""

import asyncio
import dataclasses
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from server import config as configuration
from server.cli import app
from server.config import ServerConfig
from tests import casework
from tests.casework import Hall

pytestmark = pytest.mark.db
runner = CliRunner()


@pytest.fixture
def city(db: ServerConfig, tmp_path: Path) -> tuple[str, Hall]:
    """A configuration file of a city with one case that is submitted and one draft, and its log."""

    async def filled() -> Hall:
        async with casework.hall(dataclasses.replace(db)) as hall:
            await hall.submitted()
            await hall.drafted()
            return hall

    file = tmp_path / "city.toml"
    configuration.save(db, file)
    return str(file), asyncio.run(filled())


def _said(file: str, *words: str) -> str:
    done = runner.invoke(app, ["case", *words, "--config", file])
    assert done.exit_code == 0, done.output + repr(done.exception)
    return done.stdout


def test_a_list_has_what_was_submitted_and_the_log_has_the_look(city: tuple[str, Hall]) -> None:
    file, hall = city
    found = json.loads(_said(file, "list", "--as", "h-1", "--json"))
    assert [(one["number"], one["state"], one["cameras"]) for one in found] == [("2026-0001", "submitted", 1)]
    assert "2026-0001" in _said(file, "list", "--as", "h-1")
    assert hall.kinds()[-2:] == ["case.listed", "case.listed"]
    assert json.loads(_said(file, "list", "--as", "g-1", "--json")) == []


def test_a_case_is_shown_whole(city: tuple[str, Hall]) -> None:
    file, hall = city
    case = json.loads(_said(file, "show", "2026-0001", "--as", "h-1"))
    assert (case["state"], case["steps"][0]["from"], len(case["papers"])) == ("submitted", "draft", 2)
    assert hall.kinds()[-1] == "case.viewed"


@pytest.mark.parametrize(("number", "account"), [("2026-0001", "o-3"), ("2026-0002", "h-1"), ("2026-0009", "h-1")])
def test_what_is_not_theirs_is_not_there(city: tuple[str, Hall], number: str, account: str) -> None:
    done = runner.invoke(app, ["case", "show", number, "--as", account, "--config", city[0]])
    assert (done.exit_code, "There is no such case" in repr(done.exception)) == (1, True)


def test_what_falls_due_is_listed_the_next_first(city: tuple[str, Hall]) -> None:
    found = json.loads(_said(city[0], "deadlines", "--as", "h-1", "--json"))
    assert [(one["case"], one["kind"]) for one in found] == [("2026-0001", "freeze")]
    assert re.search(r"2026-0001.*保全の期限", _said(city[0], "deadlines", "--as", "h-1"))


def test_a_state_that_there_is_not_is_told(city: tuple[str, Hall]) -> None:
    done = runner.invoke(app, ["case", "list", "--as", "h-1", "--state", "lost", "--config", city[0]])
    assert "No such state" in repr(done.exception)
