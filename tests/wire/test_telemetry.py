from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire import frames, telemetry
from wire.errors import FrameError, SealError
from wire.frames import EtlmFrame, TlmFrame

TLMS = st.builds(
    TlmFrame,
    st.integers(0, 0xFFFF),
    st.none() | st.integers(-12_799, 12_799),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
)


def test_the_published_eax_vectors_hold(vectors: Callable[[str], Any]) -> None:
    for case in vectors("eddystone_eid.json")["aes_eax"]:
        raw = {name: bytes.fromhex(value) for name, value in case.items()}
        ciphertext, tag = telemetry.eax_encrypt(raw["key"], raw["nonce"], raw["msg"], header=raw["header"])
        assert ciphertext + tag == raw["cipher"]
        opened = telemetry.eax_decrypt(raw["key"], raw["nonce"], ciphertext, tag=tag, header=raw["header"])
        assert opened == raw["msg"]


@given(st.binary(min_size=16, max_size=16), st.integers(0, 15), st.integers(0, 2**32 - 1), TLMS)
def test_telemetry_opens_anywhere_in_its_quantum(key: bytes, exponent: int, at_s: int, tlm: TlmFrame) -> None:
    frame = telemetry.encrypt_tlm(key, exponent, at_s, tlm=tlm, salt=b"ab")
    start_s = at_s >> exponent << exponent
    assert telemetry.decrypt_tlm(key, exponent, start_s, frame=frame) == tlm


def test_our_vectors_hold(vectors: Callable[[str], Any]) -> None:
    for case in vectors("telemetry.json")["cases"]:
        frame = EtlmFrame(**{name: bytes.fromhex(value) for name, value in case["frame"].items()})
        key, exponent, at_s = bytes.fromhex(case["identity_key"]), case["rotation_exponent"], case["beacon_time_s"]
        assert telemetry.decrypt_tlm(key, exponent, at_s, frame=frame) == TlmFrame(**case["telemetry"])
        assert frames.decode(bytes.fromhex(case["adv_data"])) == frame


def test_telemetry_of_another_quantum_tag_or_content_does_not_open() -> None:
    frame = telemetry.encrypt_tlm(bytes(16), 10, 65_280, tlm=TlmFrame(3000, 2000, 5, 6), salt=b"ab")
    damaged = replace(frame, encrypted=bytes(12))
    for key, at_s, one in ((bytes(16), 70_000, frame), (b"\x01" * 16, 65_280, frame), (bytes(16), 65_280, damaged)):
        with pytest.raises(SealError):
            telemetry.decrypt_tlm(key, 10, at_s, frame=one)


@pytest.mark.parametrize("frame", [EtlmFrame(b"", b"ab", b"cd"), EtlmFrame(bytes(12), b"", b""),
                                   EtlmFrame(bytes(12), b"ab", b"")])  # fmt: skip
def test_a_frame_of_wrong_lengths_is_a_seal_error(frame: EtlmFrame) -> None:
    with pytest.raises(SealError):
        telemetry.decrypt_tlm(bytes(16), 10, 0, frame=frame)


def test_an_empty_tag_never_opens() -> None:
    with pytest.raises(SealError):
        telemetry.eax_decrypt(bytes(16), b"", b"x", tag=b"")


def test_what_does_not_fit_is_not_encrypted() -> None:
    tlm = TlmFrame(3000, 2000, 5, 6)
    with pytest.raises(SealError):
        telemetry.encrypt_tlm(bytes(16), 10, 0, tlm=tlm, salt=b"a")
    with pytest.raises(FrameError):
        telemetry.encrypt_tlm(bytes(16), 10, 0, tlm=replace(tlm, battery_mv=70_000), salt=b"ab")
