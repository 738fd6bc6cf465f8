import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import linklayer
from edge.linklayer import PduError

# The first packet of tests/vectors/captures/crackle/pairing_and_ltk_exchange.pcap, as it was on the air in 2013.
ADV_IND = bytes.fromhex("d6be898e0009e8dd6ee5c578020105c63c96")


def test_a_recorded_advertisement_reads_with_a_good_crc() -> None:
    pdu = linklayer.read(ADV_IND, -61)
    assert (pdu.name, pdu.address.hex(":"), pdu.data.hex()) == ("ADV_IND", "78:c5:e5:6e:dd:e8", "020105")
    assert (pdu.rssi_dbm, pdu.has_good_crc) == (-61, True)


@given(st.integers(4 * 8, len(ADV_IND) * 8 - 1))
def test_one_bit_turned_over_is_seen(bit: int) -> None:
    octets = bytearray(ADV_IND)
    octets[bit // 8] ^= 1 << bit % 8
    with contextlib.suppress(PduError):  # where it was a bit of the length
        assert not linklayer.read(bytes(octets)).has_good_crc


@pytest.mark.parametrize(
    ("flags", "rssi_dbm", "has_good_crc"),
    [(0x0000, None, True), (0x0002, -50, True), (0x0400, None, False), (0x0C02, -50, True)],
)
def test_the_pseudo_header_says_strength_and_crc(flags: int, rssi_dbm: int | None, has_good_crc: bool) -> None:  # noqa: FBT001 -- parametrized
    header = bytes((37, 0xCE, 0, 0)) + bytes(4) + flags.to_bytes(2, "little")
    pdu = linklayer.read_with_header(header + ADV_IND)
    assert (pdu.rssi_dbm, pdu.has_good_crc) == (rssi_dbm, has_good_crc)


def test_other_channels_are_data() -> None:
    assert linklayer.read(b"\x11\x22\x33\x44" + bytes(20)).name == "DATA"


@pytest.mark.parametrize(
    "octets", [b"", ADV_IND[:8], ADV_IND[:-1], ADV_IND[:5] + b"\x3f" + ADV_IND[6:], ADV_IND[:4] + bytes(5)]
)
def test_a_malformed_packet_is_refused(octets: bytes) -> None:
    with pytest.raises(PduError):
        linklayer.read(octets)


@given(st.binary(max_size=60))
def test_nothing_but_a_pdu_error_comes_out_of_any_octets(octets: bytes) -> None:
    for read in (linklayer.read, linklayer.read_with_header):
        for start in (b"", ADV_IND[:4]):
            with contextlib.suppress(PduError):
                read(start + octets)
