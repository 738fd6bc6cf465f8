from pathlib import Path

import pytest

from server import nkey
from server.errors import KeysError


@pytest.mark.parametrize(("kind", "letter"), [("user", "U"), ("account", "A")])
def test_a_seed_is_read_back_and_named_by_its_public_half(tmp_path: Path, kind: nkey.Kind, letter: str) -> None:
    file = tmp_path / "a.nk"
    file.write_bytes(nkey.new_seed(kind) + b"\n")
    assert nkey.public(file).startswith(letter)
    assert nkey.load(file).public_key.decode() == nkey.public(file)


@pytest.mark.parametrize("content", [b"", b"SUAA", b"\xff" * 58, b"-----BEGIN PRIVATE KEY-----"])
def test_what_is_no_seed_is_refused_without_being_quoted(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.nk").write_bytes(content)
    with pytest.raises(KeysError, match=r"^a\.nk holds no seed"):
        nkey.load(tmp_path / "a.nk")


def test_a_missing_seed_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(KeysError, match="mimamori init"):
        nkey.load(tmp_path / "a.nk")
