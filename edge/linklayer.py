"""Bluetooth LE link-layer packets as sniffers record them: access address, PDU, CRC.

Source: Bluetooth Core Specification 5.4, Vol 6, Part B, 2.1-2.3 (packets, advertising PDUs) and 3.1.1 (CRC);
pseudo-header of link type 256: tcpdump.org/linktypes/LINKTYPE_BLUETOOTH_LE_LL_WITH_PHDR.html.
"""

import struct
from typing import Final, NamedTuple

from edge.errors import CaptureError

ADVERTISING_ACCESS_ADDRESS: Final = 0x8E89BED6
PDU_NAMES: Final = (
    "ADV_IND",
    "ADV_DIRECT_IND",
    "ADV_NONCONN_IND",
    "SCAN_REQ",
    "SCAN_RSP",
    "CONNECT_IND",
    "ADV_SCAN_IND",
    "ADV_EXT_IND",
)
WITH_ADV_DATA: Final = frozenset({"ADV_IND", "ADV_NONCONN_IND", "ADV_SCAN_IND", "SCAN_RSP"})
DATA: Final = "DATA"

_PSEUDO_HEADER = struct.Struct("<BbbBIH")
_SIGNAL_VALID = 0x0002
_CRC_CHECKED = 0x0400
_CRC_VALID = 0x0800
_CRC_START = 0xAAAAAA
_CRC_POLYNOMIAL = 0xDA6000


class PduError(CaptureError):
    """One link-layer packet is malformed; the next may be well."""


class Pdu(NamedTuple):
    """One link-layer packet.

    Attributes:
        name: one of `PDU_NAMES`, `DATA` for the data channels, "ADV_<n>" for a type not assigned.
        address: the advertiser's 6 octets, most significant first; b"" where the packet has none.
        data: AdvData; b"" where the packet has none.
        rssi_dbm: None where the recorder did not say.
        has_good_crc: as the recorder says, else checked here (advertising channels alone).
    """

    name: str
    address: bytes
    data: bytes
    rssi_dbm: int | None
    has_good_crc: bool


def read_with_header(octets: bytes) -> Pdu:
    """Return a packet of link type 256.

    Raises:
        PduError: shorter than its headers, or a length that does not fit.
    """
    if len(octets) < _PSEUDO_HEADER.size:
        raise PduError("no room for the pseudo-header")
    _, signal_dbm, _, _, _, flags = _PSEUDO_HEADER.unpack_from(octets)
    pdu = read(octets[_PSEUDO_HEADER.size :], signal_dbm if flags & _SIGNAL_VALID else None)
    return pdu._replace(has_good_crc=bool(flags & _CRC_VALID)) if flags & _CRC_CHECKED else pdu


def read(octets: bytes, rssi_dbm: int | None = None) -> Pdu:
    """Return a packet of link type 251.

    Raises:
        PduError: shorter than its headers, or a length that does not fit.
    """
    if len(octets) < 9:
        raise PduError("shorter than access address, header and CRC")
    if int.from_bytes(octets[:4], "little") != ADVERTISING_ACCESS_ADDRESS:
        return Pdu(DATA, b"", b"", rssi_dbm, has_good_crc=True)
    kind, length = octets[4] & 0x0F, octets[5]
    name = PDU_NAMES[kind] if kind < len(PDU_NAMES) else f"ADV_{kind}"
    if kind < 7:
        length &= 0x3F
    body = octets[6 : 6 + length]
    trailer = octets[6 + length :]
    if len(body) != length or len(trailer) < 3:
        raise PduError("length does not fit")
    is_good = crc24(octets[4 : 6 + length]) == trailer[:3]
    return Pdu(name, _advertiser(name, body), body[6:] if name in WITH_ADV_DATA else b"", rssi_dbm, is_good)


def _advertiser(name: str, body: bytes) -> bytes:
    at = 6 if name in ("SCAN_REQ", "CONNECT_IND") else 0
    if name == "ADV_EXT_IND":
        return b""
    if len(body) < at + 6:
        raise PduError("no room for the address")
    return body[at : at + 6][::-1]


def crc24(pdu: bytes) -> bytes:
    """Return the three octets that follow a PDU on the advertising channels."""
    state = _CRC_START
    for octet in pdu:
        state ^= octet
        for _ in range(8):
            state = (state >> 1) ^ _CRC_POLYNOMIAL if state & 1 else state >> 1
    return state.to_bytes(3, "little")
