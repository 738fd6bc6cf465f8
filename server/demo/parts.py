"""Which programs make up a server, and which a town around it; how each is started and when it counts as ready."""

import contextlib
import http.client
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from server.config import ServerConfig
from server.demo.options import DemoOptions
from server.embedded.postgres import answers
from server.errors import ConfigError
from server.supervisor import Part

STREET: Final = "street.sock"
"""Where in the town's air the camera sends its pictures."""
SIZE: Final = "640x360"
FPS: Final = 5
"""Small and few pictures: the town has two processors for everything."""


@dataclass(frozen=True, slots=True)
class TitledPart:
    """A part and what people call it."""

    part: Part
    name_ja: str
    name_en: str


@dataclass(frozen=True, slots=True)
class FamilyPorts:
    """Where the simulated families listen on loopback: their push service and their mail server."""

    http: int
    smtp: int


def server_parts(settings: ServerConfig, config_file: Path) -> tuple[TitledPart, ...]:
    """Return the server's programs in the order in which they start; what is configured by URL is not ours to start.

    Raises:
        ConfigError: a program has no port at which one could ask whether it lives.
    """
    wanted = [
        ("database", "データベース", "database", lambda: answers(settings.dsn()), 60.0),
        ("broker", "ブローカー", "broker", _listens(settings.mqtt_url()), 20.0),
        ("gate", "門番", "gate", _counts_on("gate", settings.gate.metrics_port), 20.0),
        ("ingest", "取り込み", "ingest", _counts_on("ingest", settings.ingest.metrics_port), 20.0),
        ("notify", "お知らせ", "notices", _counts_on("notify", settings.notify.metrics_port), 20.0),
        ("ledger", "監査記録", "audit log", _counts_on("ledger", settings.ledger.metrics_port), 20.0),
        ("clerk", "映像提供の事務", "requests for footage", _counts_on("clerk", settings.clerk.metrics_port), 20.0),
        ("api", "アプリとAPI", "app and API", _is_healthy(settings.http.host, settings.http.port), 20.0),
    ]
    foreign = {"database": settings.database.url, "broker": settings.broker.url}
    return tuple(
        TitledPart(Part(name, _module("server", "serve", name, "--config", str(config_file)), ready, stop_s), ja, en)
        for name, ja, en, ready, stop_s in wanted
        if not foreign.get(name)
    )


def town_parts(options: DemoOptions, ports: FamilyPorts) -> tuple[TitledPart, ...]:
    """Return the programs of the simulated town in the order in which they start."""
    town, air = options.town_dir, options.air_dir
    family = _module("firmware_sim", "family", "--dir", str(town), "--http-port", str(ports.http))
    family += ("--smtp-port", str(ports.smtp), "--out", str(options.state_dir / "family.jsonl"))
    radio = _module("firmware_sim", "run", "--dir", str(town), "--radio-socket", str(air / "radio.sock"))
    radio += ("--gpsd-socket", str(air / "gpsd.sock"), "--truth", str(options.state_dir / "truth.json"))
    street = _module("firmware_sim", "street", "--serve", f"unix:{air / STREET}", "--size", SIZE, "--fps", str(FPS))
    edge = _module("edge", "run", "--config-dir", str(town / "gateways"))
    phones = _module("mobile_detector", "run", "--config-dir", str(town / "phones"))
    camera = TitledPart(Part("street", street, (air / STREET).is_socket), "街角のカメラ", "the street's camera")
    return (
        TitledPart(Part("family", family, _listens(f"tcp://127.0.0.1:{ports.http}")), "家族の電話", "families' phones"),
        TitledPart(Part("radio", radio, (air / "radio.sock").is_socket), "街の電波", "the town's radio"),
        *((camera,) if options.has_camera else ()),
        TitledPart(Part("edge", edge), "見守り機と車", "gateways and cars"),
        TitledPart(Part("phones", phones), "協力者の電話", "volunteers' phones"),
    )


def _module(name: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", name, *arguments)


def _counts_on(program: str, metrics_port: int) -> Callable[[], bool]:
    if not metrics_port:
        raise ConfigError(
            f"{program}.metrics_port is 0, so nobody can ask how it is: run `mimamori init`, it chooses one"
        )
    return _listens(f"tcp://127.0.0.1:{metrics_port}")


def _listens(url: str) -> Callable[[], bool]:
    parts = urlsplit(url)

    def probe() -> bool:
        with contextlib.suppress(OSError), socket.create_connection((parts.hostname, parts.port), timeout=1):
            return True
        return False

    return probe


def _is_healthy(host: str, port: int) -> Callable[[], bool]:
    def probe() -> bool:
        connection = http.client.HTTPConnection(host, port, timeout=2)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return probe
