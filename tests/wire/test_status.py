from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from wire import frames, status
from wire.eid import derive
from wire.errors import SealError
from wire.status import StatusKeys, TagStatus

KEYS = st.binary(min_size=16, max_size=16)
EIDS = st.binary(min_size=8, max_size=8)
STATUSES = st.builds(
    TagStatus, st.integers(0, 255), st.booleans(), st.booleans(), st.booleans(), battery_dv=st.integers(20, 35)
)


def aes(key: bytes, block: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    return encryptor.update(block) + encryptor.finalize()


def doubled(block: bytes) -> bytes:
    shifted = int.from_bytes(block, "big") << 1
    return ((shifted & (2**128 - 1)) ^ (0x87 if shifted >> 128 else 0)).to_bytes(16, "big")


def cmac_of_one_block(key: bytes, message: bytes) -> bytes:
    """CMAC of fewer than 16 octets, straight from RFC 4493: what firmware does with one AES call after set-up."""
    k2 = doubled(doubled(aes(key, bytes(16))))
    padded = message + b"\x80" + bytes(15 - len(message))
    return aes(key, bytes(a ^ b for a, b in zip(padded, k2, strict=True)))


def test_our_own_cmac_gives_the_one_of_rfc_4493() -> None:
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    assert cmac_of_one_block(key, b"").hex() == "bb1d6929e95937287fa37d129b756746"


@given(KEYS, EIDS, STATUSES)
def test_a_status_survives_its_seal(key: bytes, eid: bytes, said: TagStatus) -> None:
    keys = StatusKeys.of(key)
    sealed = status.seal(keys, eid, said)
    assert len(sealed) == 6
    assert status.open_(keys, eid, sealed) == said


@given(KEYS, EIDS, STATUSES)
def test_a_firmware_written_from_the_document_seals_alike(identity_key: bytes, eid: bytes, said: TagStatus) -> None:
    mac_key, enc_key = aes(identity_key, b"MIMAMORI-mac-v1\x01"), aes(identity_key, b"MIMAMORI-enc-v1\x02")
    bits = said.sos << 7 | said.moving << 6 | said.clock_lost << 5 | (said.battery_dv - 20)
    body = bytes((said.step, bits))
    tag = cmac_of_one_block(mac_key, eid + body)[:4]
    mask = aes(enc_key, eid + tag + bytes(4))
    firmware = tag + bytes((body[0] ^ mask[0], body[1] ^ mask[1]))
    assert status.seal(StatusKeys.of(identity_key), eid, said) == firmware


def test_our_vectors_hold(vectors: Callable[[str], Any]) -> None:
    for case in vectors("status.json")["cases"]:
        key, eid, sealed = (bytes.fromhex(case[name]) for name in ("identity_key", "eid", "sealed"))
        keys = StatusKeys.of(key)
        assert (keys.mac_key.hex(), keys.enc_key.hex()) == (case["mac_key"], case["enc_key"])
        assert derive(key, 10, case["beacon_time_s"]) == eid
        assert status.open_(keys, eid, sealed) == TagStatus(**case["status"])
        assert status.step_of(case["beacon_time_s"]) == case["status"]["step"]
        assert frames.decode(bytes.fromhex(case["adv_data"])) == frames.EidFrame(case["tx_power_dbm"], eid, sealed)


@given(KEYS, EIDS, STATUSES, st.integers(0, 13 * 8 - 1))
def test_one_bit_changed_in_id_or_seal_does_not_open(key: bytes, eid: bytes, said: TagStatus, bit: int) -> None:
    keys = StatusKeys.of(key)
    both = bytearray(eid + status.seal(keys, eid, said))
    both[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SealError):
        status.open_(keys, bytes(both[:8]), bytes(both[8:]))


def test_twenty_thousand_forgeries_do_not_open() -> None:
    keys, eid = StatusKeys.of(bytes(range(16))), bytes(8)
    opened = 0
    for number in range(20_000):
        try:
            status.open_(keys, eid, (number * 0x9E3779B97F4A % 2**48).to_bytes(6, "big"))
            opened += 1
        except SealError:
            pass
    assert opened == 0


def test_keys_do_not_print_themselves() -> None:
    keys = StatusKeys.of(bytes(16))
    assert keys.mac_key.hex() not in repr(keys)
    assert str(keys.mac_key) not in repr(keys)


@pytest.mark.parametrize(
    "said", [TagStatus(256), TagStatus(-1), TagStatus(0, battery_dv=19), TagStatus(0, battery_dv=36)]
)
def test_a_status_out_of_range_is_not_sealed(said: TagStatus) -> None:
    with pytest.raises(SealError):
        status.seal(StatusKeys.of(bytes(16)), bytes(8), said)


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_any_octets_open_or_are_a_seal_error(eid: bytes, sealed: bytes) -> None:
    keys = StatusKeys.of(bytes(16))
    with pytest.raises(SealError):
        status.open_(keys, eid, sealed)
    if len(eid) != 8:
        with pytest.raises(SealError):
            status.seal(keys, eid, TagStatus(0))


def test_a_voltage_is_kept_within_what_a_status_can_say() -> None:
    assert [status.battery_dv(mv) for mv in (1_500, 2_000, 2_999, 3_000, 9_000)] == [20, 20, 29, 30, 35]
