from pathlib import Path
from typing import Any

import pytest

from edge import config
from wire.errors import ConfigError
from wire.sections import KeyFiles

MINIMAL: dict[str, Any] = {
    "city": "mimamori",
    "detector": "gw-001",
    "state_dir": "state",
    "keys": {"signing_key_file": "/keys/gw.pem", "city_file": "city.json"},
    "broker": {"url": "mqtt://127.0.0.1:1883"},
}
FILE = Path("/etc/mimamori/gw.toml")


def test_defaults_are_a_fixed_gateway_on_bluez() -> None:
    read = config.parse(MINIMAL, FILE)
    assert (read.scan.source, read.scan.formats, read.scan.window_s) == ("bluez", ("eid",), 10.0)
    assert read.scan.socket_path is None
    assert read.clock.is_wall


def test_a_gateway_has_no_camera_unless_one_is_named() -> None:
    assert config.parse(MINIMAL, FILE).camera.url == ""


def test_relative_paths_count_from_the_file() -> None:
    read = config.parse(MINIMAL, FILE)
    assert read.keys.city_file == Path("/etc/mimamori/city.json")
    assert read.keys.signing_key_file == Path("/keys/gw.pem")


def test_every_setting_can_be_said(tmp_path: Path) -> None:
    file = tmp_path / "gw.toml"
    file.write_text(
        'city = "c"\ndetector = "car-1"\nstate_dir = "/var/lib/mimamori"\n'
        '[keys]\nsigning_key_file = "k.pem"\ncity_file = "city.json"\n'
        '[broker]\nurl = "mqtts://broker.example.jp"\nca_file = "ca.pem"\nheartbeat_s = 5\n'
        '[scan]\nsource = "unix:/run/radio.sock"\nformats = ["eid", "uid:00112233445566778899"]\nwindow_s = 2.5\n'
        '[position]\ngpsd = "tcp://127.0.0.1:2947"\ndevice = "*"\n'
        '[camera]\nurl = "rtsp://user@cam/1"\npassword_file = "p"\noptions = ["rtsp_transport=udp"]\ncrf = 30\n'
        "is_looped = true\nread_timeout_s = 2\n"
        "[outbox]\nmax_bytes = 1000000\n[clock]\norigin_wall_ms = 1\norigin_town_ms = 2\nspeed = 60\n"
    )
    read = config.load(file, {})
    assert read.scan.socket_path == "/run/radio.sock"
    assert (read.broker.heartbeat_s, read.position.device, read.clock.speed) == (5.0, "*", 60)
    assert (read.camera.url, read.camera.crf, read.camera.is_looped) == ("rtsp://user@cam/1", 30, True)
    assert read.camera.options == ("rtsp_transport=udp",)


def test_variables_win_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "gw.toml"
    file.write_text(
        'city = "c"\ndetector = "d"\nstate_dir = "s"\n[keys]\nsigning_key_file = "k"\ncity_file = "c"\n'
        '[broker]\nurl = "mqtt://a"\n'
    )
    environment = {"MIMAMORI_EDGE_BROKER_URL": "mqtt://b:2", "MIMAMORI_EDGE_SCAN_SOURCE": "unix:/r"}
    read = config.load(file, environment)
    assert (read.broker.parts.hostname, read.scan.socket_path) == ("b", "/r")


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"colour": "red"}, "colour"),
        ({"scan": {"widow_s": 10}}, "scan.widow_s"),
        ({"scan": {"window_s": 0}}, "scan.window_s"),
        ({"scan": {"window_s": "10"}}, "scan.window_s"),
        ({"scan": {"window_s": True}}, "scan.window_s"),
        ({"scan": {"formats": ["all"]}}, "scan.formats"),
        ({"scan": {"formats": "eid"}}, "scan.formats"),
        ({"scan": {"source": "usb"}}, "scan.source"),
        ({"scan": {"source": "unix:"}}, "scan.source"),
        ({"scan": 3}, "scan."),
        ({"city": "a/b"}, "city"),
        ({"detector": ""}, "detector"),
        ({"keys": {"city_file": "x"}}, "keys.signing_key_file"),
        ({"broker": {"url": "http://x"}}, "broker.url"),
        ({"broker": {"url": "mqtt://x:99999"}}, "broker.url"),
        ({"broker": {"url": "mqtt://[::1"}}, "broker.url"),
        ({"broker": {}}, "broker.url"),
        ({"position": {"lat_deg": 34.0}}, "position"),
        ({"position": {"lat_deg": 134.0, "lon_deg": 34.0}}, "position.lat_deg"),
        ({"position": {"lat_deg": 34.0, "lon_deg": 234.0}}, "position.lon_deg"),
        ({"position": {"lat_deg": 34.0, "lon_deg": 134.0, "gpsd": "unix:/g"}}, "position"),
        ({"position": {"gpsd": "usb"}}, "position.gpsd"),
        ({"position": {"gpsd": "tcp://gpsd"}}, "position.gpsd"),
        ({"camera": {"crf": 51}}, "camera.crf"),
        ({"camera": {"crf": 26.5}}, "camera.crf"),
        ({"camera": {"is_looped": 1}}, "camera.is_looped"),
        ({"camera": {"preset": "placebo"}}, "camera.preset"),
        ({"camera": {"options": ["rtsp_transport"]}}, "camera.options"),
        ({"camera": {"options": ["=tcp"]}}, "camera.options"),
        ({"camera": {"url": "rtsp://user:secret@cam/1"}}, "camera.url"),
        ({"camera": {"url": "rtsp://[::1"}}, "camera.url"),
        ({"camera": {"open_timeout_s": 0}}, "camera.open_timeout_s"),
        ({"camera": {"read_timeout_s": 1000}}, "camera.read_timeout_s"),
        ({"camera": {"max_width": 10}}, "camera.max_width"),
        ({"camera": {"max_height": 10_000}}, "camera.max_height"),
        ({"camera": {"min_free_mb": -1}}, "camera.min_free_mb"),
        ({"camera": {"mask": "none"}}, "camera.mask"),
        ({"camera": {"tsa_url": "http://tsa.example.jp/"}}, "camera.tsa_url"),
        ({"camera": {"tsa_root_file": "tsa.pem"}}, "camera.tsa_url"),
        ({"camera": {"tsa_url": "tsa.example.jp", "tsa_root_file": "tsa.pem"}}, "camera.tsa_url"),
        ({"clock": {"pace": 60}}, "clock"),
        ({"clock": {"speed": 0}}, "clock"),
    ],
)
def test_a_mistake_is_refused_by_its_key(change: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.parse(MINIMAL | change, FILE)
    assert caught.value.key == key
    assert str(FILE) in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_variable_for_a_section_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "gw.toml").write_text("broker = 3")
    with pytest.raises(ConfigError):
        config.load(tmp_path / "gw.toml", {"MIMAMORI_EDGE_BROKER_URL": "mqtt://b:2"})


@pytest.mark.parametrize("text", ["city = ", "city = 'x'\ncity = 'y'", "\x00"])
def test_what_is_no_toml_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "gw.toml").write_text(text)
    with pytest.raises(ConfigError, match="TOML"):
        config.load(tmp_path / "gw.toml", {})


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        config.load(tmp_path / "none.toml", {})


@pytest.mark.parametrize("same", ["detector", "state_dir"])
def test_two_gateways_of_one_process_must_differ(same: str) -> None:
    other = MINIMAL | {"detector": "gw-002", "state_dir": "other"} | {same: MINIMAL[same]}
    configs = [config.parse(MINIMAL, FILE), config.parse(other, FILE)]
    with pytest.raises(ConfigError) as caught:
        config.check_distinct(configs, [FILE, FILE])
    assert caught.value.key == same


def test_a_gateway_without_keys_makes_them_itself_and_takes_its_files_from_its_state(tmp_path: Path) -> None:
    file = tmp_path / "gw.toml"
    file.write_text('city = "c"\ndetector = "d"\nstate_dir = "s"\n[enrolment]\nticket_file = "t.json"\n')
    read = config.load(file, {})
    assert read.makes_its_keys
    folder = tmp_path / "s" / "identity"
    assert read.keys == KeyFiles(folder / "signing.pem", folder / "city.json", folder / "seal.pem")
    assert (read.broker.url, read.broker.certificate_file) == ("", str(folder / "certificate.pem"))
    assert read.enrolment.ticket_file == tmp_path / "t.json"


def test_what_the_file_says_of_the_broker_wins_over_enrolment() -> None:
    table = {key: value for key, value in MINIMAL.items() if key != "keys"}
    read = config.parse({**table, "broker": {"url": "mqtts://b", "ca_file": "/ca.pem"}}, FILE)
    assert (read.broker.url, read.broker.ca_file) == ("mqtts://b", "/ca.pem")
    assert not config.parse(MINIMAL, FILE).makes_its_keys


@pytest.mark.parametrize("url", ["http://192.0.2.1", "ftp://a", "https://", "http://localhost.example.jp"])
def test_enrolment_goes_over_https_alone(url: str) -> None:
    with pytest.raises(ConfigError) as raised:
        config.parse({**MINIMAL, "enrolment": {"server_url": url}}, FILE)
    assert raised.value.key == "enrolment.server_url"
