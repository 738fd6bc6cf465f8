"""The configuration of one volunteer's detector: one TOML file, read once, unknown keys refused."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from mobile_detector.duty import Cycle, DutyPlan
from wire import sections, settings
from wire.address import names_host
from wire.clock import Clock
from wire.errors import ConfigError, WireError
from wire.formats import Formats
from wire.sections import KeyFiles, PositionSection, ScanSection
from wire.topics import check_id

ENVIRONMENT: Final = {"MIMAMORI_DETECTOR_SCAN_SOURCE": ("scan", "source")}
"""Variables that win over the file, for containers."""


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
class PositionConfig(PositionSection):
    """Where the phone is; without a position nothing is recorded.

    Attributes:
        accuracy_m: radius of 68 % confidence.
        max_age_s: a position older than this many town seconds is none.
    """

    accuracy_m: float = 10.0
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
    scan: ScanSection = field(default_factory=ScanSection)
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
    return parse(settings.load(path, environment, ENVIRONMENT), path)


def parse(table: Mapping[str, Any], path: Path) -> DetectorConfig:
    """Return the configuration in a TOML table read from `path`.

    Raises:
        ConfigError: as `load`.
    """
    config = settings.read(DetectorConfig, table, path)
    _check_names(config, path)
    _check_ways(config, path)
    _check_ranges(config, path)
    _check_position(config.position, path)
    return config


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
    sections.check_scan(config.scan, path)


def _check_ways(config: DetectorConfig, path: Path) -> None:
    if bool(config.broker.url) == bool(config.upload.url):
        raise ConfigError(path, "broker.url", "or upload.url: one of them is needed, and only one")
    if config.broker.url:
        sections.check_broker_url(config.broker.url, path)
    url = config.upload.url
    is_local = names_host(url, "http") and urlsplit(url).hostname in ("127.0.0.1", "::1", "localhost")
    if url and not is_local and not names_host(url, "https"):
        raise ConfigError(path, "upload.url", "must be https://host/path; http: on loopback only")


def _check_ranges(config: DetectorConfig, path: Path) -> None:
    position, duty = config.position, config.duty
    ranges = (
        ("broker.heartbeat_s", config.broker.heartbeat_s, 0.1, 3600),
        ("upload.timeout_s", config.upload.timeout_s, 0.1, 600),
        ("outbox.max_bytes", config.outbox.max_bytes, 10_000, 1 << 40),
        ("position.accuracy_m", position.accuracy_m, 0, 10_000),
        ("position.max_age_s", position.max_age_s, 1, 3600),
        ("duty.scan_s", duty.scan_s, 0.1, min(duty.rest_cycle_s, duty.moving_cycle_s)),
        ("duty.rest_cycle_s", duty.rest_cycle_s, 1, 600),
        ("duty.moving_cycle_s", duty.moving_cycle_s, 1, 600),
        ("duty.alert_s", duty.alert_s, 0, 600),
    )
    settings.check_ranges(ranges, path)


def _check_position(position: PositionConfig, path: Path) -> None:
    sections.check_position(position, path)
    if (position.lat_deg is None) == (not position.gpsd):
        raise ConfigError(path, "position", "is either fixed or from gpsd")
