from pathlib import Path

import pytest

from server import config
from server.config import BrokerConfig, DatabaseConfig, HttpConfig, ServerConfig
from server.errors import ConfigError
from wire.clock import Clock


def test_what_is_saved_loads_as_the_same(tmp_path: Path) -> None:
    settings = ServerConfig(
        state_dir=tmp_path / "見守り",
        database=DatabaseConfig(url="host=/run/x dbname=y user=mimamori"),
        broker=BrokerConfig(mqtt_port=1883, nats_port=4222),
        http=HttpConfig(port=9000, public_url='https://example.jp/"quoted"\\'),
        clock=Clock(1, 2, 60.0),
    )
    config.save(settings, tmp_path / "mimamori.toml")
    assert config.load(tmp_path / "mimamori.toml", {}) == settings
    assert (tmp_path / "mimamori.toml").stat().st_mode & 0o777 == 0o600


def test_variables_win_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mimamori.toml"
    file.write_text('state_dir = "/a"\n[http]\nport = 1\n[city]\nname_en = "Town"\n')
    variables = {"MIMAMORI_HTTP_PORT": "2", "MIMAMORI_STATE_DIR": "/b", "MIMAMORI_NATS_SERVER": "/usr/bin/nats"}
    settings = config.load(file, variables)
    assert (settings.http.port, settings.state_dir, settings.city.name_en) == (2, Path("/b"), "Town")
    assert settings.broker.nats_server == "/usr/bin/nats"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("colour = 1", "colour"),
        ("[http]\nprot = 1", "http.prot"),
        ('[http]\nport = "8780"', "http.port"),
        ("[http]\nport = 70000", "http.port"),
        ("[http]\nport = true", "http.port"),
        ("http = 1", "[http]"),
        ('[city]\nid = "a/b"', "city.id"),
        ('[city]\ntz = "Mars/Olympus"', "city.tz"),
        ('[broker]\nurl = "http://x"', "broker.url"),
        ('[broker]\nurl = "mqtt://x:99999"', "broker.url"),
        ('[broker]\nurl = "mqtt://broker:1883"', "broker.url: mqtts:// wanted"),
        ('[broker]\nurl = "mqtt://127.0.0.1:1883"', "broker.url: mqtts:// wanted"),
        ('[broker]\nurl = "mqtt://broker:1883"\ntls = false', "broker.tls = false is for"),
        ('[broker]\nurl = "mqtts://127.0.0.1:1883"\ntls = false', "broker.tls = false is for"),
        ('[broker]\nnats_url = "nats://broker:4222"', "broker.nats_url"),
        ('[broker]\nurl = "mqtt://user:secret@x"', "broker.url"),
        ('[http]\npublic_url = "ftp://x"', "http.public_url"),
        ("[clock]\nspeed = 0", "[clock]"),
        ("[clock]\nspede = 1", "[clock]"),
        ("state_dir = 1", "state_dir"),
        ("[", "mimamori.toml"),
    ],
)
def test_what_is_wrong_is_refused_by_name(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "mimamori.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        config.load(file, {})
    assert named in str(caught.value)


@pytest.mark.parametrize("variable", ["MIMAMORI_HTTP_PROT", "MIMAMORI_HTPP_PORT", "MIMAMORI_X"])
def test_an_unknown_variable_is_refused_by_name(variable: str) -> None:
    with pytest.raises(ConfigError, match=variable):
        config.load(None, {variable: "1"})


def test_variables_of_other_programs_are_not_ours_to_refuse() -> None:
    settings = config.load(None, {"MIMAMORI_EDGE_BROKER_URL": "x", "MIMAMORI_SKIP_WEB": "1", "PATH": "/"})
    assert settings == config.load(None, {})


def test_a_password_in_the_url_of_a_broker_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        BrokerConfig(url="mqtt://user:secret@x")
    assert "secret" not in str(caught.value)


def test_a_variable_of_a_section_that_is_no_table_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "mimamori.toml").write_text("broker = 3")
    with pytest.raises(ConfigError, match="broker"):
        config.load(tmp_path / "mimamori.toml", {"MIMAMORI_BROKER_URL": "mqtt://x"})


def test_a_variable_of_the_wrong_type_is_refused() -> None:
    with pytest.raises(ConfigError, match="MIMAMORI_HTTP_PORT"):
        config.load(None, {"MIMAMORI_HTTP_PORT": "many"})


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="mimamori init"):
        config.load(tmp_path / "none.toml", {})


def test_every_role_connects_as_itself_to_a_foreign_database() -> None:
    settings = ServerConfig(database=DatabaseConfig(url="postgresql://owner@db/city", passfile="/run/secrets/pg"))
    assert "user=ingest" in settings.dsn("ingest")
    assert "user=owner" in settings.dsn()
    assert "passfile=/run/secrets/pg" in settings.dsn("api")
    with pytest.raises(ConfigError):
        settings.dsn("postgres")


def test_a_url_that_libpq_cannot_read_is_refused() -> None:
    with pytest.raises(ConfigError):
        ServerConfig(database=DatabaseConfig(url="nonsense here")).dsn()


def test_ports_that_are_set_stay_and_zeroes_are_filled() -> None:
    ports = iter(range(5000, 6000))
    settings = config.with_ports(ServerConfig(broker=BrokerConfig(mqtt_port=1883)), lambda: next(ports))
    assert settings.broker.mqtt_port == 1883
    ports_given = {settings.broker.nats_port, settings.gate.metrics_port}
    assert ports_given | {settings.ingest.metrics_port, settings.notify.metrics_port} == {5000, 5001, 5002, 5003}
    assert settings.mqtt_url() == "mqtts://127.0.0.1:1883"


def test_an_embedded_broker_without_a_port_has_no_url() -> None:
    with pytest.raises(ConfigError, match="mimamori init"):
        ServerConfig().mqtt_url()
