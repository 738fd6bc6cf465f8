import json
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from wire import keys
from wire.errors import KeyFileError
from wire.keys import CityBundle


@pytest.fixture
def bundle(signer: ec.EllipticCurvePrivateKey, recipient: X25519PrivateKey) -> CityBundle:
    return CityBundle("mimamori", recipient.public_key(), signer.public_key())


def test_private_keys_survive_their_files_and_nobody_else_reads_them(tmp_path: Path) -> None:
    signing, sealing = keys.new_signing_key(), X25519PrivateKey.generate()
    for key in (signing, sealing):
        path = tmp_path / type(key).__name__
        path.write_text("old, and readable by all")
        keys.save_private(path, key)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    read = keys.load_signing_key(tmp_path / type(signing).__name__)
    assert read.private_numbers() == signing.private_numbers()
    assert keys.load_seal_key(tmp_path / type(sealing).__name__).private_bytes_raw() == sealing.private_bytes_raw()
    assert len(list(tmp_path.iterdir())) == 2


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    keys.save_private(tmp_path / "x", X25519PrivateKey.generate())
    keys.save_private(tmp_path / "p384", ec.generate_private_key(ec.SECP384R1()))
    for name in ("x", "p384"):
        with pytest.raises(KeyFileError, match="P-256"):
            keys.load_signing_key(tmp_path / name)
    with pytest.raises(KeyFileError, match="X25519"):
        keys.load_seal_key(tmp_path / "p384")


def test_a_file_that_is_missing_or_no_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot read gone"):
        keys.load_signing_key(tmp_path / "gone")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(KeyFileError, match="text is not a PEM"):
        keys.load_seal_key(tmp_path / "text")
    with pytest.raises(KeyFileError, match="cannot read"):
        CityBundle.load(tmp_path / "gone")


def test_a_city_file_read_back_names_the_same_keys(tmp_path: Path, bundle: CityBundle) -> None:
    bundle.save(tmp_path / "city.json")
    read = CityBundle.load(tmp_path / "city.json")
    assert read.city == "mimamori"
    assert keys.kid(read.seal_key) == keys.kid(bundle.seal_key)
    assert keys.kid(read.receipt_key) == keys.kid(bundle.receipt_key)
    assert len(keys.kid(read.seal_key)) == 8


def test_a_public_key_survives_the_registry(signer: ec.EllipticCurvePrivateKey) -> None:
    text = keys.encode_public(signer.public_key())
    assert keys.decode_public(text).public_numbers() == signer.public_key().public_numbers()


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda data: data.hex()))
def test_any_text_is_a_key_file_error(text: str) -> None:
    with pytest.raises(KeyFileError):
        keys.decode_public(text)
    with pytest.raises(KeyFileError):
        CityBundle.from_json(text)


@pytest.mark.parametrize(
    "changes",
    [{"city": "a/b"}, {"city": 5}, {"seal_key": None}, {"seal_key": ""}, {"receipt_key": "AAAA"}, {"receipt_key": []}],
)
def test_a_city_file_with_one_mistake_is_refused(changes: dict[str, object], bundle: CityBundle) -> None:
    with pytest.raises(KeyFileError):
        CityBundle.from_json(json.dumps({**json.loads(bundle.to_json()), **changes}))


def test_a_city_file_with_swapped_or_foreign_keys_is_refused(bundle: CityBundle) -> None:
    table = json.loads(bundle.to_json())
    with pytest.raises(KeyFileError, match="X25519"):
        CityBundle.from_json(json.dumps({**table, "seal_key": table["receipt_key"]}))
    with pytest.raises(KeyFileError, match="P-256"):
        CityBundle.from_json(json.dumps({**table, "receipt_key": table["seal_key"]}))
    foreign = keys._der(Ed25519PrivateKey.generate().public_key())  # type: ignore[arg-type] # a kind that is not ours
    with pytest.raises(KeyFileError):
        keys.decode_public(__import__("base64").b64encode(foreign).decode())


@pytest.mark.parametrize("text", ["", "[]", "3", "null", "{}", "[" * 5_000])
def test_json_of_another_shape_is_no_city_file(text: str) -> None:
    with pytest.raises(KeyFileError):
        CityBundle.from_json(text)
