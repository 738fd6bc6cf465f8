"""Start programs, restart the one that crashes with a growing pause, stop them in order, leave nothing behind."""

import json
import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

import psutil

from server.errors import ServerError
from server.logfile import open_log

log = logging.getLogger(__name__)

_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0
_STABLE_S: Final = 60.0
_LEFTOVER_S: Final = 20.0
_MOST_FAILURES: Final = 4


class PartError(ServerError):
    """A part of the system does not start. Its log says why."""


class State(StrEnum):
    """What a part is doing."""

    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    CRASHED = "crashed"
    STOPPED = "stopped"


def _always() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Part:
    """One program to keep running.

    Attributes:
        name: short, unique; the log is `<name>.log`.
        command: program and arguments.
        ready: asked until it says True; must not block for long.
        stop_s: how long it may take after SIGTERM before it is killed.
    """

    name: str
    command: tuple[str, ...]
    ready: Callable[[], bool] = _always
    stop_s: float = 20.0


@dataclass(slots=True)
class _Run:
    part: Part
    process: subprocess.Popen[bytes]
    started_s: float
    state: State = State.STARTING
    pause_s: float = _FIRST_PAUSE_S
    retry_at_s: float = 0.0
    restarts: int = 0
    failures: int = 0


@dataclass(slots=True)
class Supervisor:
    """Children of this process by name, in the order they were started.

    Attributes:
        log_dir: gets one log a part, and the one before it once that grew large.
        record: file with the ids of the living children, by which a later run finds what a killed one left.
        stable_s: a part that ran so long is started again at once when it ends.
    """

    log_dir: Path
    record: Path
    stable_s: float = _STABLE_S
    _runs: dict[str, _Run] = field(default_factory=dict)

    def clear_leftovers(self) -> int:
        """End what an earlier supervisor left running because it was killed; return how many those were."""
        left = list(_recorded(self.record))
        for process in reversed(left):
            log.warning("part.left_running", extra={"pid": process.pid})
            process.terminate()
        for process in psutil.wait_procs(left, timeout=_LEFTOVER_S)[1]:
            process.kill()
        self.record.unlink(missing_ok=True)
        return len(left)

    def start(self, part: Part) -> None:
        """Start `part`, perhaps once more after `stop`; `tick` notices when it is ready."""
        before = self._runs.get(part.name)
        restarts = 0 if before is None else before.restarts
        self._runs[part.name] = _Run(part, self._spawn(part), time.monotonic(), restarts=restarts)
        self._write_record()

    def tick(self) -> bool:
        """Look after all parts once; return whether any changed its state."""
        before = self.states()
        for run in self._runs.values():
            self._look_after(run)
        return before != self.states()

    def wait_ready(self, name: str, *, tick_s: float = 0.05, give_up: Callable[[], bool] = lambda: False) -> bool:
        """Return True once `name` is ready, False when `give_up` says so first.

        Raises:
            PartError: it ended again and again instead.
        """
        self.tick()
        while self.state(name) is not State.RUNNING:
            self.tick()
            if self._runs[name].failures >= _MOST_FAILURES:
                raise PartError(f"{name} does not start: see {self.log_dir / name}.log")
            if give_up():
                return False
            time.sleep(tick_s)
        return True

    def stop(self, *names: str) -> None:
        """Stop the named parts: all get SIGTERM, then each is waited for; a deaf one is killed after its time."""
        runs = [self._runs[name] for name in names if name in self._runs]
        for run in runs:
            if run.process.poll() is None:
                run.process.send_signal(signal.SIGTERM)
        for run in runs:
            try:
                code = run.process.wait(run.part.stop_s)
            except subprocess.TimeoutExpired:
                log.warning("part.killed", extra={"part": run.part.name})
                run.process.kill()
                code = run.process.wait()
            log.info("part.stopped", extra={"part": run.part.name, "exit_code": code})
            run.state = State.STOPPED
        self._write_record()

    def stop_all(self) -> None:
        """Stop every part, the last started first."""
        for name in reversed(list(self._runs)):
            if self._runs[name].state is not State.STOPPED:
                self.stop(name)

    def state(self, name: str) -> State:
        """Return what `name` is doing; a part that was never started is waiting."""
        run = self._runs.get(name)
        return State.WAITING if run is None else run.state

    def states(self) -> dict[str, State]:
        """Return the state of every part that was started."""
        return {name: run.state for name, run in self._runs.items()}

    def restarts(self) -> dict[str, int]:
        """Return how often each part was restarted because it had ended by itself."""
        return {name: run.restarts for name, run in self._runs.items()}

    def pids(self) -> dict[str, int]:
        """Return the process id of every part that runs."""
        return {name: run.process.pid for name, run in self._runs.items() if run.process.poll() is None}

    def _look_after(self, run: _Run) -> None:
        now_s = time.monotonic()
        if run.state is State.STOPPED:
            return
        if run.state is State.CRASHED:
            if now_s >= run.retry_at_s:
                run.process, run.started_s, run.state = self._spawn(run.part), now_s, State.STARTING
                run.restarts += 1
                self._write_record()
        elif run.process.poll() is not None:
            stable = now_s - run.started_s > self.stable_s
            run.pause_s = _FIRST_PAUSE_S if stable else min(run.pause_s * 2, _LONGEST_PAUSE_S)
            run.retry_at_s = now_s + run.pause_s
            run.state = State.CRASHED
            run.failures += 1
            log.error("part.crashed", extra={"part": run.part.name, "exit_code": run.process.returncode})
        elif run.state is State.STARTING and run.part.ready():
            run.state, run.failures = State.RUNNING, 0

    def _spawn(self, part: Part) -> subprocess.Popen[bytes]:
        with open_log(self.log_dir / f"{part.name}.log") as out:
            return subprocess.Popen(
                part.command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C in the terminal is for us to pass on, in the right order
            )

    def _write_record(self) -> None:
        living = [_identity(pid) for pid in self.pids().values()]
        self.record.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        fresh = self.record.with_suffix(".new")
        fresh.write_text(json.dumps([entry for entry in living if entry]), "utf-8")
        os.replace(fresh, self.record)  # noqa: PTH105 - atomic on POSIX, said by its name


def _identity(pid: int) -> dict[str, float] | None:
    """Return what tells a process from a later one with the same id."""
    try:
        return {"pid": pid, "created_s": psutil.Process(pid).create_time()}
    except psutil.NoSuchProcess:
        return None


def _recorded(record: Path) -> Iterable[psutil.Process]:
    try:
        entries = json.loads(record.read_text("utf-8"))
    except (OSError, ValueError):  # none, or cut short by a power failure, which left no process either
        return
    for entry in entries:
        try:
            process = psutil.Process(int(entry["pid"]))
            if process.create_time() == entry["created_s"]:
                yield process
        except psutil.NoSuchProcess:
            continue
