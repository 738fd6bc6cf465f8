"""The log as people and programs see it."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from edge import journal, logbook
from edge.errors import JournalError
from edge.journal import Journal


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path, now_ms = tmp_path / "journal.db", 1_800_000_000_000
    with Journal.open(path, now_ms=lambda: now_ms) as made:
        made.add(
            "order.done", {"sequence": 1, "kind": "[red]freeze", "order": b"\xab" * 32, "strands": [[b"\x01", b""]]}
        )
        now_ms = 2**52  # a clock that stood in no year
        made.add("order.forged", {"count": 3})
        made.settle([2])
    return path


def test_entries_are_json_lines_that_other_programs_read(file: Path) -> None:
    seen = journal.look(file, 9, verify=True)
    first, second = (json.loads(line) for line in logbook.lines(seen))
    assert (first["sequence"], first["kind"], first["at"]) == (1, "order.done", "2027-01-15 08:00:00")
    assert first["body"]["strands"] == [["01", ""]]
    assert first["body"]["order"] == "ab" * 32
    assert second["at"] == f"{2**52} ms"
    assert (seen.total, seen.unsent, seen.fault) == (2, 1, None)


def test_the_table_is_in_japanese_and_english_and_takes_nothing_for_markup(file: Path) -> None:
    console = Console(width=160, file=io.StringIO(), emoji=False, markup=False)
    logbook.show(journal.look(file, 9, verify=False), console)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "命令を実行 order.done" in text
    assert "kind=[red]freeze" in text
    assert "未送信 unsent 1" in text


def test_a_gateway_without_a_log_says_so(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="no journal"):
        journal.look(tmp_path / "journal.db", 9, verify=False)


def test_a_log_that_is_noise_says_so(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(b"noise" * 4_000)
    with pytest.raises(JournalError, match="damaged"):
        journal.look(path, 9, verify=True)
