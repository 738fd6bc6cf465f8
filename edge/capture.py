"""Recorded Bluetooth captures, packet by packet: btsnoop, pcap and pcapng, from a file of any length.

Source: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng, tcpdump.org/linktypes.html; PPI: CACE Technologies, PPI header
format 1.0.10. Link types: 187 and 201 (HCI H4), 251 and 256 (LE link layer), 192 with an inner 147 or 251 (PPI).
"""

import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from edge.errors import CaptureError
from wire.btsnoop import MAGIC, BtsnoopError, BtsnoopReader

HCI_H4: Final = 187
PPI: Final = 192
HCI_H4_DIRECTION: Final = 201
LE_LL: Final = 251
LE_LL_HEADER: Final = 256
USER0: Final = 147
MAX_PACKET_OCTETS: Final = 1 << 18

_CHUNK_OCTETS = 1 << 16
_PCAP_MAGICS = {0xA1B2C3D4: 1_000, 0xA1B23C4D: 1_000_000}
_PPI = struct.Struct("<BBHI")
_PPI_BTLE = 30_006
_SECTION, _INTERFACE, _SIMPLE, _ENHANCED = 0x0A0D0D0A, 1, 3, 6
_IF_TSRESOL = 9


class Captured(NamedTuple):
    """One packet of a capture.

    Attributes:
        at_ms: UTC milliseconds; 0 where the format has no time.
        link_type: as above; PPI is taken off already.
        octets: H4 packet or link-layer packet.
        rssi_dbm: from a PPI header, else None.
    """

    at_ms: int
    link_type: int
    octets: bytes
    rssi_dbm: int | None = None


def read(path: Path) -> Iterator[Captured]:
    """Yield the packets of a capture file.

    Raises:
        CaptureError: not a capture of a kind named above, or damaged beyond the packets already yielded.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise CaptureError(f"cannot be read: {error.strerror}") from error
    with closing(file):
        start = file.read(8)
        file.seek(0)
        if start == MAGIC:
            yield from _btsnoop(file)
        elif start[:4] == _SECTION.to_bytes(4, "big"):
            yield from _pcapng(file)
        else:
            yield from _pcap(file)


def _btsnoop(file: BinaryIO) -> Iterator[Captured]:
    reader = BtsnoopReader()
    while chunk := file.read(_CHUNK_OCTETS):
        try:
            records = reader.feed(chunk)
        except BtsnoopError as error:
            raise CaptureError(str(error)) from error
        for record in records:
            yield Captured(record.at_us // 1000, HCI_H4, record.packet)
    if reader.left_octets:
        raise CaptureError("the file ends within a record")


def _pcap(file: BinaryIO) -> Iterator[Captured]:
    start = file.read(24)
    for order in "<>":
        magic = struct.unpack_from(f"{order}I", start)[0] if len(start) == 24 else 0
        if magic in _PCAP_MAGICS:
            break
    else:
        raise CaptureError("neither btsnoop, pcap nor pcapng")
    link_type = struct.unpack_from(f"{order}I", start, 20)[0] & 0x0FFF_FFFF
    header = struct.Struct(f"{order}IIII")
    while head := file.read(header.size):
        if len(head) < header.size:
            raise CaptureError("the file ends within a packet header")
        seconds, fraction, length, _ = header.unpack(head)
        yield _packet(seconds * 1000 + fraction // _PCAP_MAGICS[magic], link_type, _exactly(file, length))


def _exactly(file: BinaryIO, length: int) -> bytes:
    if length > MAX_PACKET_OCTETS:
        raise CaptureError(f"a packet of {length} octets")
    octets = file.read(length)
    if len(octets) != length:
        raise CaptureError("the file ends within a packet")
    return octets


def _pcapng(file: BinaryIO) -> Iterator[Captured]:
    order = "<"
    interfaces: list[tuple[int, int]] = []
    while head := file.read(8):
        if len(head) < 8:
            raise CaptureError("the file ends within a block header")
        if head[:4] == _SECTION.to_bytes(4, "big"):
            order = _byte_order(file)
            interfaces = []
        kind, length = struct.unpack(f"{order}II", head)
        if length < 12 or length % 4:
            raise CaptureError(f"a block of {length} octets")
        body = _exactly(file, length - 8)[:-4]
        try:
            if kind == _INTERFACE:
                interfaces.append(_interface(body, order))
            elif kind in (_ENHANCED, _SIMPLE):
                yield _block(kind, body, order, interfaces)
        except (struct.error, IndexError) as error:
            raise CaptureError("a block is too short, or names an interface that is not there") from error


def _byte_order(file: BinaryIO) -> str:
    magic = file.read(4)
    file.seek(-len(magic), 1)
    return ">" if magic == b"\x1a\x2b\x3c\x4d" else "<"


def _interface(body: bytes, order: str) -> tuple[int, int]:
    """Return link type and time units a second."""
    link_type = struct.unpack_from(f"{order}H", body)[0]
    at = 8
    per_second = 1_000_000
    while at + 4 <= len(body):
        code, length = struct.unpack_from(f"{order}HH", body, at)
        if code == _IF_TSRESOL and length == 1:
            exponent = body[at + 4]
            per_second = 2 ** (exponent & 0x7F) if exponent & 0x80 else 10**exponent
        at += 4 + (length + 3) // 4 * 4
    return link_type, per_second


def _block(kind: int, body: bytes, order: str, interfaces: list[tuple[int, int]]) -> Captured:
    if kind == _SIMPLE:
        length = struct.unpack_from(f"{order}I", body)[0]
        return _packet(0, interfaces[0][0], body[4 : 4 + length])
    interface, high, low, length, _ = struct.unpack_from(f"{order}5I", body)
    link_type, per_second = interfaces[interface]
    return _packet((high << 32 | low) * 1000 // per_second, link_type, body[20 : 20 + length])


def _packet(at_ms: int, link_type: int, octets: bytes) -> Captured:
    if link_type == PPI:
        return _unwrap(at_ms, octets)
    if link_type == HCI_H4_DIRECTION:
        return Captured(at_ms, HCI_H4, octets[4:])
    if link_type not in (HCI_H4, LE_LL, LE_LL_HEADER):
        raise CaptureError(f"link type {link_type} is not Bluetooth as we read it")
    return Captured(at_ms, link_type, octets)


def _unwrap(at_ms: int, octets: bytes) -> Captured:
    if len(octets) < _PPI.size:
        return Captured(at_ms, LE_LL, b"")
    _, _, length, inner = _PPI.unpack_from(octets)
    if inner not in (USER0, LE_LL):
        raise CaptureError(f"PPI with inner link type {inner}")
    return Captured(at_ms, LE_LL, octets[max(length, _PPI.size) :], _ppi_rssi_dbm(octets[_PPI.size : length]))


def _ppi_rssi_dbm(fields: bytes) -> int | None:
    """Return the strongest signal of the BTLE field, as Ubertooth writes it: version, MHz, clocks, RSSI."""
    at = 0
    while at + 4 <= len(fields):
        kind, length = struct.unpack_from("<HH", fields, at)
        if kind == _PPI_BTLE and length >= 12 and at + 16 <= len(fields):
            return int(struct.unpack_from("<b", fields, at + 12)[0])
        at += 4 + length
    return None
