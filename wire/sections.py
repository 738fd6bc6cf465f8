"""The sections that the settings of every detector share, and what may stand in them."""

from dataclasses import dataclass
from pathlib import Path

from wire.address import names_host
from wire.errors import ConfigError
from wire.settings import check_ranges


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """Where the secrets lie.

    Attributes:
        signing_key_file: PEM, P-256 private key of this detector.
        city_file: city.json, the city's public keys.
        seal_key_file: PEM, X25519 private key, which orders that hold secrets are sealed to; None = there is none.
    """

    signing_key_file: Path
    city_file: Path
    seal_key_file: Path | None = None


@dataclass(frozen=True, slots=True)
class ScanSection:
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
        """The radio socket, None for the system's Bluetooth."""
        return self.source.removeprefix("unix:") if self.source.startswith("unix:") else None


@dataclass(frozen=True, slots=True)
class PositionSection:
    """Where the detector is: fixed, from gpsd, or nothing said.

    Attributes:
        lat_deg: WGS 84, with `lon_deg`: a detector that stays where it is.
        lon_deg: WGS 84.
        gpsd: "unix:/path" or "tcp://host:port": a detector that moves.
    """

    lat_deg: float | None = None
    lon_deg: float | None = None
    gpsd: str = ""


def check_scan(scan: ScanSection, path: Path) -> None:
    """Refuse a source that is none and a window that is too short or too long.

    Raises:
        ConfigError: the key at fault.
    """
    if scan.source != "bluez" and not scan.socket_path:
        raise ConfigError(path, "scan.source", 'must be "bluez" or "unix:" and a path')
    check_ranges([("scan.window_s", scan.window_s, 1, 600)], path)


def check_broker_url(url: str, path: Path) -> None:
    """Refuse a URL that no broker can be reached by.

    Raises:
        ConfigError: it is not mqtt: or mqtts:, or has no host.
    """
    if not names_host(url, "mqtt", "mqtts"):
        raise ConfigError(path, "broker.url", "must be mqtt://host:port or mqtts://host:port")


def check_position(position: PositionSection, path: Path) -> None:
    """Refuse half a place, one not on earth, and a gpsd that cannot be connected to.

    Raises:
        ConfigError: the key at fault.
    """
    lat_deg, lon_deg, gpsd = position.lat_deg, position.lon_deg, position.gpsd
    if (lat_deg is None) != (lon_deg is None):
        raise ConfigError(path, "position", "needs both lat_deg and lon_deg")
    check_ranges([("position.lat_deg", lat_deg or 0, -90, 90), ("position.lon_deg", lon_deg or 0, -180, 180)], path)
    if gpsd and not gpsd.startswith("unix:/") and not names_host(gpsd, "tcp", needs_port=True):
        raise ConfigError(path, "position.gpsd", 'must be "unix:/path" or "tcp://host:port"')
