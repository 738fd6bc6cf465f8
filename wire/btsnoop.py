"""The btsnoop container, read as it arrives: files of hcidump, Android and BlueZ, and the simulated radio's stream.

Source: Wireshark wiretap/btsnoop.c and BlueZ src/shared/btsnoop.c for the layout; big-endian throughout.
"""

import struct
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from wire.errors import WireError

MAGIC: Final = b"btsnoop\x00"
VERSION: Final = 1
DATALINK_HCI: Final = 1001
DATALINK_H4: Final = 1002
DATALINK_MONITOR: Final = 2001
EPOCH_OFFSET_US: Final = 0x00DC_DDB3_0F2F_8000
"""Microseconds from midnight, 1 January of the year 0, to the Unix epoch."""
MAX_RECORD_OCTETS: Final = 65_536
H4_EVENT: Final = 0x04

_HEADER = struct.Struct(">8sII")
_RECORD = struct.Struct(">IIIIq")
_MONITOR_EVENT = 3


class BtsnoopError(WireError):
    """The octets are no btsnoop stream."""


class Record(NamedTuple):
    """One packet of the stream.

    Attributes:
        at_us: UTC microseconds since the Unix epoch.
        missed: packets that the recorder had missed so far (cumulative drops).
        packet: an HCI packet with its H4 type octet first; b"" for what is no event (commands, data, notes).
    """

    at_us: int
    missed: int
    packet: bytes


def header(datalink: int = DATALINK_H4) -> bytes:
    """Return the 16 octets a stream begins with."""
    return _HEADER.pack(MAGIC, VERSION, datalink)


def record(packet: bytes, *, at_us: int, missed: int = 0, flags: int = 3) -> bytes:
    """Return one record; flags 3 = an event, received."""
    return _RECORD.pack(len(packet), len(packet), flags, missed, at_us + EPOCH_OFFSET_US) + packet


@dataclass(slots=True)
class BtsnoopReader:
    """Takes a stream in pieces of any length and gives back whole records.

    Attributes:
        datalink: known after the first 16 octets.
    """

    datalink: int | None = None
    _left: bytes = field(default=b"", repr=False)

    @property
    def left_octets(self) -> int:
        """Octets of a record that is not complete yet; at the end of a file anything but 0 means it was cut."""
        return len(self._left)

    def feed(self, chunk: bytes) -> list[Record]:
        """Return the records that became complete.

        Raises:
            BtsnoopError: a wrong magic, version or datalink, or a record longer than `MAX_RECORD_OCTETS`; the reader
                cannot go on.
        """
        octets = self._left + chunk
        at = 0
        if self.datalink is None:
            if len(octets) < _HEADER.size:
                self._left = octets
                return []
            self.datalink = _datalink(octets)
            at = _HEADER.size
        records: list[Record] = []
        end = len(octets)
        while end - at >= _RECORD.size:
            _, included, flags, missed, stamp = _RECORD.unpack_from(octets, at)
            if included > MAX_RECORD_OCTETS:
                raise BtsnoopError(f"a record of {included} octets")
            stop = at + _RECORD.size + included
            if stop > end:
                break
            packet = octets[at + _RECORD.size : stop]
            if self.datalink != DATALINK_H4:
                packet = _as_h4(packet, flags, self.datalink)
            records.append(Record(stamp - EPOCH_OFFSET_US, missed, packet))
            at = stop
        self._left = octets[at:]
        return records


def _datalink(octets: bytes) -> int:
    magic, version, datalink = _HEADER.unpack_from(octets)
    if magic != MAGIC:
        raise BtsnoopError("no btsnoop magic")
    if version != VERSION:
        raise BtsnoopError(f"btsnoop version {version}")
    if datalink not in (DATALINK_HCI, DATALINK_H4, DATALINK_MONITOR):
        raise BtsnoopError(f"btsnoop datalink {datalink}")
    return int(datalink)


def _as_h4(packet: bytes, flags: int, datalink: int) -> bytes:
    """Return the event with the type octet that H4 puts first, b"" for anything else."""
    is_event = flags & 3 == 3 if datalink == DATALINK_HCI else flags & 0xFFFF == _MONITOR_EVENT
    return bytes((H4_EVENT,)) + packet if is_event else b""
