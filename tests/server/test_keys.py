from pathlib import Path

import pytest

from server import keys
from server.config import CityConfig, ServerConfig
from wire.errors import KeyFileError
from wire.keys import CityBundle, kid, load_seal_key


def test_keys_are_made_once_and_never_replaced(tmp_path: Path) -> None:
    config = ServerConfig(state_dir=tmp_path, city=CityConfig(id="machi"))
    made = keys.make(config)
    assert {file.name for file in made} == {
        "seal.pem",
        "receipt.pem",
        "vapid.pem",
        "kek.bin",
        "history.bin",
        "city.json",
    }
    before = {file.name: file.read_bytes() for file in made}
    assert keys.make(config) == []
    assert {file.name: file.read_bytes() for file in made} == before


def test_secrets_are_for_their_owner_alone(tmp_path: Path) -> None:
    made = keys.make(ServerConfig(state_dir=tmp_path))
    assert all(file.stat().st_mode & 0o077 == 0 for file in made if file.name != "city.json")


def test_the_city_file_names_the_keys(tmp_path: Path) -> None:
    config = ServerConfig(state_dir=tmp_path, city=CityConfig(id="machi"))
    keys.make(config)
    bundle = CityBundle.load(keys.city_file(config))
    assert bundle.city == "machi"
    assert kid(bundle.seal_key) == kid(load_seal_key(config.keys_dir / "seal.pem").public_key())


def test_a_file_that_is_no_key_is_refused(tmp_path: Path) -> None:
    config = ServerConfig(state_dir=tmp_path)
    config.keys_dir.mkdir()
    (config.keys_dir / "seal.pem").write_text("not a key")
    with pytest.raises(KeyFileError):
        keys.make(config)
