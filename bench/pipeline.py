"""The whole way of a sighting on this machine: broker, database and ingest as processes, and a city that sends."""

import asyncio
import contextlib
import dataclasses
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Final, Self

import psycopg

from bench import crowd
from bench.crowd import CITY, Town
from bench.spent import Spent
from bench.uplink import DRAIN_S, Order, Sent
from server import config as configuration
from server import keys, schema
from server.config import ServerConfig
from server.embedded.broker import Broker, free_port
from server.embedded.postgres import Postgres
from server.registry.importer import import_registry
from server.registry.kek import load as load_kek
from server.store.connection import connect
from wire.clock import Clock

READY_S: Final = 180.0
"""For a program to be ready: compiling kernels for the first time takes its time."""
STOP_S: Final = 15.0
ROOT: Final = Path(__file__).resolve().parent.parent
_TAGS_AT_ONCE: Final = 10_000
"""Of an import."""
_START_S: Final = 2.5
_SLACK_S: Final = 0.5


class PipelineError(Exception):
    """A program of the pipeline did not do what it should; its log says why."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one order did to all processes.

    Attributes:
        sent: by the load generator.
        cpu_s: by process.
        rss_mb: most memory of the one that ingests.
        forged: receipts that the city has not signed.
    """

    sent: Sent
    cpu_s: Mapping[str, float]
    rss_mb: float
    forged: int

    @property
    def rows(self) -> int:
        """Raw sightings in batches that have a receipt."""
        return self.sent.batches * crowd.ROWS

    @property
    def rows_per_s(self) -> float:
        """Raw sightings with a receipt in a second, from the first publish to the last receipt."""
        return self.rows / self.sent.took_s if self.sent.took_s else 0.0

    @property
    def cpu_s_per_million(self) -> dict[str, float]:
        """Processor seconds for a million raw sightings, by process."""
        return {name: spent / self.rows * 1e6 for name, spent in self.cpu_s.items()} if self.rows else {}


@dataclass(frozen=True, slots=True)
class Ingest:
    """An ingest process that is ready."""

    pid: int
    clock: Clock

    def wait_for(self, town_ms: int) -> None:
        """Wait until it is so late in the town."""
        left_s = self.clock.wall_s((town_ms - self.clock.now_ms()) / 1000)
        if left_s > 0:
            time.sleep(left_s)


@dataclass(slots=True)
class Site:
    """Database, broker and an imported town in a folder of its own. Use it in a `with`; nothing is left of it.

    Args:
        town: whose registry to import.
        dsn: of a PostgreSQL that runs, "" for the embedded one. There, databases are made and dropped again.
    """

    town: Town
    dsn: str = ""
    settings: ServerConfig = field(init=False)
    folder: Path = field(init=False)
    postgres: Postgres | None = field(init=False, default=None)
    broker: Broker = field(init=False)
    _start_s: float = field(init=False, default=_START_S)
    _stack: contextlib.ExitStack = field(init=False, default_factory=contextlib.ExitStack)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._open(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _open(self, stack: contextlib.ExitStack) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mimamori-bench-"))
        stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.folder.chmod(0o755)  # the account that PostgreSQL runs under must get through, see server/embedded/place
        plain = configuration.parse(
            {"state_dir": str(self.folder / "state"), "city": {"id": CITY}, "broker": {"tls": False}}
        )
        self.settings = configuration.with_ports(plain, free_port)
        self.settings.state_dir.mkdir(mode=0o755)
        if self.dsn:
            url = stack.enter_context(_database(self.dsn))
            self.settings = replace(self.settings, database=replace(self.settings.database, url=url))
        else:
            self.postgres = stack.enter_context(Postgres(self.settings.state_dir))
        self.broker = stack.enter_context(Broker(self.settings.state_dir, self.settings.broker))
        keys.make(self.settings)
        schema.bring_up(self.settings)
        asyncio.run(self._import())

    async def _import(self) -> None:
        conn = await connect(self.settings.dsn())
        try:
            for part in crowd.registries(self.town, tags_each=_TAGS_AT_ONCE):
                await import_registry(conn, part, load_kek(self.settings.keys_dir / keys.KEK))
        finally:
            await conn.close()

    @property
    def city_file(self) -> Path:
        """What detectors know of their city."""
        return keys.city_file(self.settings)

    def pids(self) -> dict[str, int]:
        """Return who works beside ingest and the load generator, as far as they run here."""
        found = {"broker": self.broker.process.pid}
        return found if self.postgres is None else {"database": self.postgres.process.pid, **found}

    @contextlib.contextmanager
    def ingest(self, *, town_ms: int, speed: float) -> Iterator[Ingest]:
        """Run the ingest process while the context is open, its town at `town_ms` when the context begins.

        The clock is told before the process starts. One that took longer than the last one is started once more.
        """
        while True:
            clock = Clock(time.time_ns() // 1_000_000 + round(self._start_s * 1000), town_ms, speed)
            config_file = self.folder / "mimamori.toml"
            configuration.save(replace(self.settings, clock=clock), config_file)
            command = [sys.executable, "-m", "server", "serve", "ingest", "--config", str(config_file)]
            began_s = time.monotonic()
            with program(command, self.folder / "ingest.log") as process:
                self._wait_for_ingest(process)
                took_s = time.monotonic() - began_s
                is_late, self._start_s = took_s > self._start_s + _SLACK_S, max(_START_S, took_s * 1.1)
                if is_late:
                    continue
                ingest = Ingest(process.pid, clock)
                ingest.wait_for(town_ms)
                yield ingest
                return

    def _wait_for_ingest(self, process: subprocess.Popen[bytes]) -> None:
        deadline_s = time.monotonic() + READY_S
        while not all(self.metrics().get(f"mimamori_ingest_{name}_up") == 1 for name in ("database", "broker")):
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise PipelineError(f"ingest does not start: {_last_words(self.folder / 'ingest.log')}")
            time.sleep(0.05)

    def metrics(self) -> dict[str, float]:
        """Return ingest's counters by name and labels as it writes them, none while it does not answer."""
        try:
            url = f"http://127.0.0.1:{self.settings.ingest.metrics_port}/metrics"
            with urllib.request.urlopen(url, timeout=5) as page:
                lines = page.read().decode().splitlines()
        except OSError:
            return {}
        pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name: float(value) for name, _, value in pairs}

    def wait_until_quiet(self, within_s: float = 20.0) -> None:
        """Return when ingest has worked off what was sent twice: no batch more for half a second."""
        ends_s, before = time.monotonic() + within_s, -1.0
        while time.monotonic() < ends_s:
            now = sum(value for name, value in self.metrics().items() if "_batches_total" in name)
            if now == before:
                return
            before = now
            time.sleep(0.5)

    def count(self, table: str) -> int:
        """Return the rows of a table."""
        with psycopg.connect(self.settings.dsn(), autocommit=True) as conn:
            row = conn.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
        return int(row[0]) if row else 0


class Generator:
    """A load generator in a process of its own, connected. Use it in a `with`."""

    def __init__(self, site: Site, spool: Path) -> None:
        self.spool = spool
        command = [sys.executable, "-m", "bench.uplink", "--spool", str(spool), "--url", site.broker.url]
        self._command = [*command, "--city-file", str(site.city_file)]
        self._log = site.folder / "uplink.log"
        self._stack = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._process = stack.enter_context(program(self._command, self._log, is_talking=True))
            self._read(READY_S)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, order: Order, pids: Mapping[str, int]) -> Run:
        """Send, and look at what it costs whom; the one that ingests is called ingest."""
        with Spent(pids, "ingest") as spent:
            self._write(dataclasses.asdict(order))
            sent = Sent(**self._read(order.most_s + DRAIN_S + 30))
        bad = self._read(READY_S)["forged"]
        return Run(sent, {**spent.cpu_s, "load": sent.cpu_s}, spent.most_bytes / 1e6, bad)

    def _write(self, table: dict[str, Any]) -> None:
        self._pipe(self._process.stdin).write(json.dumps(table).encode() + b"\n")
        self._pipe(self._process.stdin).flush()

    def _read(self, within_s: float) -> dict[str, Any]:
        out = self._pipe(self._process.stdout)
        with selectors.DefaultSelector() as selector:
            selector.register(out, selectors.EVENT_READ)
            line = out.readline() if selector.select(within_s) else b""
        if not line:
            raise PipelineError(f"the load generator does not answer: {_last_words(self._log)}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _pipe(self, pipe: IO[bytes] | None) -> IO[bytes]:
        if pipe is None:
            raise PipelineError("the load generator has no pipes")
        return pipe


@contextlib.contextmanager
def program(command: list[str], log: Path, *, is_talking: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program while the context is open; its words go to a file, but for stdout of one that is talked to."""
    pipe = subprocess.PIPE if is_talking else subprocess.DEVNULL
    with log.open("ab") as out:
        process = subprocess.Popen(
            command,
            stdin=pipe,
            stdout=subprocess.PIPE if is_talking else out,
            stderr=out,
            bufsize=0,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            start_new_session=True,  # a Ctrl-C in the terminal is for us to pass on
        )
    try:
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Stop a program; one that does not want to is killed."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


@contextlib.contextmanager
def _database(dsn: str) -> Iterator[str]:
    """Make a database and one for its keys on a server that runs, and drop them at the end."""
    name = f"mimamori_bench_{os.getpid()}"
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
        try:
            yield psycopg.conninfo.make_conninfo(dsn, dbname=name)
        finally:
            for made in (name, f"{name}_keys"):
                admin.execute(f"DROP DATABASE IF EXISTS {made} WITH (FORCE)".encode())


def _last_words(log: Path) -> str:
    lines = log.read_text("utf-8", "replace").splitlines() if log.exists() else []
    return " | ".join(lines[-3:]) or "it said nothing"
