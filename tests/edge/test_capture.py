import contextlib
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge import capture
from edge.errors import CaptureError

CRACKLE = Path(__file__).parents[1] / "vectors" / "captures" / "crackle"
PACKET = bytes.fromhex("d6be898e0009e8dd6ee5c578020105c63c96")


def pcap(*packets: bytes, link_type: int = 251, order: str = "<", magic: int = 0xA1B2C3D4) -> bytes:
    head = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 65535, link_type)
    return head + b"".join(struct.pack(f"{order}IIII", 1, 500, len(p), len(p)) + p for p in packets)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    padded = body + bytes(-len(body) % 4)
    length = struct.pack(f"{order}I", len(padded) + 12)
    return struct.pack(f"{order}I", kind) + length + padded + length


def pcapng(*blocks: bytes, order: str = "<") -> bytes:
    section = struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1)
    return block(0x0A0D0D0A, section, order) + b"".join(blocks)


def interface(link_type: int = 251, order: str = "<", options: bytes = b"") -> bytes:
    return block(1, struct.pack(f"{order}HHI", link_type, 0, 0) + options, order)


def enhanced(packet: bytes, stamp: int, number: int = 0, order: str = "<") -> bytes:
    return block(
        6, struct.pack(f"{order}5I", number, stamp >> 32, stamp & 0xFFFFFFFF, len(packet), len(packet)) + packet, order
    )


def read(octets: bytes, tmp_path: Path) -> list[capture.Captured]:
    file = tmp_path / "capture"
    file.write_bytes(octets)
    return list(capture.read(file))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("magic", "at_ms"), [(0xA1B2C3D4, 1_000), (0xA1B23C4D, 1_000)])
def test_pcap_of_either_order_and_resolution_reads(order: str, magic: int, at_ms: int, tmp_path: Path) -> None:
    assert read(pcap(PACKET, PACKET, order=order, magic=magic), tmp_path) == [capture.Captured(at_ms, 251, PACKET)] * 2


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng_of_either_order_reads(order: str, tmp_path: Path) -> None:
    octets = pcapng(interface(order=order), enhanced(PACKET, 7_000_999, order=order), order=order)
    assert read(octets, tmp_path) == [capture.Captured(7_000, 251, PACKET)]


@pytest.mark.parametrize(("resolution", "stamp"), [(9, 7_000_000_000), (3, 7_000), (0x80 | 10, 7 << 10)])
def test_pcapng_resolutions_are_obeyed(resolution: int, stamp: int, tmp_path: Path) -> None:
    options = struct.pack("<HHB3x", 9, 1, resolution)
    assert read(pcapng(interface(options=options), enhanced(PACKET, stamp)), tmp_path)[0].at_ms == 7_000


def test_simple_and_unknown_blocks_are_read_and_passed_over(tmp_path: Path) -> None:
    octets = pcapng(interface(), block(5, bytes(8)), block(3, struct.pack("<I", len(PACKET)) + PACKET))
    assert read(octets, tmp_path) == [capture.Captured(0, 251, PACKET)]


def test_hci_with_a_direction_loses_it(tmp_path: Path) -> None:
    assert read(pcap(b"\0\0\0\1\x04\x3e", link_type=201), tmp_path)[0] == capture.Captured(1_000, 187, b"\x04\x3e")


def test_ppi_gives_the_inner_packet_and_the_recorded_strength() -> None:
    first = next(capture.read(CRACKLE / "pairing_and_ltk_exchange.pcap"))
    assert (first.link_type, first.rssi_dbm, first.octets) == (251, -24, PACKET)


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"not a capture at all, but long enough",
        pcap()[:20],
        pcap(PACKET)[:-1],
        pcap(PACKET)[:30],
        pcap(PACKET, link_type=1),
        pcap(struct.pack("<BBHI", 0, 0, 8, 105) + PACKET, link_type=192),
        pcap()[:24] + struct.pack("<IIII", 0, 0, 1 << 30, 1 << 30),
        pcapng(enhanced(PACKET, 0)),
        pcapng(interface(), block(6, b"")),
        pcapng(b"\x06\0\0\0\x05\0\0\0"),
        pcapng(interface())[:-6],
        b"btsnoop\x00" + bytes(8),
        b"btsnoop\x00" + struct.pack(">II", 1, 1002) + b"cut",
    ],
)
def test_what_is_no_capture_or_damaged_is_refused(octets: bytes, tmp_path: Path) -> None:
    with pytest.raises(CaptureError):
        read(octets, tmp_path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CaptureError):
        list(capture.read(tmp_path / "none"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    octets=st.binary(max_size=200),
    start=st.sampled_from([b"", pcap(), pcapng(), pcapng(interface()), pcap(link_type=192)]),
)
def test_nothing_but_a_capture_error_comes_out_of_any_octets(octets: bytes, start: bytes, tmp_path: Path) -> None:
    with contextlib.suppress(CaptureError):
        read(start + octets, tmp_path)
