import dataclasses
import http.server
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from edge.clock import WallClock
from edge.doctor import machine
from edge.doctor.machine import Volume

WELL = Volume(9_000, 10**6, 3.0, is_card=False, faults=0)
NOW_MS = 1_800_000_000_000


@dataclass(frozen=True)
class Clock:
    """A clock that says what a test wants."""

    synced: bool = True
    error: int | None = 5
    at_ms: int = NOW_MS

    def now_ms(self) -> int:
        return self.at_ms

    def is_synced(self) -> bool:
        return self.synced

    def error_ms(self) -> int | None:
        return self.error


@pytest.mark.parametrize(
    ("clock", "verdict"),
    [(Clock(), "ok"), (Clock(synced=False), "warn"), (Clock(error=1_001), "warn"), (Clock(at_ms=0), "fail")],
)
def test_the_clock_is_judged(clock: Any, verdict: str) -> None:
    assert machine.judge_clock(clock).verdict == verdict


@pytest.mark.parametrize(("offset_s", "verdict"), [(0.4, "ok"), (-1.9, "ok"), (90.0, "fail"), (None, "warn")])
def test_the_difference_to_the_server_is_judged(offset_s: float | None, verdict: str) -> None:
    assert machine.judge_offset(offset_s).verdict == verdict


@pytest.fixture
def dated() -> Iterator[Any]:
    """Serve a date of one's own."""

    class Answer(http.server.BaseHTTPRequestHandler):
        ahead_s = 0.0

        def do_HEAD(self) -> None:
            self.send_response_only(404)
            self.send_header("Date", formatdate(WallClock().now_ms() / 1000 + self.ahead_s, usegmt=True))
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the library's name
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server.server_port, Answer
    server.shutdown()
    thread.join()
    server.server_close()


async def test_the_servers_date_is_asked_for(dated: Any) -> None:
    port, answer = dated
    assert (await machine.clock(f"http://127.0.0.1:{port}", WallClock()))[1].verdict == "ok"
    answer.ahead_s = -300.0
    (_, found) = await machine.clock(f"http://127.0.0.1:{port}", WallClock())
    assert found.verdict == "fail"
    assert "+300 s" in found.en or "+299 s" in found.en
    assert (await machine.clock("http://127.0.0.1:1", WallClock()))[1].verdict == "warn"
    assert (await machine.clock("nonsense", WallClock()))[1].verdict == "warn"


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "ok"),
        ({"free_mb": 999}, "fail"),
        ({"free_inodes": 9}, "fail"),
        ({"faults": 1}, "fail"),
        ({"sync_ms": 400.0}, "warn"),
        ({"is_card": True}, "warn"),
    ],
)
def test_a_volume_is_judged(changes: dict[str, Any], verdict: str) -> None:
    assert [finding.verdict for finding in machine.judge_disk(dataclasses.replace(WELL, **changes))] == [verdict]


def test_a_volume_is_measured_and_nothing_is_left_behind(tmp_path: Path) -> None:
    found = machine.measure(tmp_path)
    assert found.free_mb > 0
    assert found.sync_ms > 0
    assert list(tmp_path.iterdir()) == []


def test_a_state_directory_that_cannot_be_written_fails(gateway: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    config = dataclasses.replace(gateway(), state_dir=tmp_path / "file")
    assert [finding.verdict for finding in machine.disk(config)] == ["fail"]


def test_a_state_directory_that_is_missing_is_told_and_not_made(gateway: Any) -> None:
    config = gateway()
    assert [finding.verdict for finding in machine.disk(config)] == ["warn"]
    assert not config.state_dir.exists()


def test_the_queue_is_judged_by_its_oldest_batch(gateway: Any) -> None:
    config = gateway()
    assert machine.queue(config, lambda: NOW_MS).verdict == "ok"
    config.state_dir.mkdir()
    file = config.state_dir / "outbox.db"
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE batch (sequence INTEGER, rows INTEGER, created_ms INTEGER, payload BLOB)")
        database.execute("INSERT INTO batch VALUES (1, 40, ?, x'')", (NOW_MS,))
    database.close()
    assert machine.queue(config, lambda: NOW_MS + 1_000).en == "1 batches wait (40 rows)"
    late = machine.queue(config, lambda: NOW_MS + 7_200_000)
    assert (late.verdict, late.en) == ("warn", "1 batches wait (40 rows), the oldest for 2.0 h")
    file.write_bytes(b"no database" * 1000)
    assert machine.queue(config, lambda: NOW_MS).verdict == "fail"
