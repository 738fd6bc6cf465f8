"""The configuration of one volunteer's detector: one TOML file, read once, unknown keys refused."""

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, TypeVar, get_type_hints
from urllib.parse import SplitResult, urlsplit

from mobile_detector.duty import Cycle, DutyPlan
from mobile_detector.errors import ConfigError
from wire.address import names_host
from wire.clock import Clock
from wire.errors import WireError
from wire.formats import Formats
from wire.topics import check_id

ENVIRONMENT: Final = {"MIMAMORI_DETECTOR_SCAN_SOURCE": ("scan", "source")}
"""Variables that win over the file, for containers."""

_Section = TypeVar("_Section")


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """Where the secrets lie.

    Attributes:
        signing_key_file: PEM, P-256 private key of this detector.
        city_file: city.json, the city's public keys.
    """

    signing_key_file: Path
    city_file: Path


@dataclass(frozen=True, slots=True)
class BrokerConfig:
    """The way to the city over MQTT.

    Attributes:
        url: mqtt://host:port or mqtts://host:port; "" = batches are uploaded over HTTPS instead.
        ca_file: PEM of the broker's authority; "" = the system's.
        heartbeat_s: wall seconds between heartbeats.
    """

    url: str = ""
    ca_file: str = ""
    heartbeat_s: float = 60.0

    @property
    def parts(self) -> SplitResult:
        """The URL taken apart."""
        return urlsplit(self.url)


@dataclass(frozen=True, slots=True)
class UploadConfig:
    """The way to the city over HTTPS, for phones whose system kills long connections.

    Attributes:
        url: where to POST batches, https: (http: on loopback only); "" = MQTT is used.
        timeout_s: wall seconds to wait for the receipt in the answer.
    """

    url: str = ""
    timeout_s: float = 15.0


@dataclass(frozen=True, slots=True)
class ScanConfig:
    """What to listen to.

    Attributes:
        source: "bluez" (bleak's back end of this system), or "unix:" and the path of a radio socket.
        adapter: "hci0"; "" = the first that is powered.
        formats: see wire/formats.py.
        window_s: one row per tag and so many town seconds, 1..600.
    """

    source: str = "bluez"
    adapter: str = ""
    formats: tuple[str, ...] = ("eid",)
    window_s: float = 10.0

    @property
    def socket_path(self) -> str | None:
        """The radio socket, None for bleak."""
        return self.source.removeprefix("unix:") if self.source.startswith("unix:") else None


@dataclass(frozen=True, slots=True)
class PositionConfig:
    """Where the phone is; without a position nothing is recorded.

    Attributes:
        lat_deg: WGS 84, with `lon_deg`: a phone that stays where it is.
        lon_deg: WGS 84.
        accuracy_m: radius of 68 % confidence.
        gpsd: "unix:/path" or "tcp://host:port".
        max_age_s: a position older than this many town seconds is none.
    """

    lat_deg: float | None = None
    lon_deg: float | None = None
    accuracy_m: float = 10.0
    gpsd: str = ""
    max_age_s: float = 30.0


@dataclass(frozen=True, slots=True)
class DutyConfig:
    """How much to scan, town seconds; see mobile_detector/duty.py.

    Attributes:
        scan_s: receiver open, per cycle.
        rest_cycle_s: length of a cycle while the phone stands still.
        moving_cycle_s: length of a cycle while it moves.
        alert_s: scan without a pause for so long after a tag in haste was heard.
    """

    scan_s: float = 2.0
    rest_cycle_s: float = 20.0
    moving_cycle_s: float = 10.0
    alert_s: float = 30.0

    def plan(self) -> DutyPlan:
        """Return the plan these figures make."""
        rest, moving = Cycle(self.scan_s, self.rest_cycle_s), Cycle(self.scan_s, self.moving_cycle_s)
        return DutyPlan(rest=rest, moving=moving, alert_s=self.alert_s)


@dataclass(frozen=True, slots=True)
class OutboxConfig:
    """The store-and-forward queue.

    Attributes:
        max_bytes: most octets of sealed batches kept on the phone.
    """

    max_bytes: int = 32_000_000


@dataclass(frozen=True, slots=True)
class DetectorConfig:
    """One volunteer's detector.

    Attributes:
        city: id of the city.
        detector: id of this detector.
        state_dir: where the outbox, the zones and the counters lie; made if missing.
    """

    city: str
    detector: str
    state_dir: Path
    keys: KeyFiles
    broker: BrokerConfig = field(default_factory=BrokerConfig)
    upload: UploadConfig = field(default_factory=UploadConfig)
    scan: ScanConfig = field(default_factory=ScanConfig)
    position: PositionConfig = field(default_factory=PositionConfig)
    duty: DutyConfig = field(default_factory=DutyConfig)
    outbox: OutboxConfig = field(default_factory=OutboxConfig)
    clock: Clock = field(default_factory=Clock)

    @property
    def formats(self) -> Formats:
        """The enrolled formats, parsed."""
        return Formats.parse(self.scan.formats)

    @property
    def outbox_file(self) -> Path:
        """Sealed batches on their way."""
        return self.state_dir / "outbox.db"

    @property
    def zones_file(self) -> Path:
        """The no-report zones; read by this program alone."""
        return self.state_dir / "zones.json"

    @property
    def usage_file(self) -> Path:
        """How long the receiver was open."""
        return self.state_dir / "usage.json"


def load(path: Path, environment: Mapping[str, str]) -> DetectorConfig:
    """Return the configuration in `path`.

    Raises:
        ConfigError: the file is missing or malformed, or a key is unknown, missing or out of range; it says which.
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


def parse(table: Mapping[str, Any], path: Path) -> DetectorConfig:
    """Return the configuration in a TOML table read from `path`.

    Raises:
        ConfigError: as `load`.
    """
    try:
        clock = Clock.from_table(table["clock"]) if "clock" in table else Clock()
    except (WireError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(path, "clock", str(error)) from error
    config = _read(DetectorConfig, {**table, "clock": clock}, path, "")
    _check_names(config, path)
    _check_ways(config, path)
    _check_ranges(config, path)
    return config


def _read(cls: type[_Section], table: object, path: Path, where: str) -> _Section:
    if not isinstance(table, Mapping):
        raise ConfigError(path, where, "is no table")
    known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]  # always one of the dataclasses above
    for key in table:
        if key not in known:
            raise ConfigError(path, f"{where}{key}", f"is unknown; known here: {', '.join(sorted(known))}")
    hints = get_type_hints(cls)
    for name, spec in known.items():
        if name not in table and spec.default is MISSING and spec.default_factory is MISSING:
            raise ConfigError(path, f"{where}{name}", "is missing")
    return cls(**{name: _value(hints[name], value, path, f"{where}{name}") for name, value in table.items()})


def _value(kind: Any, value: object, path: Path, where: str) -> object:  # noqa: ANN401 -- a type as get_type_hints gives it
    if kind in (KeyFiles, BrokerConfig, UploadConfig, ScanConfig, PositionConfig, DutyConfig, OutboxConfig):
        return _read(kind, value, path, f"{where}.")
    if kind is Path and isinstance(value, str):
        return Path(value) if Path(value).is_absolute() else path.absolute().parent / value
    if kind in (float, float | None) and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind == tuple[str, ...] and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    if kind in (str, int, Clock) and isinstance(value, kind) and not isinstance(value, bool):
        return value
    raise ConfigError(path, where, f"has the wrong type: {type(value).__name__}")


def _check_names(config: DetectorConfig, path: Path) -> None:
    for name in ("city", "detector"):
        try:
            check_id(getattr(config, name))
        except WireError as error:
            raise ConfigError(path, name, "must be 1 to 64 letters, digits, - or _") from error
    try:
        _ = config.formats
    except WireError as error:
        raise ConfigError(path, "scan.formats", str(error)) from error
    if config.scan.source != "bluez" and not config.scan.socket_path:
        raise ConfigError(path, "scan.source", 'must be "bluez" or "unix:" and a path')


def _check_ways(config: DetectorConfig, path: Path) -> None:
    if bool(config.broker.url) == bool(config.upload.url):
        raise ConfigError(path, "broker.url", "or upload.url: one of them is needed, and only one")
    if config.broker.url and not names_host(config.broker.url, "mqtt", "mqtts"):
        raise ConfigError(path, "broker.url", "must be mqtt://host:port or mqtts://host:port")
    url = config.upload.url
    is_local = names_host(url, "http") and urlsplit(url).hostname in ("127.0.0.1", "::1", "localhost")
    if url and not is_local and not names_host(url, "https"):
        raise ConfigError(path, "upload.url", "must be https://host/path; http: on loopback only")


def _check_ranges(config: DetectorConfig, path: Path) -> None:
    position, duty = config.position, config.duty
    ranges = (
        ("scan.window_s", config.scan.window_s, 1, 600),
        ("broker.heartbeat_s", config.broker.heartbeat_s, 0.1, 3600),
        ("upload.timeout_s", config.upload.timeout_s, 0.1, 600),
        ("outbox.max_bytes", config.outbox.max_bytes, 10_000, 1 << 40),
        ("position.accuracy_m", position.accuracy_m, 0, 10_000),
        ("position.max_age_s", position.max_age_s, 1, 3600),
        ("position.lat_deg", position.lat_deg or 0, -90, 90),
        ("position.lon_deg", position.lon_deg or 0, -180, 180),
        ("duty.scan_s", duty.scan_s, 0.1, min(duty.rest_cycle_s, duty.moving_cycle_s)),
        ("duty.rest_cycle_s", duty.rest_cycle_s, 1, 600),
        ("duty.moving_cycle_s", duty.moving_cycle_s, 1, 600),
        ("duty.alert_s", duty.alert_s, 0, 600),
    )
    for name, value, least, most in ranges:
        if not least <= value <= most:
            raise ConfigError(path, name, f"must be {least} to {most}")
    if (position.lat_deg is None) != (position.lon_deg is None):
        raise ConfigError(path, "position", "needs both lat_deg and lon_deg")
    if (position.lat_deg is None) == (not position.gpsd):
        raise ConfigError(path, "position", "is either fixed or from gpsd")
    is_address = position.gpsd.startswith("unix:/") or names_host(position.gpsd, "tcp", needs_port=True)
    if position.gpsd and not is_address:
        raise ConfigError(path, "position.gpsd", 'must be "unix:/path" or "tcp://host:port"')
