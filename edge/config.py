"""The configuration of one gateway: one TOML file, read once, unknown keys refused."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from wire import sections, settings
from wire.address import names_host
from wire.clock import Clock
from wire.errors import ConfigError, WireError
from wire.formats import Formats
from wire.sections import KeyFiles, PositionSection, ScanSection
from wire.topics import check_id

ENVIRONMENT: Final = {"MIMAMORI_EDGE_BROKER_URL": ("broker", "url"), "MIMAMORI_EDGE_SCAN_SOURCE": ("scan", "source")}
"""Variables that win over the file, for containers."""
PRESETS: Final = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium")
"""Of libx264, the ones that a gateway may be able to do."""
IDENTITY: Final = "identity"
"""Folder of the state directory with keys and certificates of a gateway that enrolled, see `edge/credentials.py`."""


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

    @property
    def is_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.parts.scheme == "mqtts"

    @property
    def port(self) -> int:
        """The port of the URL, or the usual one."""
        return self.parts.port or (8883 if self.is_tls else 1883)


@dataclass(frozen=True, slots=True)
class ScanConfig(ScanSection):
    """What to listen to, and how much of it to hold.

    Attributes:
        max_rows: most ids and rows held in memory.
    """

    max_rows: int = 10_000


@dataclass(frozen=True, slots=True)
class PositionConfig(PositionSection):
    """Where the detector is; nothing = as the city's registry says.

    Attributes:
        accuracy_m: radius of 68 % confidence.
        device: gpsd's device; "" = the detector's id, as the simulated town calls it; "*" = any.
        max_age_s: a position may be so many town seconds away from the sighting it is given to.
        parked_max_age_s: a parked vehicle that gets no fix, in a garage, is held for being there for so many town
            seconds; sightings are told how old that is.
    """

    accuracy_m: float = 5.0
    device: str = ""
    max_age_s: float = 60.0
    parked_max_age_s: float = 28_800.0

    def gpsd_device(self, detector: str) -> str:
        """Return the device to ask gpsd for; "" = any."""
        return {"": detector, "*": ""}.get(self.device, self.device)


@dataclass(frozen=True, slots=True)
class OutboxConfig:
    """The store-and-forward queue.

    Attributes:
        max_bytes: most octets kept on disk, enough for 72 h of 200 sightings a second even where nothing merges;
            beyond, the oldest batches are thinned, see `wire/thinning.py`.
    """

    max_bytes: int = 2_000_000_000


@dataclass(frozen=True, slots=True)
class CameraConfig:
    """The camera, and what recording may take of the machine; what the ordinance rules comes signed from the city.

    Attributes:
        url: anything FFmpeg opens: rtsp://, tcp://, /dev/video0, a file; "" = this gateway has no camera.
        password_file: file with the password on its first line, for the user in `url`; "" = none.
        format: FFmpeg's name of the input format; "" = found out, v4l2 for /dev/video*.
        options: "name=value" for FFmpeg's input; of rtsp: "rtsp_transport=tcp" unless another is given.
        open_timeout_s: wall seconds until a camera that does not answer is given up.
        read_timeout_s: wall seconds without a packet until the connection is given up.
        is_looped: play a file again when it is over.
        encoder: name of FFmpeg's encoder; "" = the first of the hardware's that works, else libx264.
        preset: of libx264.
        crf: of libx264, 18 (large) to 40 (coarse).
        max_width: pixels; a larger picture is made smaller, its shape kept.
        max_height: pixels.
        tsa_url: time-stamping authority (RFC 3161) that is asked about exports; "" = none.
        tsa_root_file: PEM of the roots that its answers must come from.
        min_free_mb: recording stops while less is free on the disk, so that sightings are still kept.
    """

    url: str = ""
    password_file: str = ""
    format: str = ""
    options: tuple[str, ...] = ()
    open_timeout_s: float = 10.0
    read_timeout_s: float = 5.0
    is_looped: bool = False
    encoder: str = ""
    preset: str = "superfast"
    crf: int = 26
    max_width: int = 1920
    max_height: int = 1088
    tsa_url: str = ""
    tsa_root_file: str = ""
    min_free_mb: int = 500


@dataclass(frozen=True, slots=True)
class EnrolmentConfig:
    """How a gateway that makes its own keys comes to its certificates.

    Attributes:
        ticket_file: the city's ticket, used at the first start; None = somebody runs `mimamori-edge enrol`.
        server_url: https: (http: on loopback only), where to enrol and renew; "" = as on the ticket.
        server_ca_file: PEM of the authority of that server; "" = the system's.
        timeout_s: wall seconds that the server may take.
    """

    ticket_file: Path | None = None
    server_url: str = ""
    server_ca_file: str = ""
    timeout_s: float = 20.0


@dataclass(frozen=True, slots=True)
class EdgeConfig:
    """One gateway.

    Attributes:
        city: id of the city.
        detector: id of this detector.
        state_dir: where the outbox lies; made if missing.
        keys: without this section the gateway makes its keys itself, and enrols.
    """

    city: str
    detector: str
    state_dir: Path
    keys: KeyFiles
    broker: BrokerConfig
    scan: ScanConfig = field(default_factory=ScanConfig)
    position: PositionConfig = field(default_factory=PositionConfig)
    outbox: OutboxConfig = field(default_factory=OutboxConfig)
    camera: CameraConfig = field(default_factory=CameraConfig)
    enrolment: EnrolmentConfig = field(default_factory=EnrolmentConfig)
    clock: Clock = field(default_factory=Clock)

    @property
    def makes_its_keys(self) -> bool:
        """Whether this gateway is who it is by enrolment, not by keys that somebody put there."""
        return self.keys.signing_key_file == self.state_dir / IDENTITY / "signing.pem"

    @property
    def formats(self) -> Formats:
        """The enrolled formats, parsed."""
        return Formats.parse(self.scan.formats)


def load(path: Path, environment: Mapping[str, str]) -> EdgeConfig:
    """Return the configuration in `path`.

    Raises:
        ConfigError: the file is missing or malformed, or a key is unknown, missing or out of range: the message says.
    """
    return parse(settings.load(path, environment, ENVIRONMENT), path)


def parse(table: Mapping[str, Any], path: Path) -> EdgeConfig:
    """Return the configuration in a TOML table read from `path`.

    Raises:
        ConfigError: as `load`.
    """
    config = settings.read(EdgeConfig, table if "keys" in table else _enrolling(table, path), path)
    _check(config, path)
    return config


def _enrolling(table: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the table with the files of the identity that enrolment makes, wherever it names none."""
    state_dir, broker = table.get("state_dir"), table.get("broker", {})
    if not isinstance(state_dir, str) or not isinstance(broker, Mapping):
        return dict(table)  # the mistake is said where it is read
    folder = path.absolute().parent / state_dir / IDENTITY
    files = {
        "signing_key_file": "signing.pem",
        "city_file": "city.json",
        "seal_key_file": "seal.pem",
    }
    shown = {"ca_file": "ca.pem", "certificate_file": "certificate.pem", "certificate_key_file": "signing.pem"}
    at_broker = {"url": "", **{key: str(folder / name) for key, name in shown.items()}, **broker}
    return {**table, "keys": {key: str(folder / name) for key, name in files.items()}, "broker": at_broker}


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
    if config.broker.url or not config.makes_its_keys:  # enrolment says which broker
        sections.check_broker_url(config.broker.url, path)
    if config.enrolment.server_url and not is_safe_url(config.enrolment.server_url):
        raise ConfigError(path, "enrolment.server_url", "must be https://host; http: on loopback only")
    sections.check_scan(config.scan, path)
    _check_ranges(config, path)
    sections.check_position(config.position, path)
    _check_camera(config.camera, path)
    if config.position.lat_deg is not None and config.position.gpsd:
        raise ConfigError(path, "position", "is either fixed or from gpsd, not both")


def _check_camera(camera: CameraConfig, path: Path) -> None:
    if camera.preset not in PRESETS:
        raise ConfigError(path, "camera.preset", f"must be one of {', '.join(PRESETS)}")
    if not all(name and mark for name, mark, _ in (item.partition("=") for item in camera.options)):
        raise ConfigError(path, "camera.options", 'must be "name=value" each')
    if bool(camera.tsa_url) != bool(camera.tsa_root_file):
        raise ConfigError(path, "camera.tsa_url", "goes with camera.tsa_root_file, and neither alone")
    if camera.tsa_url and not camera.tsa_url.startswith(("http://", "https://")):
        raise ConfigError(path, "camera.tsa_url", "must be http:// or https://")
    try:
        parts = urlsplit(camera.url)
    except ValueError as error:
        raise ConfigError(path, "camera.url", "is no URL") from error
    if parts.password is not None:
        raise ConfigError(path, "camera.url", "must not hold a password; give camera.password_file")


def is_safe_url(url: str) -> bool:
    """Return whether what is said to `url` stays between the two: https, or http on this machine."""
    is_local = names_host(url, "http") and urlsplit(url).hostname in {"127.0.0.1", "::1", "localhost"}
    return is_local or names_host(url, "https")


def _check_ranges(config: EdgeConfig, path: Path) -> None:
    ranges = (
        ("scan.max_rows", config.scan.max_rows, 10, 10_000),
        ("broker.heartbeat_s", config.broker.heartbeat_s, 0.1, 3600),
        ("broker.receipt_timeout_s", config.broker.receipt_timeout_s, 0.1, 600),
        ("outbox.max_bytes", config.outbox.max_bytes, 10_000, 1 << 40),
        ("camera.open_timeout_s", config.camera.open_timeout_s, 0.1, 120),
        ("camera.read_timeout_s", config.camera.read_timeout_s, 0.1, 120),
        ("camera.crf", config.camera.crf, 18, 40),
        ("camera.max_width", config.camera.max_width, 64, 7680),
        ("camera.max_height", config.camera.max_height, 64, 4320),
        ("camera.min_free_mb", config.camera.min_free_mb, 0, 1_000_000),
        ("enrolment.timeout_s", config.enrolment.timeout_s, 0.1, 600),
        ("position.accuracy_m", config.position.accuracy_m, 0, 10_000),
        ("position.max_age_s", config.position.max_age_s, 1, 3600),
        ("position.parked_max_age_s", config.position.parked_max_age_s, 0, 65_534),
    )
    settings.check_ranges(ranges, path)
