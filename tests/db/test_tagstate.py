import asyncio
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from server import config as configuration
from server.cli import app

pytestmark = pytest.mark.db
Town = Any  # the class of the fixture lives in conftest.py, which tests cannot import


async def _mark(town: Town, tmp_path: Path, tag: str) -> Result:
    file = tmp_path / "mimamori.toml"
    configuration.save(town.config, file)
    return await asyncio.to_thread(CliRunner().invoke, app, ["tag", "clock-lost", tag, "--config", str(file)])


async def test_a_tag_whose_battery_was_changed_is_marked_and_ingest_is_told(town: Town, tmp_path: Path) -> None:
    [(before,)] = town.ask("SELECT version FROM registry_version")
    done = await _mark(town, tmp_path, "t-1")
    assert done.exit_code == 0, done.output
    assert "探し直します" in done.output
    assert town.ask("SELECT tag_id, clock_lost, clock_offset_ms FROM tag_state") == [
        ("t-1", True, town.tags["t-1"].offset_ms)
    ]
    assert town.ask("SELECT version > %s FROM registry_version", before) == [(True,)]


@pytest.mark.parametrize("tag", ["t-9", "t-old"])
async def test_a_tag_without_a_clock_is_named(town: Town, tmp_path: Path, tag: str) -> None:
    done = await _mark(town, tmp_path, tag)
    assert done.exit_code != 0
    assert "no sealed tag" in str(done.exception)
    assert town.count("tag_state") == 0
