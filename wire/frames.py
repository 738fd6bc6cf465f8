"""Advertising data of tags and back: Eddystone-EID (with our sealed status), -UID, -TLM, -eTLM and iBeacon.

Layouts: docs/WIRE.md; google/eddystone eddystone-{eid,uid,tlm}; Bluetooth Core Specification 5.4, vol. 3, part C, 11
(advertising data format); Apple, Proximity Beacon Specification R1.
"""

import hashlib
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from wire.errors import FrameError

EDDYSTONE_UUID16: Final = 0xFEAA
# Not assigned to anybody when this was written. A city that buys its own tags needs a member UUID: see docs/WIRE.md.
STATUS_UUID16: Final = 0xFC00
APPLE_COMPANY: Final = 0x004C
KIND_EID: Final = 0
KIND_PLAIN_EID: Final = 1
KIND_UID: Final = 2
KIND_IBEACON: Final = 3

_MAX_ADV_OCTETS = 31
_FLAGS = b"\x02\x01\x06"
_BASE_UUID = "-0000-1000-8000-00805f9b34fb"
_UUID_OCTETS = {0x16: 2, 0x20: 4, 0x21: 16}
_MANUFACTURER = 0xFF
_NO_TEMPERATURE = -0x8000
_TLM = struct.Struct(">HhII")


@dataclass(frozen=True, slots=True)
class EidFrame:
    """An ephemeral id. `eid` is 8 octets, `sealed` our 6 octets of status, None on a tag that only speaks Eddystone."""

    tx_power_dbm: int
    eid: bytes
    sealed: bytes | None = None


@dataclass(frozen=True, slots=True)
class UidFrame:
    """A static id: `namespace` of 10 octets, `instance` of 6. Traceable by anyone."""

    tx_power_dbm: int
    namespace: bytes
    instance: bytes


@dataclass(frozen=True, slots=True)
class TlmFrame:
    """Plain telemetry. `temp_cdeg` in hundredths of a degree Celsius or None, `uptime_ds` in tenths of a second."""

    battery_mv: int
    temp_cdeg: int | None
    adv_count: int
    uptime_ds: int


@dataclass(frozen=True, slots=True)
class EtlmFrame:
    """Encrypted telemetry: 12 octets, 2 of salt and 2 of message integrity check; see wire/telemetry.py."""

    encrypted: bytes
    salt: bytes
    mic: bytes


@dataclass(frozen=True, slots=True)
class IBeaconFrame:
    """A static id: `uuid` of 16 octets and two 16-bit numbers; power is at 1 m. Traceable by anyone."""

    uuid: bytes
    major: int
    minor: int
    tx_power_dbm: int


Frame = EidFrame | UidFrame | TlmFrame | EtlmFrame | IBeaconFrame


def uuid_text(uuid16: int) -> str:
    """Return the 128-bit text form of a 16-bit UUID, as BlueZ and bleak spell it."""
    return f"{uuid16:08x}{_BASE_UUID}"


_EDDYSTONE = uuid_text(EDDYSTONE_UUID16)
_STATUS = uuid_text(STATUS_UUID16)


def decode(adv_data: bytes) -> Frame | None:
    """Return the frame in the octets of an advertisement, None if they are well formed but hold no frame of ours.

    Raises:
        FrameError: a structure runs past the end, or a frame of ours has a wrong length.
    """
    service_data: dict[str, bytes] = {}
    manufacturer_data: dict[int, bytes] = {}
    for kind, value in _structures(adv_data):
        if kind in _UUID_OCTETS:
            width = _UUID_OCTETS[kind]
            if len(value) < width:
                raise FrameError("service data without its UUID")
            service_data.setdefault(_uuid(value[:width]), value[width:])
        elif kind == _MANUFACTURER:
            if len(value) < 2:
                raise FrameError("manufacturer data without its company")
            manufacturer_data.setdefault(int.from_bytes(value[:2], "little"), value[2:])
    return decode_fields(service_data, manufacturer_data)


def told(
    service_data: Mapping[str, bytes], manufacturer_data: Mapping[int, bytes]
) -> tuple[bytes | None, bytes | None, bytes | None]:
    """Return all that `decode_fields` looks at: the same gives the same frame."""
    return service_data.get(_EDDYSTONE), service_data.get(_STATUS), manufacturer_data.get(APPLE_COMPANY)


def decode_fields(service_data: Mapping[str, bytes], manufacturer_data: Mapping[int, bytes]) -> Frame | None:
    """Return the frame in an advertisement that a Bluetooth stack took apart already, None if there is none of ours.

    Args:
        service_data: by UUID, 128-bit lower-case text, as bleak gives it.
        manufacturer_data: by company identifier.

    Raises:
        FrameError: a frame of ours has a wrong length.
    """
    eddystone = service_data.get(_EDDYSTONE)
    if eddystone is not None:
        if not eddystone:
            raise FrameError("Eddystone service data without a frame type")
        if eddystone[0] == 0x30:
            return _eid(eddystone, service_data.get(_STATUS))
        reader = _EDDYSTONE_READERS.get(eddystone[0])
        if reader is not None:
            return reader(eddystone)
    apple = manufacturer_data.get(APPLE_COMPANY)
    if apple is not None and apple[:2] == b"\x02\x15":
        return _ibeacon(apple)
    return None


def encode(frame: Frame) -> bytes:
    """Return the advertising data of a frame, at most 31 octets.

    Raises:
        FrameError: a field has a wrong length or does not fit its octets.
    """
    try:
        data = _encode(frame)
    except (struct.error, OverflowError) as error:
        raise FrameError(f"a field does not fit: {error}") from error
    if len(data) > _MAX_ADV_OCTETS:  # pragma: no cover - lengths are checked field by field; this guards new frames
        raise FrameError("more than 31 octets")
    return data


def tlm_octets(frame: TlmFrame) -> bytes:
    """Return the 12 octets of telemetry that plain and encrypted frames share.

    Raises:
        FrameError: a field does not fit its octets.
    """
    raw = _NO_TEMPERATURE if frame.temp_cdeg is None else round(frame.temp_cdeg * 256 / 100)
    if raw == _NO_TEMPERATURE and frame.temp_cdeg is not None:
        raw += 1  # the coldest that can be said is not "none"
    try:
        return _TLM.pack(frame.battery_mv, raw, frame.adv_count, frame.uptime_ds)
    except struct.error as error:
        raise FrameError(f"a field does not fit: {error}") from error


def tlm_of(octets: bytes) -> TlmFrame:
    """Return the telemetry in its 12 octets; the other half of `tlm_octets`."""
    battery_mv, raw, adv_count, uptime_ds = _TLM.unpack(octets)
    temp_cdeg = None if raw == _NO_TEMPERATURE else round(raw * 100 / 256)
    return TlmFrame(battery_mv, temp_cdeg, adv_count, uptime_ds)


def sighting_id(frame: Frame) -> tuple[int, bytes] | None:
    """Return kind and 8 octets that a batch carries for a frame, None for frames without an id (telemetry)."""
    match frame:
        case EidFrame(sealed=None):
            return KIND_PLAIN_EID, frame.eid
        case EidFrame():
            return KIND_EID, frame.eid
        case UidFrame():
            return KIND_UID, uid_hash(frame.namespace, frame.instance)
        case IBeaconFrame():
            return KIND_IBEACON, ibeacon_hash(frame.uuid, frame.major, frame.minor)
        case _:
            return None


def uid_hash(namespace: bytes, instance: bytes) -> bytes:
    """Return the 8 octets by which a batch names an Eddystone-UID."""
    return hashlib.sha256(b"uid" + namespace + instance).digest()[:8]


def ibeacon_hash(uuid: bytes, major: int, minor: int) -> bytes:
    """Return the 8 octets by which a batch names an iBeacon."""
    return hashlib.sha256(b"ibeacon" + uuid + struct.pack(">HH", major, minor)).digest()[:8]


def _structures(adv_data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(adv_data):
        length = adv_data[at]
        if length == 0:  # early termination: what follows is padding
            return
        if at + 1 + length > len(adv_data):
            raise FrameError("a structure runs past the end of the advertisement")
        yield adv_data[at + 1], adv_data[at + 2 : at + 1 + length]
        at += 1 + length


def _uuid(little_endian: bytes) -> str:
    if len(little_endian) == 16:
        text = little_endian[::-1].hex()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
    return f"{int.from_bytes(little_endian, 'little'):08x}{_BASE_UUID}"


def _eid(data: bytes, status: bytes | None) -> EidFrame:
    if len(data) != 10:
        raise FrameError("an Eddystone-EID frame has 10 octets")
    if status is not None and len(status) != 6:
        raise FrameError("sealed status has 6 octets")
    return EidFrame(_int8(data[1]), bytes(data[2:10]), None if status is None else bytes(status))


def _uid(data: bytes) -> UidFrame:
    if len(data) not in (18, 20):  # many beacons leave out the two reserved octets
        raise FrameError("an Eddystone-UID frame has 18 or 20 octets")
    return UidFrame(_int8(data[1]), bytes(data[2:12]), bytes(data[12:18]))


def _tlm(data: bytes) -> TlmFrame | EtlmFrame | None:
    version = data[1] if len(data) > 1 else None
    if version == 0 and len(data) == 14:
        return tlm_of(data[2:])
    if version == 1 and len(data) == 18:
        return EtlmFrame(bytes(data[2:14]), bytes(data[14:16]), bytes(data[16:18]))
    if version in (None, 0, 1):
        raise FrameError("an Eddystone-TLM frame has 14 octets, an encrypted one 18")
    return None  # a version that we do not know


def _ibeacon(data: bytes) -> IBeaconFrame:
    if len(data) != 23:
        raise FrameError("an iBeacon frame has 23 octets after its company")
    major, minor = struct.unpack_from(">HH", data, 18)
    return IBeaconFrame(bytes(data[2:18]), major, minor, _int8(data[22]))


_EDDYSTONE_READERS: Mapping[int, Callable[[bytes], Frame | None]] = {0x00: _uid, 0x20: _tlm}


def _int8(octet: int) -> int:
    return octet - 256 if octet > 127 else octet


def _encode(frame: Frame) -> bytes:
    match frame:
        case EidFrame():
            data = _eddystone(b"\x30" + struct.pack("b", frame.tx_power_dbm) + _exactly(frame.eid, 8, "eid"))
            if frame.sealed is None:
                return data
            sealed = _exactly(frame.sealed, 6, "sealed")
            return data + _structure(0x16, STATUS_UUID16.to_bytes(2, "little") + sealed)
        case UidFrame():
            ids = _exactly(frame.namespace, 10, "namespace") + _exactly(frame.instance, 6, "instance")
            return _eddystone(b"\x00" + struct.pack("b", frame.tx_power_dbm) + ids + bytes(2))
        case TlmFrame():
            return _eddystone(b"\x20\x00" + tlm_octets(frame))
        case EtlmFrame():
            sealed = _exactly(frame.encrypted, 12, "encrypted") + _exactly(frame.salt, 2, "salt")
            return _eddystone(b"\x20\x01" + sealed + _exactly(frame.mic, 2, "mic"))
        case IBeaconFrame():  # pragma: no branch - there is no other kind of frame
            numbers = struct.pack(">HHb", frame.major, frame.minor, frame.tx_power_dbm)
            company = APPLE_COMPANY.to_bytes(2, "little")
            return _FLAGS + _structure(0xFF, company + b"\x02\x15" + _exactly(frame.uuid, 16, "uuid") + numbers)


def _eddystone(service_data: bytes) -> bytes:
    uuid = EDDYSTONE_UUID16.to_bytes(2, "little")
    return _FLAGS + _structure(0x03, uuid) + _structure(0x16, uuid + service_data)


def _structure(kind: int, value: bytes) -> bytes:
    return bytes((len(value) + 1, kind)) + value


def _exactly(value: bytes, octets: int, name: str) -> bytes:
    if len(value) != octets:
        raise FrameError(f"{name} has {octets} octets")
    return value
