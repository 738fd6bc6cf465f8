"""The configuration of one gateway: one TOML file, read once, unknown keys refused."""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, TypeVar, get_type_hints
from urllib.parse import SplitResult, urlsplit

from edge.errors import ConfigError
from wire.address import names_host
from wire.clock import Clock
from wire.errors import WireError
from wire.formats import Formats
from wire.topics import check_id

ENVIRONMENT: Final = {"MIMAMORI_EDGE_BROKER_URL": ("broker", "url"), "MIMAMORI_EDGE_SCAN_SOURCE": ("scan", "source")}
"""Variables that win over the file, for containers."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """Where the secrets lie.

    Attributes:
        signing_key_file: PEM, P-256 private key of this detector (`mimamori-edge keygen`).
        city_file: city.json, the city's public keys.
    """

    signing_key_file: Path
    city_file: Path


@dataclass(frozen=True, slots=True)
class BrokerConfig:
    """The way to the city.

    Attributes:
        url: mqtt://host:port or mqtts://host:port.
        ca_file: PEM of the broker's authority; "" = the system's.
        certificate_file: PEM, this detector's certificate, with `certificate_key_file`; "" = none.
        certificate_key_file: PEM, key of the certificate.
        username: "" = none; the password stands in `password_file`.
        password_file: file with the password on its first line.
        heartbeat_s: wall seconds between heartbeats.
        receipt_timeout_s: wall seconds until a batch without a receipt is sent again.
    """

    url: str
    ca_file: str = ""
    certificate_file: str = ""
    certificate_key_file: str = ""
    username: str = ""
    password_file: str = ""
    heartbeat_s: float = 30.0
    receipt_timeout_s: float = 10.0

    @property
    def parts(self) -> SplitResult:
        """The URL taken apart."""
        return urlsplit(self.url)


@dataclass(frozen=True, slots=True)
class ScanConfig:
    """What to listen to.

    Attributes:
        source: "bluez", or "unix:" and the path of a radio socket.
        adapter: "hci0"; "" = the first that is powered.
        formats: see wire/formats.py.
        window_s: one row per tag and so many town seconds, 1..600.
        max_rows: most ids and rows held in memory.
    """

    source: str = "bluez"
    adapter: str = ""
    formats: tuple[str, ...] = ("eid",)
    window_s: float = 10.0
    max_rows: int = 10_000

    @property
    def socket_path(self) -> str | None:
        """The radio socket, None for BlueZ."""
        return self.source.removeprefix("unix:") if self.source.startswith("unix:") else None


@dataclass(frozen=True, slots=True)
class PositionConfig:
    """Where the detector is; nothing = as the city's registry says.

    Attributes:
        lat_deg: WGS 84, with `lon_deg`: a detector that stands still.
        lon_deg: WGS 84.
        accuracy_m: radius of 68 % confidence.
        gpsd: "unix:/path" or "tcp://host:port": a detector that moves.
        device: gpsd's device; "" = the detector's id, as the simulated town calls it; "*" = any.
        max_age_s: a position may be so many town seconds away from the sighting it is given to.
    """

    lat_deg: float | None = None
    lon_deg: float | None = None
    accuracy_m: float = 5.0
    gpsd: str = ""
    device: str = ""
    max_age_s: float = 60.0


@dataclass(frozen=True, slots=True)
class OutboxConfig:
    """The store-and-forward queue.

    Attributes:
        max_bytes: most octets kept on disk; 72 h of a busy gateway are about 60 MB.
    """

    max_bytes: int = 256_000_000


@dataclass(frozen=True, slots=True)
class EdgeConfig:
    """One gateway.

    Attributes:
        city: id of the city.
        detector: id of this detector.
        state_dir: where the outbox lies; made if missing.
    """

    city: str
    detector: str
    state_dir: Path
    keys: KeyFiles
    broker: BrokerConfig
    scan: ScanConfig = field(default_factory=ScanConfig)
    position: PositionConfig = field(default_factory=PositionConfig)
    outbox: OutboxConfig = field(default_factory=OutboxConfig)
    clock: Clock = field(default_factory=Clock)

    @property
    def formats(self) -> Formats:
        """The enrolled formats, parsed."""
        return Formats.parse(self.scan.formats)


def load(path: Path, environment: Mapping[str, str]) -> EdgeConfig:
    """Return the configuration in `path`.

    Raises:
        ConfigError: the file is missing or malformed, or a key is unknown, missing or out of range: the message says.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(path, "", f"cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(path, "", f"is not TOML: {error}") from error
    for variable, (section, key) in ENVIRONMENT.items():
        if variable in environment and isinstance(table.setdefault(section, {}), dict):
            table[section][key] = environment[variable]
    return parse(table, path)


def parse(table: Mapping[str, Any], path: Path) -> EdgeConfig:
    """Return the configuration in a TOML table read from `path`.

    Raises:
        ConfigError: as `load`.
    """
    try:
        clock = Clock.from_table(table["clock"]) if "clock" in table else Clock()
    except (WireError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(path, "clock", str(error)) from error
    config = _read(EdgeConfig, {**table, "clock": clock}, path, "")
    _check(config, path)
    return config


def check_distinct(configs: Sequence[EdgeConfig], paths: Sequence[Path]) -> None:
    """Refuse two gateways of one process that would be one.

    Raises:
        ConfigError: a detector or a state directory is used twice.
    """
    for name in ("detector", "state_dir"):
        seen: dict[object, Path] = {}
        for item, path in zip(configs, paths, strict=True):
            value = getattr(item, name)
            if value in seen:
                raise ConfigError(path, name, f"is the same as in {seen[value]}")
            seen[value] = path


def _read(cls: type[_T], table: object, path: Path, where: str) -> _T:
    if not isinstance(table, Mapping):
        raise ConfigError(path, where, "is no table")
    known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
    for key in table:
        if key not in known:
            raise ConfigError(path, f"{where}{key}", f"is unknown; known here: {', '.join(sorted(known))}")
    hints = get_type_hints(cls)
    for name, spec in known.items():
        if name not in table and spec.default is MISSING and spec.default_factory is MISSING:
            raise ConfigError(path, f"{where}{name}", "is missing")
    return cls(**{name: _value(hints[name], value, path, f"{where}{name}") for name, value in table.items()})


def _value(kind: Any, value: object, path: Path, where: str) -> object:  # noqa: ANN401 -- a type as get_type_hints gives it
    if kind in (KeyFiles, BrokerConfig, ScanConfig, PositionConfig, OutboxConfig):
        return _read(kind, value, path, f"{where}.")
    if kind is Path and isinstance(value, str):
        return Path(value) if Path(value).is_absolute() else path.parent / value
    if kind in (float, float | None) and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind == tuple[str, ...] and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    if kind in (str, int, Clock) and isinstance(value, kind) and not isinstance(value, bool):
        return value
    raise ConfigError(path, where, f"has the wrong type: {type(value).__name__}")


def _check(config: EdgeConfig, path: Path) -> None:
    checks: dict[str, Callable[[], object]] = {
        "city": lambda: check_id(config.city),
        "detector": lambda: check_id(config.detector),
        "scan.formats": lambda: config.formats,
    }
    for name, check in checks.items():
        try:
            check()
        except WireError as error:
            raise ConfigError(path, name, f"is not valid: {error}") from error
    if not names_host(config.broker.url, "mqtt", "mqtts"):
        raise ConfigError(path, "broker.url", "must be mqtt://host:port or mqtts://host:port")
    if config.scan.source != "bluez" and not config.scan.socket_path:
        raise ConfigError(path, "scan.source", 'must be "bluez" or "unix:" and a path')
    _check_ranges(config, path)
    _check_position(config.position, path)


def _check_ranges(config: EdgeConfig, path: Path) -> None:
    ranges = (
        ("scan.window_s", config.scan.window_s, 1, 600),
        ("scan.max_rows", config.scan.max_rows, 10, 10_000),
        ("broker.heartbeat_s", config.broker.heartbeat_s, 0.1, 3600),
        ("broker.receipt_timeout_s", config.broker.receipt_timeout_s, 0.1, 600),
        ("outbox.max_bytes", config.outbox.max_bytes, 10_000, 1 << 40),
        ("position.accuracy_m", config.position.accuracy_m, 0, 10_000),
        ("position.max_age_s", config.position.max_age_s, 1, 3600),
    )
    for name, value, least, most in ranges:
        if not least <= value <= most:
            raise ConfigError(path, name, f"must be {least} to {most}")


def _check_position(position: PositionConfig, path: Path) -> None:
    lat_deg, lon_deg = position.lat_deg, position.lon_deg
    if (lat_deg is None) != (lon_deg is None):
        raise ConfigError(path, "position", "needs both lat_deg and lon_deg")
    if lat_deg is not None and position.gpsd:
        raise ConfigError(path, "position", "is either fixed or from gpsd, not both")
    if lat_deg is not None and not -90 <= lat_deg <= 90:
        raise ConfigError(path, "position.lat_deg", "must be -90 to 90")
    if lon_deg is not None and not -180 <= lon_deg <= 180:
        raise ConfigError(path, "position.lon_deg", "must be -180 to 180")
    is_address = position.gpsd.startswith("unix:/") or names_host(position.gpsd, "tcp", needs_port=True)
    if position.gpsd and not is_address:
        raise ConfigError(path, "position.gpsd", 'must be "unix:/path" or "tcp://host:port"')
