import itertools
from pathlib import Path

import pytest

from server import keys
from server.config import CityConfig, ServerConfig
from server.errors import KeysError
from server.registry.kek import load as load_kek
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


@pytest.mark.parametrize("name", ["kek.bin", "history.bin"])
@pytest.mark.parametrize("content", [b"", b"seven.."])
def test_a_secret_cut_short_is_named_and_left_as_it_is(tmp_path: Path, name: str, content: bytes) -> None:
    config = ServerConfig(state_dir=tmp_path)
    config.keys_dir.mkdir()
    (config.keys_dir / name).write_bytes(content)
    with pytest.raises(KeysError, match=f"{name} holds {len(content)} octets"):
        keys.make(config)
    assert (config.keys_dir / name).read_bytes() == content


@pytest.mark.parametrize("step", range(6))
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
    assert not list(config.keys_dir.glob("*.partial"))
