"""The demonstration as a visitor starts it: one command, `ready`, a sign-in that works, an end that loses nothing."""

import fcntl
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from server.embedded.broker import free_port

pytestmark = [pytest.mark.system, pytest.mark.db, pytest.mark.timeout(400)]
PARTS = (
    "database",
    "broker",
    "gate",
    "ingest",
    "notices",
    "app and API",
    "families' phones",
    "radio",
    "gateways",
    "volunteers",
)
KEYS = {"sent", "received", "stored", "lost", "events", "notifications"}


@pytest.fixture(scope="module")
def state_dir(open_dir: Path) -> Path:
    return open_dir / "demo"


def _demo(state_dir: Path, *more: str) -> list[str]:
    port = str(free_port())
    return [sys.executable, "-m", "server", "demo", "--state", str(state_dir), "--port", port, "--headless", *more]


def _started_by(state_dir: Path) -> list[psutil.Process]:
    """Return every process whose command line names the state directory."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(str(state_dir) in word for word in process.info["cmdline"] or ())
    ]


def test_it_runs_for_its_time_loses_nothing_and_leaves_nothing_running(state_dir: Path) -> None:
    done = subprocess.run(
        _demo(state_dir, "--duration", "25", "--speed", "10"), capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ready" in lines
    assert all(any(part in line and "running" in line for line in lines) for part in PARTS)
    assert re.search(r"App: http://localhost:\d+$", done.stdout, re.MULTILINE)  # passkeys are bound to a name
    assert len(re.findall(r": 登録カード card ([A-Z2-7]{4}-){6}[A-Z2-7]{2}$", done.stdout, re.MULTILINE)) == 6
    last = json.loads(lines[-1])
    assert last.keys() >= KEYS
    assert last["lost"] == last["pending"] == 0
    assert last["sent"] == last["received"] > 100
    assert last["events"] > 0
    assert last["notifications"] > 0
    assert last["rss_mb_max"] < 1500
    assert _started_by(state_dir) == []


@pytest.fixture
def running(state_dir: Path) -> Iterator["subprocess.Popen[str]"]:
    """A second start in the same place, up to `ready`."""
    with subprocess.Popen(_demo(state_dir), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            if line == "ready\n":
                break
        yield process
        if process.poll() is None:
            process.kill()


def test_ctrl_c_ends_it_in_order(running: "subprocess.Popen[str]", state_dir: Path) -> None:
    before = json.loads((state_dir / "town-time.json").read_text())["town_ms"]
    running.send_signal(signal.SIGINT)
    said, _ = running.communicate(timeout=120)
    assert running.returncode == 0
    assert json.loads(said.splitlines()[-1])["lost"] == 0
    assert json.loads((state_dir / "town-time.json").read_text())["town_ms"] > before - 1
    assert _started_by(state_dir) == []


def test_after_kill_9_of_the_supervisor_the_next_start_takes_over(
    running: "subprocess.Popen[str]", state_dir: Path
) -> None:
    running.kill()
    running.wait()
    left = _started_by(state_dir)
    assert left
    done = subprocess.run(_demo(state_dir, "--duration", "3"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["lost"] == 0
    assert _started_by(state_dir) == []


def test_a_second_one_in_the_same_place_is_refused(state_dir: Path) -> None:
    with (state_dir / "demo.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(_demo(state_dir), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "もう動いています" in done.stderr
