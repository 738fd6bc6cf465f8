from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from wire import eid

KEYS = st.binary(min_size=16, max_size=16)


def test_published_ids_are_derived(vectors: Callable[[str], Any]) -> None:
    for case in vectors("eddystone_eid.json")["eid"]:
        key = bytes.fromhex(case["identity_key"])
        made = eid.derive(key, case["rotation_exponent"], case["beacon_time_s"])
        assert made == bytes.fromhex(case["eid"])


def test_a_published_temporary_key_and_its_id_are_derived() -> None:
    # Ports of ephemeral-id in Rust and Python: K = 0, t = 0.
    identity_key = bytes.fromhex("7c91330e61dfea4606b5b3ecb4457d76")
    assert eid.temporary_key(identity_key, 0).hex() == "4d7ad123b3f67bb3c7ac3ffd02599f6a"
    assert eid.derive(identity_key, 0, 0).hex() == "436bfe57d5a09505"


def test_published_aes_blocks_are_encrypted(vectors: Callable[[str], Any]) -> None:
    for case in vectors("eddystone_eid.json")["aes128_ecb"]:
        block = eid.encrypt_blocks(bytes.fromhex(case["key"]), bytes.fromhex(case["plain"]))
        assert block == bytes.fromhex(case["cipher"])


def test_the_published_key_agreement_gives_the_identity_key(vectors: Callable[[str], Any]) -> None:
    for case in vectors("eddystone_eid.json")["identity_key_agreement"]:
        raw = {name: bytes.fromhex(value) for name, value in case.items() if name != "note"}
        private = X25519PrivateKey.from_private_bytes(raw["resolver_private"])
        shared = private.exchange(X25519PublicKey.from_public_bytes(raw["beacon_public"]))
        salt = raw["resolver_public"] + raw["beacon_public"]
        assert HKDF(hashes.SHA256(), 32, salt=salt, info=b"").derive(shared)[:16] == raw["identity_key"]


@settings(max_examples=50)
@given(KEYS, st.integers(0, 15), st.integers(0, 2**32 - 1), st.integers(0, 200))
def test_many_ids_are_the_ids_one_by_one(key: bytes, exponent: int, at_s: int, n: int) -> None:
    first = at_s >> exponent
    ids = eid.derive_many(key, exponent, first, n)
    singly = [eid.derive(key, exponent, (first + index) << exponent) for index in range(n)]
    assert ids.dtype == "<u8"
    assert ids.tolist() == [int.from_bytes(one, "little") for one in singly]


@given(KEYS, st.integers(0, 15), st.integers(0, 2**32 - 1))
def test_an_id_stays_for_its_quantum_and_no_longer(key: bytes, exponent: int, at_s: int) -> None:
    start_s = eid.quantum_start_s(exponent, at_s)
    quantum_s = 1 << exponent
    now = eid.derive(key, exponent, at_s)
    assert now == eid.derive(key, exponent, start_s) == eid.derive(key, exponent, start_s + quantum_s - 1)
    assert now != eid.derive(key, exponent, start_s + quantum_s)
    assert now == eid.derive(key, exponent, at_s + 2**32)


@pytest.mark.parametrize("exponent", [-1, 16])
def test_an_exponent_out_of_range_is_refused(exponent: int) -> None:
    with pytest.raises(ValueError, match="exponent"):
        eid.derive(bytes(16), exponent, 0)
    with pytest.raises(ValueError, match="exponent"):
        eid.derive_many(bytes(16), exponent, 0, 1)


@pytest.mark.parametrize("octets", [0, 15, 24, 32])
def test_a_key_of_another_length_is_refused(octets: int) -> None:
    with pytest.raises(ValueError, match="key"):
        eid.derive(bytes(octets), 10, 0)
