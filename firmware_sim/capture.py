"""Captures as other programs read them: btsnoop with HCI events, pcap and pcapng with link-layer advertising PDUs.

Sources: Bluetooth Core Specification 5.4, Vol 6, Part B, 2.3 (PDU), 3.1.1 (CRC); tcpdump.org link types 251
(LINKTYPE_BLUETOOTH_LE_LL) and 256 (LINKTYPE_BLUETOOTH_LE_LL_WITH_PHDR); pcapng draft-ietf-opsawg-pcapng.
"""

import functools
import struct
from typing import BinaryIO, Final, Literal, NamedTuple, Protocol

from firmware_sim.tag import Advert
from wire import btsnoop, hci

Format = Literal["btsnoop", "pcap", "pcapng"]
LINK_TYPE_LE: Final = 251
LINK_TYPE_LE_PHDR: Final = 256
ACCESS_ADDRESS: Final = 0x8E89BED6
_ADV_NONCONN_IND: Final = 0x02
_TX_ADD_RANDOM: Final = 0x40
_CRC_INIT: Final = 0xAAAAAA  # 0x555555 with its bits reversed, as octets go on air least significant bit first
_CRC_POLYNOMIAL: Final = 0xDA6000  # x^24 + x^10 + x^9 + x^6 + x^4 + x^3 + x + 1, reversed
_RF_CHANNELS: Final = {37: 0, 38: 12, 39: 39}
_PHDR: Final = struct.Struct("<BbbBIH")
# dewhitened, signal power valid, reference access address valid, CRC checked, CRC valid
_PHDR_FLAGS: Final = 0x0001 | 0x0002 | 0x0010 | 0x0400 | 0x0800
_CRC_TABLE: Final = tuple(
    functools.reduce(lambda crc, _: crc >> 1 ^ (_CRC_POLYNOMIAL if crc & 1 else 0), range(8), octet)
    for octet in range(256)
)


class Packet(NamedTuple):
    """One received advertisement.

    Attributes:
        at_us: Unix microseconds.
        channel: 37, 38 or 39.
    """

    at_us: int
    advert: Advert
    rssi_dbm: int
    channel: int


def crc24(pdu: bytes) -> bytes:
    """The 3 octets of CRC on an advertising channel, in the order in which captures keep them."""
    crc = _CRC_INIT
    for octet in pdu:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ octet) & 0xFF]
    return crc.to_bytes(3, "little")


def link_layer(advert: Advert) -> bytes:
    """Access address, ADV_NONCONN_IND PDU and CRC."""
    header = bytes((_ADV_NONCONN_IND | _TX_ADD_RANDOM, 6 + len(advert.data)))
    pdu = header + advert.address[::-1] + advert.data
    return ACCESS_ADDRESS.to_bytes(4, "little") + pdu + crc24(pdu)


def hci_event(advert: Advert, rssi_dbm: int) -> bytes:
    """The H4 LE Advertising Report event with which a controller tells its host."""
    return _event_but_rssi(advert) + (rssi_dbm & 0xFF).to_bytes(1, "little")


@functools.lru_cache(maxsize=4096)
def _event_but_rssi(advert: Advert) -> bytes:
    return hci.legacy_event([hci.Report("ADV_NONCONN_IND", advert.address, 0, advert.data)])[:-1]


class Writer(Protocol):
    """One open capture file."""

    def write(self, packet: Packet) -> None:
        """Append a packet."""


def open_writer(file: BinaryIO, kind: Format, link_type: int = LINK_TYPE_LE_PHDR) -> Writer:
    """A writer that has put the file's header down. `link_type` counts for pcap and pcapng only: 251 or 256."""
    if kind == "btsnoop":
        return BtsnoopWriter(file)
    if kind == "pcap":
        return PcapWriter(file, link_type)
    return PcapngWriter(file, link_type)


class BtsnoopWriter:
    """btsnoop, HCI UART (H4)."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        file.write(btsnoop.header())

    def write(self, packet: Packet) -> None:
        """Append one LE Advertising Report event."""
        self._file.write(btsnoop.record(hci_event(packet.advert, packet.rssi_dbm), at_us=packet.at_us))


class PcapWriter:
    """Classic pcap, microseconds, little-endian."""

    def __init__(self, file: BinaryIO, link_type: int) -> None:
        self._file = file
        self._link_type = link_type
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, link_type))

    def write(self, packet: Packet) -> None:
        """Append one PDU."""
        data = _link_type_data(packet, self._link_type)
        seconds, micros = divmod(packet.at_us, 1_000_000)
        self._file.write(struct.pack("<IIII", seconds, micros, len(data), len(data)) + data)


class PcapngWriter:
    """pcapng: one section, one interface, enhanced packet blocks."""

    def __init__(self, file: BinaryIO, link_type: int) -> None:
        self._file = file
        self._link_type = link_type
        file.write(_block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)))
        file.write(_block(1, struct.pack("<HHI", link_type, 0, 65_535)))

    def write(self, packet: Packet) -> None:
        """Append one PDU."""
        data = _link_type_data(packet, self._link_type)
        head = struct.pack("<IIIII", 0, packet.at_us >> 32, packet.at_us & 0xFFFFFFFF, len(data), len(data))
        self._file.write(_block(6, head + data + bytes(-len(data) % 4)))


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


def _link_type_data(packet: Packet, link_type: int) -> bytes:
    data = link_layer(packet.advert)
    if link_type == LINK_TYPE_LE:
        return data
    return _PHDR.pack(_RF_CHANNELS[packet.channel], packet.rssi_dbm, 0, 0, ACCESS_ADDRESS, _PHDR_FLAGS) + data
