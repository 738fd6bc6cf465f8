import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from server import logfile
from server.supervisor import Part, PartError, State, Supervisor


@pytest.fixture
def supervisor(tmp_path: Path) -> Supervisor:
    return Supervisor(tmp_path / "log", tmp_path / "children.json")


def _sleeper(name: str) -> Part:
    return Part(name, ("sleep", "60"), stop_s=5.0)


def _until(supervisor: Supervisor, is_so: Callable[[], bool]) -> None:
    ends_s = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < ends_s
        supervisor.tick()
        time.sleep(0.02)


def test_a_crashed_part_starts_again(supervisor: Supervisor) -> None:
    supervisor.start(_sleeper("a"))
    supervisor.wait_ready("a")
    first = supervisor.pids()["a"]
    os.kill(first, signal.SIGKILL)
    _until(supervisor, lambda: supervisor.state("a") is State.CRASHED)
    _until(supervisor, lambda: supervisor.state("a") is State.RUNNING)
    assert supervisor.pids()["a"] != first
    assert supervisor.restarts() == {"a": 1}
    supervisor.stop_all()


def test_a_stopped_part_stays_stopped(supervisor: Supervisor) -> None:
    supervisor.start(_sleeper("a"))
    supervisor.stop("a")
    assert not supervisor.tick()
    assert supervisor.pids() == {}
    assert supervisor.state("a") is State.STOPPED


def test_parts_stop_in_reverse_order(supervisor: Supervisor, tmp_path: Path) -> None:
    code = (
        "import signal, sys, time, pathlib\n"
        "def end(*_): pathlib.Path(sys.argv[1]).open('a').write(sys.argv[2]); sys.exit()\n"
        "signal.signal(15, end); print('up', flush=True); time.sleep(60)"
    )
    for name in ("a", "b", "c"):
        command = (
            sys.executable,
            "-c",
            code,
            str(tmp_path / "order"),
            name,
        )
        log_file = tmp_path / "log" / f"{name}.log"
        supervisor.start(Part(name, command, ready=lambda file=log_file: "up" in file.read_text()))  # type: ignore[misc]
        supervisor.wait_ready(name)
    supervisor.stop_all()
    assert (tmp_path / "order").read_text() == "cba"


def test_a_deaf_part_is_killed_after_its_time(supervisor: Supervisor, tmp_path: Path) -> None:
    command = (
        sys.executable,
        "-c",
        "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(60)",
    )
    log_file = tmp_path / "log" / "deaf.log"
    supervisor.start(Part("deaf", command, ready=lambda: bool(log_file.read_text()), stop_s=0.2))
    supervisor.wait_ready("deaf")
    supervisor.stop("deaf")
    assert supervisor.pids() == {}


def test_a_part_that_never_starts_is_an_error_that_names_its_log(supervisor: Supervisor) -> None:
    supervisor.start(Part("broken", ("false",), ready=lambda: False))
    with pytest.raises(PartError, match=r"broken\.log"):
        supervisor.wait_ready("broken")
    supervisor.stop_all()


def test_what_a_killed_supervisor_left_is_ended_and_nothing_else(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start(_sleeper("a"))
    pid = supervisor.pids()["a"]
    with subprocess.Popen(["sleep", "60"]) as stranger:
        later = Supervisor(tmp_path / "log", tmp_path / "children.json")
        assert later.clear_leftovers() == 1
        assert stranger.poll() is None
        stranger.kill()
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    supervisor.stop_all()


@pytest.mark.parametrize("text", ["", "[{"])
def test_a_record_that_a_power_failure_cut_short_stands_in_nobodys_way(supervisor: Supervisor, text: str) -> None:
    supervisor.record.write_text(text)
    assert supervisor.clear_leftovers() == 0


def test_a_process_id_that_was_given_to_another_since_is_left_alone(supervisor: Supervisor, tmp_path: Path) -> None:
    (tmp_path / "children.json").write_text(f'[{{"pid": {os.getpid()}, "created_s": 1.0}}]')
    assert supervisor.clear_leftovers() == 0


def test_a_part_whose_log_grew_large_begins_it_anew(supervisor: Supervisor) -> None:
    supervisor.log_dir.mkdir()
    own = supervisor.log_dir / "a.log"
    with own.open("wb") as out:
        out.truncate(logfile.MAX_OCTETS + 1)
    supervisor.start(Part("a", ("echo", "begun")))
    _until(supervisor, lambda: own.read_text().startswith("begun\n"))
    supervisor.stop("a")
    assert (supervisor.log_dir / "a.log.1").stat().st_size > logfile.MAX_OCTETS


def test_a_part_that_is_started_once_more_keeps_its_count_of_restarts(supervisor: Supervisor) -> None:
    supervisor.start(_sleeper("a"))
    supervisor.wait_ready("a")
    os.kill(supervisor.pids()["a"], signal.SIGKILL)
    _until(supervisor, lambda: supervisor.restarts() == {"a": 1})
    supervisor.stop("a")
    supervisor.start(_sleeper("a"))
    supervisor.stop("a")
    assert supervisor.restarts() == {"a": 1}
