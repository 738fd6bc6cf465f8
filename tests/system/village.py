"""A village: a few detectors of the simulated town and all programs of the server, each a process to be killed.

The system tests use it, and the soak.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import tomllib
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
import psycopg

from server import config as configuration
from server import keys, schema
from server.config import BrokerConfig, HttpConfig, ServerConfig
from server.demo import camera, tally, tickets, town
from server.demo.options import DemoOptions
from server.demo.parts import FamilyPorts, server_parts, town_parts
from server.embedded.broker import free_port
from server.embedded.postgres import Postgres
from server.registry import importer
from server.supervisor import Part, Supervisor
from tests.system import mosquitto
from wire.clock import Clock

MOSQUITTO = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")
MORNING_MS = 1_795_473_600_000  # 2026-11-24 07:40 in Tokyo, a Tuesday
GATEWAYS = ("gw-001", "gw-002", "gw-003", "gw-010", "gw-020", "gw-030", "car-1")
PHONES = ("phone-01", "phone-02", "phone-03", "phone-04")
_COUNTS = "SELECT detector_id, tag_id, sum(count)::int FROM sighting_by_name GROUP BY 1, 2"
# The schema holds that no row is there twice. So this finds what was told again with another time: an arrival after an
# arrival, a departure after a departure, and a call for help while the button was still held.
_TWICE = """
WITH told AS (
    SELECT kind, at,
           lag(kind) OVER (PARTITION BY ward_id, place_id ORDER BY id) AS kind_before,
           lag(at) OVER (PARTITION BY ward_id, place_id ORDER BY id) AS before
    FROM event
)
SELECT count(*) FROM told WHERE kind = kind_before AND (kind <> 'sos' OR at - before < interval '10 minutes')
"""


class StuckError(Exception):
    """Something that was waited for has not come."""


@dataclass
class Village:
    """Everything runs once `start` returned. `settings.dsn()` reads what was stored."""

    options: DemoOptions
    broker_name: str
    ports: FamilyPorts = field(default_factory=lambda: FamilyPorts(free_port(), free_port()))
    edge_log_from: int = 0
    settings: ServerConfig = field(init=False)
    supervisor: Supervisor = field(init=False)

    def __post_init__(self) -> None:
        state_dir = self.options.state_dir
        state_dir.mkdir(mode=0o755)
        self.supervisor = Supervisor(self.options.log_dir, state_dir / "children.json", stable_s=0.5)
        mqtt_port = free_port()
        broker = BrokerConfig(mqtt_port=mqtt_port, nats_port=free_port())
        if self.broker_name == "mosquitto":
            broker = BrokerConfig(url=f"mqtts://127.0.0.1:{mqtt_port}")
        settings = configuration.parse({"state_dir": str(state_dir)})
        settings = replace(settings, broker=broker, http=HttpConfig(port=free_port()))
        self.settings = configuration.with_ports(settings, free_port)

    @property
    def _mosquitto_file(self) -> Path:
        return self.options.state_dir / "mosquitto.conf"

    @property
    def truth_file(self) -> Path:
        return self.options.state_dir / "truth.json"

    def start(self) -> None:
        clock = Clock(time.time_ns() // 1_000_000 + 10_000, MORNING_MS, self.options.speed)
        self.settings = replace(self.settings, clock=clock)
        keys.make(self.settings)
        if self.broker_name == "mosquitto":
            port = int(self.settings.broker.url.rpartition(":")[2])
            mosquitto.configure(self.options.state_dir, self.settings.keys_dir, port)
        town.make(self.options, self.settings, self.ports, keys.city_file(self.settings))
        self._keep_few()
        self.options.air_dir.mkdir(mode=0o700, exist_ok=True)
        with Postgres(self.settings.state_dir):
            schema.bring_up(self.settings)
            importer.import_file(self.settings, self.options.town_dir / "town.json")
            tickets.hand_out(self.settings, town.detector_dirs(self.options.town_dir)[0])
            if self.options.has_camera:
                camera.provide(self.settings)
        configuration.save(self.settings, self.options.config_file)
        for part in self.parts():
            self.supervisor.start(part)
            self.wait_ready(part.name)

    def parts(self) -> tuple[Part, ...]:
        every = [*server_parts(self.settings, self.options.config_file), *town_parts(self.options, self.ports)]
        parts = [titled.part for titled in every]
        if self.broker_name == "mosquitto":
            port = int(self.settings.broker.url.rpartition(":")[2])
            command = (str(MOSQUITTO), "-c", str(self._mosquitto_file))
            parts.insert(1, Part("broker", command, ready=lambda: _listens(port)))
        return tuple(replace(part, ready=self._all_listen) if part.name == "edge" else part for part in parts)

    @property
    def _edge_log(self) -> Path:
        return self.options.log_dir / "edge.log"

    def _all_listen(self) -> bool:
        """Whether every gateway has heard its radio again since the last kill: only then does what it sends arrive."""
        is_begun_anew = self._edge_log.stat().st_size < self.edge_log_from
        with self._edge_log.open("rb") as log:
            log.seek(0 if is_begun_anew else self.edge_log_from)
            return log.read().count(b'"event": "scan.started"') >= len(GATEWAYS)

    def wait_ready(self, name: str, within_s: float = 90.0) -> None:
        ends_s = time.monotonic() + within_s
        if not self.supervisor.wait_ready(name, give_up=lambda: time.monotonic() > ends_s):
            raise StuckError(f"{name} is not ready within {within_s:.0f} s")

    def pause(self, seconds: float) -> None:
        """Let time pass while the supervisor looks after its parts."""
        ends_s = time.monotonic() + seconds
        while time.monotonic() < ends_s:
            self.supervisor.tick()
            time.sleep(0.05)

    def kill(self, name: str) -> None:
        """Kill -9 the program itself: PostgreSQL's postmaster and nats-server are children of their launchers."""
        self.wait_ready(name)
        process = psutil.Process(self.supervisor.pids()[name])
        if name == "edge":
            self.edge_log_from = self._edge_log.stat().st_size
        is_launched = name == "database" or (name == "broker" and self.broker_name == "nats")
        os.kill((process.children() or [process])[0].pid if is_launched else process.pid, signal.SIGKILL)
        self.until(lambda: self.supervisor.pids().get(name) != process.pid)

    def deliver_all(self, within_s: float = 300.0) -> None:
        """Silence the radio, then let the detectors deliver all that they hold."""
        for name in self.supervisor.states():
            self.wait_ready(name)
        self.supervisor.stop("radio")
        self.supervisor.stop("edge", "phones")
        ends_s = time.monotonic() + within_s
        parts = [part for part in self.parts() if part.name in {"edge", "phones"}]
        while tally.read_outboxes(town.detector_dirs(self.options.town_dir)).pending:
            if time.monotonic() > ends_s:
                raise StuckError("detectors still hold batches without a receipt")
            for part in parts:
                self.supervisor.start(part)
            self.pause(4)
            self.supervisor.stop("edge", "phones")

    def metric(self, port: int, name: str) -> float:
        """Return the sum of a counter or gauge over its labels; `name` may end in a label set."""
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
            lines = page.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))

    def ingest_metric(self, name: str) -> float:
        return self.metric(self.settings.ingest.metrics_port, f"mimamori_ingest_{name}")

    def until(self, is_so: Callable[[], bool], within_s: float = 120.0) -> None:
        """Wait until something is so, while the supervisor looks after its parts."""
        ends_s = time.monotonic() + within_s
        while not is_so():
            if time.monotonic() > ends_s:
                raise StuckError(f"not so within {within_s:.0f} s")
            self.pause(0.1)

    def truth(self) -> dict[tuple[str, str], int]:
        """Packets that left the radio, by detector and tag."""
        table: dict[str, Any] = json.loads(self.truth_file.read_text())
        return {
            (detector, tag): count for detector, row in table["detectors"].items() for tag, count in row["tags"].items()
        }

    def stored(self) -> dict[tuple[str, str], int]:
        """Packets in the store, by detector and tag."""
        with psycopg.connect(self.settings.dsn()) as connection:
            return {(str(d), str(t)): int(n) for d, t, n in connection.execute(_COUNTS)}

    def wrong(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Where store and truth differ: packets that left the radio, packets in the store, by detector and tag."""
        truth, stored = self.truth(), self.stored()
        pairs = {key: (truth.get(key, 0), stored.get(key, 0)) for key in truth.keys() | stored.keys()}
        return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}

    def said_twice(self) -> int:
        """Events that were told again."""
        with psycopg.connect(self.settings.dsn()) as connection:
            return int(connection.execute(_TWICE).fetchall()[0][0])

    def log_events(self, name: str) -> list[dict[str, Any]]:
        """What a part logged."""
        lines = (self.options.log_dir / f"{name}.log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def _keep_few(self) -> None:
        for folder, kept in zip(town.detector_dirs(self.options.town_dir), (GATEWAYS, PHONES), strict=True):
            for file in folder.glob("*.toml"):
                if tomllib.loads(file.read_text())["detector"] not in kept:
                    file.unlink()


@contextlib.contextmanager
def founded(village: Village, disks_mb: Mapping[str, int] | None = None) -> Iterator[Village]:
    """Let a village live for the length of a `with`; its state stays.

    `disks_mb` puts folders of its state on small disks, which takes root.
    """
    with contextlib.ExitStack() as stack:
        for path, size_mb in (disks_mb or {}).items():
            stack.enter_context(_small_disk(village.options.state_dir / path, size_mb))
        try:
            village.start()
            yield village
        finally:
            village.supervisor.stop_all()


@contextlib.contextmanager
def _small_disk(folder: Path, size_mb: int) -> Iterator[None]:
    folder.mkdir(mode=0o755, parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_mb}m,mode=1777", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
