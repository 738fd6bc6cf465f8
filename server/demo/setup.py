"""Bring the demonstration up: what is missing is made, what is there is used, parts start in order."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from server import config as configuration
from server import keys, schema
from server.config import HttpConfig, ServerConfig
from server.demo import camera, morning, tickets, town
from server.demo.options import DemoOptions
from server.demo.parts import FamilyPorts, TitledPart, server_parts, town_parts
from server.demo.screen import StepBar
from server.embedded.broker import free_port, is_free
from server.errors import ServerError
from server.registry import importer
from server.supervisor import Supervisor
from wire.clock import Clock

_MAIL_URL: Final = "mailto://127.0.0.1:{port}?from=mimamori@example.jp&to={{to}}&mode=insecure&format=text"
_WAVES: Final = (
    ("database", "broker"),
    ("gate",),
    ("ingest", "notify", "ledger", "clerk", "api", "family", "radio", "street"),
    ("edge", "phones"),
)
"""Parts that start side by side, each wave when the one before it is ready."""
_LEAD_S: Final = 3.0
"""The town's clock reaches its morning so many seconds after it was set: about when the radio starts."""


class PortError(ServerError):
    """Another program listens on the port of the web app.

    Attributes:
        port: the one asked for.
    """

    def __init__(self, port: int) -> None:
        super().__init__(
            f"ポート {port} は使われています。Port {port} is in use: give PORT=0 (--port 0) or another one"
        )
        self.port = port


class FamilyFileError(ServerError):
    """The note of where the families listen cannot be read, cut short most likely.

    Attributes:
        file: the note.
    """

    def __init__(self, file: Path) -> None:
        super().__init__(f"{file.name} が読めません。消してください。{file} cannot be read: delete it")
        self.file = file


@dataclass(frozen=True, slots=True)
class Prepared:
    """A town that is up.

    Attributes:
        town_time_file: where the town time is noted, for the next start.
    """

    settings: ServerConfig
    parts: tuple[TitledPart, ...]
    town_time_file: Path


def prepare(options: DemoOptions, supervisor: Supervisor, bar: StepBar, give_up: Callable[[], bool]) -> Prepared | None:
    """Set up and start everything; None when `give_up` said so meanwhile.

    Raises:
        ServerError: a step is impossible here; the message says which and why.
    """
    bar.step("前回の残りを片づける", "clearing what an earlier run left")
    supervisor.clear_leftovers()
    bar.step("設定と鍵", "configuration and keys")
    settings, ports = _settings(options)
    keys.make(settings)
    bar.step("街をつくる", "laying out the town")
    _clear_the_air(options)
    if not town.exists(options.town_dir):
        _wake(options, settings, ports)
    inside = server_parts(settings, options.config_file)
    outside = town_parts(options, ports)
    every = (*inside, *outside)
    for names in _WAVES:
        if "gate" in names:
            bar.step("台帳を読み込む", "migrations and registry")
            _fill(options, settings)
            settings = _wake(options, settings, ports)
            tickets.hand_out(settings, town.detector_dirs(options.town_dir)[0])
            if options.has_camera:
                camera.provide(settings)
        wave = [titled for titled in every if titled.part.name in names]
        for titled in wave:
            supervisor.start(titled.part)
        for titled in wave:
            bar.step(titled.name_ja, titled.name_en)
            if not supervisor.wait_ready(titled.part.name, give_up=give_up):
                return None
    if not all(
        supervisor.wait_ready(titled.part.name, give_up=give_up) for titled in every
    ):  # one may have ended since
        return None
    return Prepared(settings, every, _town_time_file(options))


def _settings(options: DemoOptions) -> tuple[ServerConfig, FamilyPorts]:
    """Return the configuration, written down with the ports of this state directory; those stay from run to run."""
    file = options.config_file
    kept = configuration.load(file) if file.exists() else configuration.parse({"state_dir": str(options.state_dir)})
    ports = _family_ports(options.state_dir / "family.json")
    if options.port and not is_free(options.port):
        raise PortError(options.port)
    http = HttpConfig(port=options.port or free_port())
    broker = replace(
        kept.broker,
        mqtt_port=_kept_or_free(kept.broker.mqtt_port),
        nats_port=_kept_or_free(kept.broker.nats_port),
    )
    ingest = replace(kept.ingest, metrics_port=_kept_or_free(kept.ingest.metrics_port))
    metrics_port, mail_url = _kept_or_free(kept.notify.metrics_port), _MAIL_URL.format(port=ports.smtp)
    notify = replace(kept.notify, metrics_port=metrics_port, mail_url=mail_url)
    gate = replace(kept.gate, metrics_port=_kept_or_free(kept.gate.metrics_port))
    ledger = replace(kept.ledger, metrics_port=_kept_or_free(kept.ledger.metrics_port))
    clerk = replace(kept.clerk, metrics_port=_kept_or_free(kept.clerk.metrics_port))
    settings = replace(
        kept, http=http, broker=broker, ingest=ingest, notify=notify, gate=gate, ledger=ledger, clerk=clerk
    )
    configuration.save(settings, file)
    return settings, ports


def _family_ports(file: Path) -> FamilyPorts:
    """Return where the families listen: push subscriptions hold the address, so it is kept while it can be."""
    try:
        kept = json.loads(file.read_text("utf-8")) if file.exists() else {}
        ports = FamilyPorts(*(_kept_or_free(int(kept.get(name, 0))) for name in ("http", "smtp")))
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise FamilyFileError(file) from error
    fresh = file.with_suffix(".new")
    with fresh.open("w", encoding="utf-8") as out:
        json.dump({"http": ports.http, "smtp": ports.smtp}, out)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(file)
    return ports


def _kept_or_free(port: int) -> int:
    """Return `port` unless it is 0 or someone else has taken it since."""
    return port if port and is_free(port) else free_port()


def _clear_the_air(options: DemoOptions) -> None:
    options.air_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    for socket in options.air_dir.glob("*.sock"):
        socket.unlink()


def _wake(options: DemoOptions, settings: ServerConfig, ports: FamilyPorts) -> ServerConfig:
    """Set every clock: to the next school-day morning, or to the one after all that was lived through."""
    wall_ms = time.time_ns() // 1_000_000
    lived_ms = morning.last_lived_ms(_town_time_file(options))
    start_ms = morning.next_school_morning(max(wall_ms, lived_ms or 0), settings.city.tz)
    clock = Clock(wall_ms + round(_LEAD_S * 1000), start_ms, options.speed)
    settings = replace(settings, clock=clock)
    town.make(options, settings, ports, keys.city_file(settings))
    configuration.save(settings, options.config_file)
    return settings


def _fill(options: DemoOptions, settings: ServerConfig) -> None:
    """Bring the schema up to date, and the registry in when the town is new."""
    schema.bring_up(settings)
    stamp = options.state_dir / "registry.sha256"
    digest = town.digest(options.town_dir)
    if not stamp.exists() or stamp.read_text("utf-8") != digest:
        importer.import_file(settings, options.town_dir / "town.json")
        stamp.write_text(digest, "utf-8")


def _town_time_file(options: DemoOptions) -> Path:
    return options.state_dir / "town-time.json"
