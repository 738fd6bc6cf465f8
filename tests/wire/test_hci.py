import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire import hci
from wire.hci import HciError, Report

ADDRESS = bytes.fromhex("c00000000001")
# Published test packet of custom-components/ble_monitor (MIT): an iBeacon heard by a real controller.
IBEACON = bytes.fromhex("043E2A02010001433EA2C96B6A1E02011A1AFF4C000215E2C56DB5DFFB48D2B060D0F5A71096E000640000C5B3")


def extended(event_type: int, rssi_dbm: int, data: bytes) -> bytes:
    fields = event_type.to_bytes(2, "little") + b"\x01" + ADDRESS[::-1] + bytes((1, 0, 0xFF, 0x7F, rssi_dbm & 0xFF))
    body = fields + bytes(2) + bytes(1) + bytes(6) + bytes((len(data),)) + data
    return bytes((0x04, 0x3E, len(body) + 2, 0x0D, 1)) + body


def test_a_published_report_reads_as_its_publisher_says() -> None:
    (report,) = hci.reports(IBEACON)
    assert report.address.hex() == "6a6bc9a23e43"
    assert (report.pdu, report.rssi_dbm, len(report.data)) == ("ADV_IND", -77, 30)


@given(
    st.lists(
        st.builds(
            Report,
            st.sampled_from(hci.PDU_NAMES),
            st.binary(min_size=6, max_size=6),
            st.integers(-126, 20) | st.none(),
            st.binary(max_size=31),
            is_whole=st.just(True),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_reports_survive_the_round_trip(reports: list[Report]) -> None:
    assert hci.reports(hci.legacy_event(reports)) == reports


def test_an_extended_report_of_a_legacy_pdu_keeps_its_name() -> None:
    assert hci.reports(extended(0x10, -80, b"\x02\x01\x06")) == [
        Report("ADV_NONCONN_IND", ADDRESS, -80, b"\x02\x01\x06", is_whole=True)
    ]


def test_a_fragment_of_a_chain_says_so() -> None:
    (report,) = hci.reports(extended(0x20, -80, b"abc"))
    assert (report.pdu, report.is_whole) == ("ADV_EXT_IND", False)


@pytest.mark.parametrize("packet", [b"", b"\x01\x03\x0c\x00", b"\x02\x00\x00\x00", bytes.fromhex("040e0401030c00")])
def test_other_packets_hold_no_reports(packet: bytes) -> None:
    assert hci.reports(packet) == []


@pytest.mark.parametrize(
    "packet",
    [
        b"\x04",
        b"\x04\x3e",
        IBEACON[:-1],
        IBEACON + b"\x00",
        bytes.fromhex("043e0102"),
        bytes.fromhex("043e020201"),
        IBEACON[:5] + b"\x09" + IBEACON[6:],
        extended(0x1F, -80, b""),
        extended(0x10, -80, b"abc")[:2] + b"\x05" + extended(0x10, -80, b"abc")[3:8],
    ],
)
def test_a_malformed_packet_is_refused(packet: bytes) -> None:
    with pytest.raises(HciError):
        hci.reports(packet)


@given(st.binary(max_size=60))
def test_nothing_but_an_hci_error_comes_out_of_any_octets(octets: bytes) -> None:
    for packet in (octets, b"\x04\x3e" + octets, b"\x04\x3e" + bytes((len(octets) & 0xFF,)) + octets):
        with contextlib.suppress(HciError):
            hci.reports(packet)


def test_octets_after_the_last_report_are_refused() -> None:
    whole = hci.legacy_event([Report("ADV_NONCONN_IND", bytes(6), -60, b"")])
    longer = whole[:2] + bytes((whole[2] + 1,)) + whole[3:] + b"x"
    with pytest.raises(HciError, match="left over"):
        hci.reports(longer)
