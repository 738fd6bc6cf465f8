"""What people type wrong is said in one line, before anything is ordered."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from server.cli import app

runner = CliRunner()
FREEZE = ["order", "freeze", "gw-1", "--case", "c-1", "--to", "2026-11-26T12:00:00Z", "--until", "2027-01-01T00:00:00Z"]


@pytest.mark.parametrize(
    ("moment", "said"),
    [("2026-11-26T12:00:00", "offset"), ("noon", "Not a time"), ("2026-13-01T00:00:00Z", "Not a time")],
)
def test_a_time_without_its_offset_or_that_is_none_is_refused(tmp_path: Path, moment: str, said: str) -> None:
    done = runner.invoke(app, [*FREEZE, "--from", moment, "--config", str(tmp_path / "none.toml")])
    assert said in str(done.exception)


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "[[[1]]]", '{"polygons": 3}', '{"bare": false}', '[[["a", "b"]]]', "null"]
)
def test_a_file_that_is_no_mask_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mask.json"
    file.write_text(text)
    words = ["duty", "mask-draw", "gw-1", str(file), "--reason", "x", "--as", "h-1"]
    done = runner.invoke(app, [*words, "--config", str(tmp_path / "none.toml")])
    assert "Not a mask" in str(done.exception)


def test_a_mask_that_covers_nothing_has_to_say_so(tmp_path: Path) -> None:
    from server import cli_orders  # noqa: PLC0415 -- of this test alone

    file = tmp_path / "mask.json"
    file.write_text(json.dumps({"bare": True}))
    assert cli_orders.drawing_in(file).is_bare
    file.write_text(json.dumps({"polygons": [[[0, 0], [1, 0], [1, 1]]]}))
    assert cli_orders.drawing_in(file).polygons == (((0.0, 0.0), (1.0, 0.0), (1.0, 1.0)),)
