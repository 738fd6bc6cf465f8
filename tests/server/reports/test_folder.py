"""Reports from a folder of the published log, without a server."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from privacy import ordinance
from privacy.transparency.checkpoint import issue
from privacy.transparency.edge import Edge
from privacy.transparency.tiles import ENTRIES, WIDTH, Tile, bundle
from privacy.transparency.tree import Head, leaf_hash
from server.cli import app
from server.publiclog.folder import Folder
from server.reports.annual import Asked, annual
from server.reports.as_csv import csv_of
from server.reports.as_json import json_of
from server.reports.errors import ReportError
from server.reports.folder import read
from server.reports.rules import ReportRules
from server.reports.tables import Text
from tests.publishing import SIGNER
from tests.server.reports.conftest import Log

runner = CliRunner()


@pytest.fixture
def long(year: Log) -> Log:
    """More than one bundle of entries."""
    for number in range(300):
        year.add("place.viewed", f"2026-08-{1 + number % 28:02}")
    return year


@pytest.fixture
def folder(long: Log, tmp_path: Path) -> Path:
    made, edge, begun = Folder(tmp_path / "log"), Edge(), list[bytes]()
    for body in long.bodies:
        made.write_tiles(edge.grow(leaf_hash(body)))
        begun.append(body)
        if len(begun) == WIDTH:
            made.write_tiles([(Tile(ENTRIES, edge.size // WIDTH - 1), bundle(begun))])
            begun = []
    made.write_tiles([*edge.partial(), (Tile(ENTRIES, edge.size // WIDTH, len(begun)), bundle(begun))])
    made.write("checkpoint", issue(SIGNER, edge.head()).whole().encode())
    return made.path


def _root(bodies: list[bytes]) -> str:
    edge = Edge()
    for body in bodies:
        edge.grow(leaf_hash(body))
    return edge.head().root.hex()


def test_all_entries_are_read_and_their_root_is_the_checkpoints(folder: Path, long: Log) -> None:
    head, bodies = read(folder)
    assert bodies == long.bodies
    assert (head.size, head.root_hex) == (len(bodies), _root(bodies))


@pytest.mark.parametrize("size", [0, 1, 40, 256, 300])
def test_the_log_of_an_earlier_day_can_be_read(folder: Path, long: Log, size: int) -> None:
    head, bodies = read(folder, size)
    assert bodies == long.bodies[:size]
    assert (head.size, head.root_hex) == (size, _root(bodies))


def test_more_entries_than_there_are_cannot_be_read(folder: Path) -> None:
    with pytest.raises(ReportError, match="has"):
        read(folder, 10_000)


@pytest.mark.parametrize("path", ["checkpoint", "tile/entries/000"])
def test_a_log_with_a_part_missing_gives_no_report(folder: Path, path: str) -> None:
    (folder / path).unlink()
    with pytest.raises(ReportError):
        read(folder)


@pytest.mark.parametrize("place", [30, 4_000, -40])
def test_a_log_with_one_octet_changed_gives_no_report(folder: Path, place: int) -> None:
    file = folder / "tile/entries/000"
    octets = bytearray(file.read_bytes())
    octets[place] ^= 1
    file.write_bytes(octets)
    with pytest.raises(ReportError):
        read(folder)


@pytest.mark.parametrize("note", [b"", b"hello\n", b"mimamori\n5\nAAAA\n\n", b"\xff\xfe"])
def test_a_checkpoint_that_is_none_gives_no_report(folder: Path, note: bytes) -> None:
    (folder / "checkpoint").write_bytes(note)
    with pytest.raises(ReportError):
        read(folder)


def test_a_checkpoint_of_another_log_gives_no_report(folder: Path, long: Log) -> None:
    other = issue(SIGNER, Head(len(long.bodies), b"\1" * 32)).whole()
    (folder / "checkpoint").write_text(other)
    with pytest.raises(ReportError, match="not those of the checkpoint"):
        read(folder)


def test_anybody_computes_the_report_from_the_folder_alone(folder: Path, tmp_path: Path) -> None:
    words = ["report", "annual", "2026", "--from", str(folder), "--profile", "kakogawa", "--format", "json"]
    nowhere = ["--config", str(tmp_path / "none.toml")]
    files = [tmp_path / "one.json", tmp_path / "two.json"]
    for file in files:
        done = runner.invoke(app, [*words, "--out", str(file), *nowhere])
        assert done.exit_code == 0, done.exception
    assert files[0].read_bytes() == files[1].read_bytes()
    assert "加古川市" in files[0].read_text("utf-8")


def test_a_profile_that_is_none_is_said_in_one_line(folder: Path, tmp_path: Path) -> None:
    words = ["report", "annual", "2026", "--from", str(folder), "--profile", "atlantis"]
    done = runner.invoke(app, [*words, "--config", str(tmp_path / "none.toml")])
    assert re.search("atlantis", str(done.exception))


def test_the_command_that_a_report_states_gives_the_same_octets_to_anybody(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, bodies = read(folder, 200)
    rules = ReportRules.of(ordinance.load("itami"), Text("ここの 市", "A City's"))
    made = annual(bodies, Asked(2026, rules, head))
    said = shlex.split(made.notes[0].en.partition(": mimamori ")[2].replace("FOLDER", str(folder)))
    monkeypatch.chdir(tmp_path)  # where there is no configuration
    done = runner.invoke(app, [*said, "--format", "csv"])
    assert (done.exit_code, done.stdout_bytes) == (0, csv_of(made))
    assert json_of(made).decode().count("--city") == 2
