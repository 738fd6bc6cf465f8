from pathlib import Path

import pytest

from mobile_detector.config import load
from wire.errors import ConfigError

GOOD = """
city = "mimamori"
detector = "phone-01"
state_dir = "phone-01"
[keys]
signing_key_file = "k.pem"
city_file = "/keys/city.json"
[upload]
url = "https://city.example.jp/api/v1/batches"
[scan]
source = "unix:/run/radio.sock"
[position]
gpsd = "unix:/run/gpsd.sock"
[clock]
origin_wall_ms = 1
origin_town_ms = 2
speed = 60
"""


def _load(tmp_path: Path, text: str, environment: dict[str, str] | None = None) -> object:
    path = tmp_path / "phone.toml"
    path.write_text(text)
    return load(path, environment or {})


def test_a_phone_is_read_with_paths_beside_its_file(tmp_path: Path) -> None:
    path = tmp_path / "phone.toml"
    path.write_text(GOOD)
    config = load(path, {"MIMAMORI_DETECTOR_SCAN_SOURCE": "bluez"})
    assert config.state_dir == tmp_path / "phone-01"
    assert config.keys.signing_key_file == tmp_path / "k.pem"
    assert (config.scan.source, config.clock.speed) == ("bluez", 60)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('city = "mimamori"', 'city = "a/b"', "city"),
        ('city = "mimamori"', "", "city"),
        ("[clock]", "wrong = 1\n[clock]", "position.wrong"),
        ('source = "unix:/run/radio.sock"', 'source = "x"', "scan.source"),
        ('source = "unix:/run/radio.sock"', 'formats = ["zigbee"]', "scan.formats"),
        ('source = "unix:/run/radio.sock"', "window_s = 0", "scan.window_s"),
        ('source = "unix:/run/radio.sock"', "window_s = true", "scan.window_s"),
        ('url = "https://city.example.jp/api/v1/batches"', "", "broker.url"),
        ("https://city.example.jp", "http://city.example.jp", "upload.url"),
        ("https://city.example.jp", "https://city.example.jp:99999", "upload.url"),
        ("[upload]", '[broker]\nurl = "mqtt://h:1"\n[upload]', "broker.url"),
        ('gpsd = "unix:/run/gpsd.sock"', "", "position"),
        ('gpsd = "unix:/run/gpsd.sock"', "lat_deg = 1", "position"),
        ('gpsd = "unix:/run/gpsd.sock"', 'gpsd = "serial"', "position.gpsd"),
        ("speed = 60", "speed = 0", "clock"),
        ("[clock]", "[duty]\nscan_s = 30\n[clock]", "duty.scan_s"),
        ("[clock]", "[outbox]\nmax_bytes = 1\n[clock]", "outbox.max_bytes"),
        ("city =", "city ==", ""),
    ],
)
def test_a_wrong_key_is_named(tmp_path: Path, old: str, new: str, key: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, GOOD.replace(old, new))
    assert caught.value.key == key


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.toml"):
        load(tmp_path / "nothing.toml", {})
