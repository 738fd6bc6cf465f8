from pathlib import Path

import pytest

from wire import sections
from wire.errors import ConfigError
from wire.sections import PositionSection, ScanSection

FILE = Path("/etc/mimamori/gw.toml")


def test_a_radio_socket_is_told_from_the_systems_bluetooth() -> None:
    assert ScanSection().socket_path is None
    assert ScanSection(source="unix:/run/radio.sock").socket_path == "/run/radio.sock"


@pytest.mark.parametrize("scan", [ScanSection(), ScanSection("unix:/r", window_s=1), ScanSection(window_s=600)])
def test_a_source_and_a_window_that_can_be_are_allowed(scan: ScanSection) -> None:
    sections.check_scan(scan, FILE)


@pytest.mark.parametrize(
    ("scan", "key"),
    [
        (ScanSection("usb"), "scan.source"),
        (ScanSection("unix:"), "scan.source"),
        (ScanSection(window_s=0.9), "scan.window_s"),
        (ScanSection(window_s=601), "scan.window_s"),
    ],
)
def test_a_source_or_window_that_cannot_be_is_refused(scan: ScanSection, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        sections.check_scan(scan, FILE)
    assert caught.value.key == key


@pytest.mark.parametrize("url", ["mqtt://127.0.0.1:1883", "mqtts://broker.example.jp"])
def test_a_broker_is_reached_by_mqtt(url: str) -> None:
    sections.check_broker_url(url, FILE)


@pytest.mark.parametrize("url", ["", "http://x", "mqtt://", "mqtt://x:99999", "mqtt://[::1"])
def test_any_other_broker_is_refused(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        sections.check_broker_url(url, FILE)
    assert caught.value.key == "broker.url"


@pytest.mark.parametrize(
    "position",
    [
        PositionSection(),
        PositionSection(-90.0, 180.0),
        PositionSection(0.0, 0.0),
        PositionSection(gpsd="unix:/run/gpsd.sock"),
        PositionSection(gpsd="tcp://127.0.0.1:2947"),
    ],
)
def test_a_place_a_gpsd_or_nothing_is_allowed(position: PositionSection) -> None:
    sections.check_position(position, FILE)


@pytest.mark.parametrize(
    ("position", "key"),
    [
        (PositionSection(lat_deg=34.0), "position"),
        (PositionSection(lon_deg=134.0), "position"),
        (PositionSection(90.1, 134.0), "position.lat_deg"),
        (PositionSection(float("nan"), 134.0), "position.lat_deg"),
        (PositionSection(34.0, -180.1), "position.lon_deg"),
        (PositionSection(gpsd="usb"), "position.gpsd"),
        (PositionSection(gpsd="unix:gpsd.sock"), "position.gpsd"),
        (PositionSection(gpsd="tcp://gpsd"), "position.gpsd"),
    ],
)
def test_a_place_or_gpsd_that_cannot_be_is_refused(position: PositionSection, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        sections.check_position(position, FILE)
    assert caught.value.key == key
