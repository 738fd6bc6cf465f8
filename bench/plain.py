"""The peers of ingest: the plain program beside it, with PostgreSQL or Redis as its store, under the same load."""

import contextlib
import importlib.util
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.crowd import CROWD, FOREIGN, ROWS
from bench.job import AbsentError, DisagreementError
from bench.pipeline import READY_S, Generator, PipelineError, Run, Site, program
from bench.plain_ingest import READY, TABLE
from bench.uplink import Order
from server import config as configuration

TITLES: Final = {
    "plain": "plain: aiomqtt, dictionary, executemany a batch",
    "redis": "the same into Redis: pipeline of SET NX EX and GEOADD",
}
_START_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Match:
    """What peers get to do.

    Attributes:
        site: whose broker, keys and database they use.
        spool: of sealed batches.
        batches: in it.
        until_ms: town time of the last of them.
        most_s: how long to send.
    """

    site: Site
    spool: Path
    batches: int
    until_ms: int
    most_s: float


def against_postgres(match: Match) -> Run:
    """Return what the plain program does.

    Raises:
        DisagreementError: it did not store what was sent.
    """
    postgres = match.site.postgres
    pids = {} if postgres is None else {"database": postgres.process.pid}
    with _plain(match) as pid:
        done = _send(match, {"ingest": pid, **pids})
        _check("plain", match.site.count(TABLE), done.sent.batches * (ROWS - FOREIGN))
    return done


def against_redis(match: Match) -> Run:
    """Return what the plain program does with Redis as its store, which keeps nothing on disk.

    Raises:
        AbsentError: there is no Redis.
        DisagreementError: it did not store what was sent.
    """
    with _redis(match.site.folder) as (server_pid, socket), _plain(match, "--redis-socket", socket) as pid:
        done = _send(match, {"ingest": pid, "database": server_pid})
        keys = subprocess.run(["redis-cli", "-s", socket, "dbsize"], capture_output=True, text=True, check=True)
        _check("redis", int(keys.stdout.split()[-1]) - 1, done.sent.batches * CROWD)  # one is the table of places
    return done


def _send(match: Match, pids: dict[str, int]) -> Run:
    with Generator(match.site, match.spool) as load:
        return load.run(Order(0, match.batches, most_s=match.most_s), {**pids, "broker": match.site.broker.process.pid})


def _check(name: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise DisagreementError(f"{name} stored {found} of {wanted}")


@contextlib.contextmanager
def _plain(match: Match, *more: str) -> Iterator[int]:
    """Run the plain program while the context is open; give its id."""
    site = match.site
    config_file, log = site.folder / "plain.toml", site.folder / f"plain-{len(more)}.log"
    configuration.save(site.settings, config_file)
    command = [sys.executable, "-m", "bench.plain_ingest", "--config", str(config_file), *more]
    command += ["--tags", str(site.town.n_tags), "--detectors", str(site.town.n_detectors)]
    command += ["--until-ms", str(match.until_ms)]
    with program(command, log) as process:
        deadline_s = time.monotonic() + READY_S
        while READY not in log.read_text():
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise PipelineError(f"the plain program does not start: {log.read_text()[-500:]}")
            time.sleep(0.05)
        yield process.pid


@contextlib.contextmanager
def _redis(folder: Path) -> Iterator[tuple[int, str]]:
    """Run a Redis of its own while the context is open; give its id and its socket."""
    server = shutil.which("redis-server")
    if server is None or shutil.which("redis-cli") is None:
        raise AbsentError("redis", "make bench-peers (Debian: redis-server)")
    if importlib.util.find_spec("redis") is None:
        raise AbsentError("redis", "uv sync --group bench")
    socket = folder / "redis.sock"
    options = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no", "--dir", str(folder)]
    with program([server, *options], folder / "redis.log") as process:
        deadline_s = time.monotonic() + _START_S
        while not socket.exists():
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise AbsentError("redis", "redis-server did not start")
            time.sleep(0.02)
        yield process.pid, str(socket)
