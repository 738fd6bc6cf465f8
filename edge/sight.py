"""From advertisement to row: decode, drop what is not enrolled, merge. Everything heard passes here, live or replayed.

Nothing of an advertisement that is not in an enrolled format is kept, not even in memory: it is counted by its reason.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

from wire.errors import FrameError
from wire.formats import Formats
from wire.frames import EidFrame, EtlmFrame, Frame, TlmFrame, decode, decode_fields, sighting_id, told
from wire.hci import HciError, Report, reports
from wire.merge import Key, Merge

CACHED_FRAMES: Final = 1024
"""A tag repeats its octets for four seconds; decoding them once is enough."""
CACHED_ADDRESSES: Final = 4096

MAX_TIME_MS: Final = 1 << 46
"""The year 4199: a recorder's clock beyond it is broken, and a batch would not hold its rows."""

Address = bytes | str
Told = tuple[bytes | None, bytes | None, bytes | None]
"""What of a call-back makes its frame, see `wire.frames.told`."""

_T = TypeVar("_T")


class Sound(NamedTuple):
    """An accepted advertisement, decoded.

    Attributes:
        key: kind and id; None for telemetry, which belongs to the id last heard from the same address.
        sealed: 6 sealed octets of status, or None.
        telemetry: 16 octets of encrypted telemetry, or None.
    """

    key: Key | None
    sealed: bytes | None = None
    telemetry: bytes | None = None


@dataclass(slots=True)
class Sight:
    """The pipeline of one detector.

    Attributes:
        advertisements: reports that reached the pipeline, whatever became of them.
        accepted: of these, what is of an enrolled format.
        lone_telemetry: of these, telemetry that found no open row of its tag; the next one will.
        dropped: the others, by reason: malformed, fragment, not-enrolled, no-rssi, bad-time, too-many.
        urgent: set when a row was closed that must not wait; the keeper clears it.
    """

    formats: Formats
    merge: Merge
    advertisements: int = 0
    accepted: int = 0
    lone_telemetry: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    urgent: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    _sounds: dict[bytes, Sound] = field(default_factory=dict, repr=False)
    _owners: dict[Address, Key] = field(default_factory=dict, repr=False)
    _told: dict[Told, Sound] = field(default_factory=dict, repr=False)
    _last: dict[Address, tuple[Told, int]] = field(default_factory=dict, repr=False)

    @property
    def is_full(self) -> bool:
        """Whether closed rows pile up because they cannot be put away; a source that can wait should."""
        return len(self.merge.ready) >= self.merge.max_rows // 2

    def hear_packet(self, octets: bytes, at_ms: int) -> None:
        """Take one HCI packet; a malformed one is counted."""
        try:
            found = reports(octets)
        except HciError:
            self.dropped["malformed"] += 1
            return
        for report in found:
            self.hear_report(report, at_ms)

    def hear_report(self, report: Report, at_ms: int) -> None:
        """Take one advertising report; scan responses are none: a tag never answers, it cannot be asked."""
        if report.pdu == "SCAN_RSP":
            return
        if report.is_whole:
            self.hear(report.data, report.rssi_dbm, at_ms=at_ms, address=report.address)
        else:
            self.dropped["fragment"] += 1

    def hear(self, data: bytes, rssi_dbm: int | None, *, at_ms: int, address: Address) -> None:
        """Take one advertisement as octets."""
        self.advertisements += 1
        sound = self._sounds.get(data)
        if sound is None:
            try:
                frame = decode(data)
            except FrameError:
                self.dropped["malformed"] += 1
                return
            sound = self._sound(frame)
            if sound is None:
                self.dropped["not-enrolled"] += 1
                return
            if len(self._sounds) >= CACHED_FRAMES:
                self._sounds.clear()
            self._sounds[data] = sound
        self._merge(sound, rssi_dbm, at_ms, address)

    def hear_fields(
        self,
        service_data: Mapping[str, bytes],
        manufacturer_data: Mapping[int, bytes],
        *,
        rssi_dbm: int | None,
        at_ms: int,
        address: Address,
    ) -> None:
        """Take one call-back of a Bluetooth stack, which is not a packet: what brings nothing new is not counted."""
        octets = told(service_data, manufacturer_data)
        sound = self._told.get(octets)
        if sound is None:
            try:
                sound = self._sound(decode_fields(service_data, manufacturer_data))
            except FrameError:
                self.advertisements += 1
                self.dropped["malformed"] += 1
                return
            if sound is None:
                self.advertisements += 1
                self.dropped["not-enrolled"] += 1
                return
            if len(self._told) >= CACHED_FRAMES:
                self._told.clear()
            self._told[octets] = sound
        if rssi_dbm is not None:
            heard = (octets, rssi_dbm)
            if self._last.get(address) == heard:
                return
            _remember(self._last, address, heard)
        self.advertisements += 1
        self._merge(sound, rssi_dbm, at_ms, address)

    def _sound(self, frame: Frame | None) -> Sound | None:
        if frame is None or not self.formats.accepts(frame):
            return None
        if isinstance(frame, EtlmFrame):
            return Sound(None, telemetry=frame.encrypted + frame.salt + frame.mic)
        if isinstance(frame, TlmFrame):
            return Sound(None)
        return Sound(sighting_id(frame), frame.sealed if isinstance(frame, EidFrame) else None)

    def _merge(self, sound: Sound, rssi_dbm: int | None, at_ms: int, address: Address) -> None:
        if sound.key is None:
            self._telemetry(sound, address)
            return
        if rssi_dbm is None:
            self.dropped["no-rssi"] += 1
            return
        if not 0 <= at_ms < MAX_TIME_MS:
            self.dropped["bad-time"] += 1
            return
        _remember(self._owners, address, sound.key)
        refused = self.merge.refused
        if self.merge.hear(sound.key, rssi_dbm, at_ms=at_ms, sealed=sound.sealed):
            self.urgent.set()
        if self.merge.refused == refused:
            self.accepted += 1
        else:
            self.dropped["too-many"] += 1

    def _telemetry(self, sound: Sound, address: Address) -> None:
        self.accepted += 1
        owner = self._owners.get(address)
        if owner is None or sound.telemetry is None or not self.merge.hear_telemetry(owner, sound.telemetry):
            self.lone_telemetry += 1


def _remember(table: dict[Address, _T], address: Address, value: _T) -> None:
    if len(table) >= CACHED_ADDRESSES and address not in table:
        table.clear()
    table[address] = value
