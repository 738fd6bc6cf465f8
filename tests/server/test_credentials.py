import ssl
from pathlib import Path

import pytest

from server import keys
from server.config import BrokerConfig, ServerConfig
from server.credentials import Credentials, client_id, host_and_port
from server.errors import KeysError


def test_what_init_made_is_what_a_program_shows(tmp_path: Path) -> None:
    settings = ServerConfig(state_dir=tmp_path, broker=BrokerConfig(mqtt_port=1, nats_port=2))
    keys.make(settings)
    credentials = Credentials.of(settings, "ingest")
    assert credentials is not None
    context = credentials.context()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert [item["subject"] for item in context.get_ca_certs()] == [((("commonName", "mimamori mimamori root"),),)]


def test_without_tls_a_program_shows_nothing(tmp_path: Path) -> None:
    settings = ServerConfig(state_dir=tmp_path, broker=BrokerConfig(tls=False, mqtt_port=1, nats_port=2))
    assert Credentials.of(settings, "ingest") is None


def test_a_missing_certificate_says_what_to_do(tmp_path: Path) -> None:
    credentials = Credentials("ingest", tmp_path / "a.pem", tmp_path / "a.key", tmp_path / "ca.pem")
    with pytest.raises(KeysError, match="mimamori init"):
        credentials.context()


def test_a_client_id_is_a_programs_own_and_new_each_time() -> None:
    assert client_id("api").startswith("api:")
    assert client_id("api") != client_id("api")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mqtts://broker", ("broker", 8883)),
        ("mqtt://127.0.0.1", ("127.0.0.1", 1883)),
        ("mqtts://[::1]:9", ("::1", 9)),
    ],
)
def test_a_url_names_host_and_port(url: str, expected: tuple[str, int]) -> None:
    assert host_and_port(url) == expected
