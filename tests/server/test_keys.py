import datetime as dt
import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509

from server import keys
from server.config import CityConfig, EnrolmentConfig, ServerConfig
from server.enrolment import vault
from server.enrolment.authority import Authority
from server.errors import KeysError
from server.registry.kek import load as load_kek
from wire.errors import KeyFileError
from wire.keys import CityBundle, kid, load_seal_key, load_signing_key

SECRET = (
    "gate.nk", "callout.nk",
    "seal.pem", "receipt.pem", "order.pem", "footage.pem", "vapid.pem", "log.pem",
    "kek.bin", "history.bin", "papers.bin",
    "ca/root.key", "ca/issuing.pem", "broker.key", "service-ingest.key", "service-api.key", "service-gate.key",
)  # fmt: skip
PUBLIC = (
    "city.json", "log.vkey", "ca.pem", "ca/root.pem", "broker.pem",
    "service-ingest.pem", "service-api.pem", "service-gate.pem",
)  # fmt: skip
NOON = dt.datetime(2026, 11, 26, 3, tzinfo=dt.UTC)


def test_keys_are_made_once_and_never_replaced(tmp_path: Path) -> None:
    config = ServerConfig(state_dir=tmp_path, city=CityConfig(id="machi"))
    made = keys.make(config)
    assert {str(file.relative_to(config.keys_dir)) for file in made} == {*SECRET, *PUBLIC}
    before = {file.name: file.read_bytes() for file in made}
    assert keys.make(config) == []
    assert {file.name: file.read_bytes() for file in made} == before


def test_secrets_are_for_their_owner_alone(tmp_path: Path) -> None:
    config = ServerConfig(state_dir=tmp_path)
    keys.make(config)
    assert {name: (config.keys_dir / name).stat().st_mode & 0o777 for name in SECRET} == dict.fromkeys(SECRET, 0o600)
    assert {folder.stat().st_mode & 0o777 for folder in (config.keys_dir, config.keys_dir / "ca")} == {0o700}


def test_the_city_file_names_the_keys(tmp_path: Path) -> None:
    config = ServerConfig(state_dir=tmp_path, city=CityConfig(id="machi"))
    keys.make(config)
    bundle = CityBundle.load(keys.city_file(config))
    assert bundle.city == "machi"
    assert kid(bundle.seal_key) == kid(load_seal_key(config.keys_dir / "seal.pem").public_key())
    assert bundle.order_key == load_signing_key(config.keys_dir / "order.pem").public_key()
    assert bundle.footage_key == load_seal_key(config.keys_dir / "footage.pem").public_key()


def test_certificates_are_made_anew_at_two_thirds_of_their_life_and_keys_stay(tmp_path: Path) -> None:
    config = ServerConfig(state_dir=tmp_path)
    keys.make(config, now=NOON)
    before = {name: (config.keys_dir / name).read_bytes() for name in (*SECRET, *PUBLIC)}
    assert keys.make_certificates(config, now=NOON + dt.timedelta(days=240)) == []
    renewed = keys.make_certificates(config, now=NOON + dt.timedelta(days=245))
    assert {file.name for file in renewed} == {name for name in PUBLIC if name.startswith(("broker", "service"))}
    after = {name: (config.keys_dir / name).read_bytes() for name in (*SECRET, *PUBLIC)}
    assert {name for name in before if before[name] != after[name]} == {file.name for file in renewed}


def test_the_broker_gets_another_certificate_when_its_names_change(tmp_path: Path) -> None:
    config = ServerConfig(state_dir=tmp_path)
    keys.make(config, now=NOON)
    named = replace(config, enrolment=EnrolmentConfig(broker_names="mqtt.example.jp 192.0.2.7"))
    assert [file.name for file in keys.make_certificates(named, now=NOON)] == ["broker.pem"]
    names = vault.certificate(config.keys_dir / "broker.pem").extensions
    said = names.get_extension_for_class(x509.SubjectAlternativeName).value
    assert said.get_values_for_type(x509.DNSName) == ["localhost", "mqtt.example.jp"]
    assert [str(ip) for ip in said.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "192.0.2.7"]


def test_a_broker_is_served_by_what_was_made_when_the_root_key_is_away(tmp_path: Path) -> None:
    config = ServerConfig(state_dir=tmp_path)
    keys.make(config, now=NOON)
    (config.keys_dir / "ca" / "root.key").unlink()
    assert keys.make_certificates(config, now=NOON + dt.timedelta(days=300)) != []


def test_a_file_that_is_no_key_is_refused(tmp_path: Path) -> None:
    config = ServerConfig(state_dir=tmp_path)
    config.keys_dir.mkdir()
    (config.keys_dir / "seal.pem").write_text("not a key")
    with pytest.raises(KeyFileError):
        keys.make(config)


@pytest.mark.parametrize("name", ["kek.bin", "history.bin", "papers.bin"])
@pytest.mark.parametrize("content", [b"", b"seven.."])
def test_a_secret_cut_short_is_named_and_left_as_it_is(tmp_path: Path, name: str, content: bytes) -> None:
    config = ServerConfig(state_dir=tmp_path)
    config.keys_dir.mkdir()
    (config.keys_dir / name).write_bytes(content)
    with pytest.raises(KeysError, match=f"{name} holds {len(content)} octets"):
        keys.make(config)
    assert (config.keys_dir / name).read_bytes() == content


@pytest.mark.parametrize("step", range(20))
def test_a_cut_before_any_file_has_its_name_leaves_nothing_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    config, given = ServerConfig(state_dir=tmp_path), itertools.count()
    rename = Path.replace

    def cut(self: Path, target: Path) -> Path:
        if next(given) == step:
            self.write_bytes(b"")
            raise OSError
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", cut)
    with pytest.raises(OSError):  # noqa: PT011 - the cut itself
        keys.make(config)
    monkeypatch.undo()
    keys.make(config)
    assert len(load_kek(config.keys_dir / keys.KEK)) == len(load_kek(config.keys_dir / keys.HISTORY)) == 32
    assert not list(config.keys_dir.rglob("*.partial"))
    assert Authority.load(config.keys_dir / keys.CA, config.city.id).fingerprint
