"""HCI LE advertising reports: what a Bluetooth controller says it heard.

Source: Bluetooth Core Specification 5.4, Vol 4, Part E, 7.7.65.2 (LE Advertising Report) and 7.7.65.13 (LE Extended
Advertising Report); H4 framing from Vol 4, Part A. Reports of one event follow each other whole, as controllers send
them and the Linux kernel reads them.
"""

import struct
from typing import Final, NamedTuple

from wire.errors import WireError

EVENT_LE_META: Final = 0x3E
LE_ADVERTISING_REPORT: Final = 0x02
LE_EXTENDED_ADVERTISING_REPORT: Final = 0x0D
NO_RSSI_DBM: Final = 127
"""What a controller writes when it could not measure; BlueZ writes -127 over D-Bus."""

PDU_NAMES: Final = ("ADV_IND", "ADV_DIRECT_IND", "ADV_SCAN_IND", "ADV_NONCONN_IND", "SCAN_RSP")
"""By the event type of the legacy report."""

_LEGACY = struct.Struct("<BB6sB")
_EXTENDED = struct.Struct("<HB6sBBBbbHB6sB")
_LEGACY_PDU = 0x10
_EXTENDED_TYPES = {0x13: 0, 0x15: 1, 0x12: 2, 0x10: 3, 0x1B: 4, 0x1A: 4}
_DATA_STATUS = 0x60


class HciError(WireError):
    """The octets are no well-formed HCI packet."""


class Report(NamedTuple):
    """One advertising report.

    Attributes:
        pdu: one of `PDU_NAMES`, or "ADV_EXT_IND".
        address: 6 octets, most significant first.
        rssi_dbm: -127..20, or None where the controller could not measure.
        data: AdvData, up to 31 octets (legacy) or 229 (extended).
        is_whole: False for a fragment of a chained extended advertisement.
    """

    pdu: str
    address: bytes
    rssi_dbm: int | None
    data: bytes
    is_whole: bool = True


def legacy_event(reports: list[Report]) -> bytes:
    """Return one H4 LE Advertising Report event, random addresses."""
    body = b"".join(
        _LEGACY.pack(PDU_NAMES.index(r.pdu), 1, r.address[::-1], len(r.data))
        + r.data
        + struct.pack("<b", NO_RSSI_DBM if r.rssi_dbm is None else r.rssi_dbm)
        for r in reports
    )
    parameters = bytes((LE_ADVERTISING_REPORT, len(reports))) + body
    return bytes((0x04, EVENT_LE_META, len(parameters))) + parameters


def reports(packet: bytes) -> list[Report]:
    """Return the advertising reports of one H4 packet, [] for any other well-formed packet.

    Raises:
        HciError: a length that does not fit, or an event type outside the specification.
    """
    if len(packet) < 3 or packet[0] != 0x04:
        return _no_reports(packet)
    if packet[2] != len(packet) - 3:
        raise HciError("event length does not fit")
    if packet[1] != EVENT_LE_META:
        return []
    if len(packet) < 5:
        raise HciError("LE event without a body")
    if packet[3] == LE_ADVERTISING_REPORT:
        return _legacy(packet, packet[4])
    if packet[3] == LE_EXTENDED_ADVERTISING_REPORT:
        return _extended(packet, packet[4])
    return []


def _no_reports(packet: bytes) -> list[Report]:
    if packet and packet[0] == 0x04:
        raise HciError("short event")
    return []


def _legacy(packet: bytes, count: int) -> list[Report]:
    found = []
    at = 5
    try:
        for _ in range(count):
            event_type, _, address, length = _LEGACY.unpack_from(packet, at)
            stop = at + _LEGACY.size + length
            rssi = packet[stop]
            data = packet[at + _LEGACY.size : stop]
            found.append(Report(PDU_NAMES[event_type], address[::-1], _rssi_dbm(rssi), data))
            at = stop + 1
    except (struct.error, IndexError) as error:
        raise HciError("advertising report cut short or of unknown type") from error
    return _if_used_up(found, at, packet)


def _extended(packet: bytes, count: int) -> list[Report]:
    found = []
    at = 5
    try:
        for _ in range(count):
            fields = _EXTENDED.unpack_from(packet, at)
            event_type, address, rssi, length = fields[0], fields[2], fields[7], fields[11]
            at += _EXTENDED.size
            data = packet[at : at + length]
            at += length
            pdu = PDU_NAMES[_EXTENDED_TYPES[event_type & 0x1F]] if event_type & _LEGACY_PDU else "ADV_EXT_IND"
            whole = not event_type & _DATA_STATUS
            found.append(Report(pdu, address[::-1], _rssi_dbm(rssi & 0xFF), data, whole))
    except (struct.error, KeyError) as error:
        raise HciError("extended advertising report cut short or of unknown type") from error
    return _if_used_up(found, at, packet)


def _if_used_up(found: list[Report], at: int, packet: bytes) -> list[Report]:
    if at != len(packet):
        raise HciError("octets left over, or missing, after the last report")
    return found


def _rssi_dbm(octet: int) -> int | None:
    if octet in (NO_RSSI_DBM, 0x81):
        return None
    return octet - 256 if octet > 127 else octet
