import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire import btsnoop
from wire.btsnoop import BtsnoopError, BtsnoopReader

EVENT = bytes.fromhex("043e050201000000")


def stream(*packets: bytes, datalink: int = btsnoop.DATALINK_H4) -> bytes:
    records = [btsnoop.record(packet, at_us=1_000_000 + n, missed=n) for n, packet in enumerate(packets)]
    return btsnoop.header(datalink) + b"".join(records)


@given(st.lists(st.binary(max_size=80), max_size=8), st.lists(st.integers(1, 40), min_size=1, max_size=50))
def test_a_stream_in_pieces_of_any_length_gives_the_same_records(packets: list[bytes], lengths: list[int]) -> None:
    octets = stream(*packets)
    reader = BtsnoopReader()
    records = []
    at = 0
    for length in (*lengths, len(octets)):
        records += reader.feed(octets[at : at + length])
        at += length
    assert [record.packet for record in records] == packets
    assert [record.at_us for record in records] == [1_000_000 + n for n in range(len(packets))]
    assert reader.left_octets == 0


def test_a_record_tells_how_many_the_recorder_missed() -> None:
    assert [record.missed for record in BtsnoopReader().feed(stream(EVENT, EVENT, EVENT))] == [0, 1, 2]


def test_a_cut_file_leaves_octets_over() -> None:
    reader = BtsnoopReader()
    assert len(reader.feed(stream(EVENT, EVENT)[:-1])) == 1
    assert reader.left_octets == 24 + len(EVENT) - 1


@pytest.mark.parametrize(
    "octets",
    [
        b"notsnoop" + bytes(8),
        b"btsnoop\x00" + (2).to_bytes(4, "big") + (1002).to_bytes(4, "big"),
        b"btsnoop\x00" + (1).to_bytes(4, "big") + (1003).to_bytes(4, "big"),
        btsnoop.header() + b"\xff" * 24,
    ],
)
def test_what_is_no_stream_of_ours_is_refused(octets: bytes) -> None:
    with pytest.raises(BtsnoopError):
        BtsnoopReader().feed(octets)


@given(st.binary(max_size=300))
def test_nothing_but_a_btsnoop_error_comes_out_of_any_octets(octets: bytes) -> None:
    with contextlib.suppress(BtsnoopError):
        BtsnoopReader().feed(btsnoop.header() + octets)


@pytest.mark.parametrize(
    ("datalink", "flags", "expected"),
    [
        (btsnoop.DATALINK_HCI, 3, b"\x04" + EVENT[1:]),
        (btsnoop.DATALINK_HCI, 2, b""),
        (btsnoop.DATALINK_MONITOR, 3, b"\x04" + EVENT[1:]),
        (btsnoop.DATALINK_MONITOR, 2, b""),
    ],
)
def test_events_of_other_recorders_get_their_type_octet(datalink: int, flags: int, expected: bytes) -> None:
    octets = btsnoop.header(datalink) + btsnoop.record(EVENT[1:], at_us=0, flags=flags)
    assert BtsnoopReader().feed(octets)[0].packet == expected
