"""From advertisement to row, in memory: what is not enrolled, or heard in a no-report zone, is dropped at once."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from mobile_detector.location import Location
from mobile_detector.zones import Zones
from wire.batch import Row
from wire.errors import FrameError
from wire.formats import Formats
from wire.frames import EidFrame, Frame, decode, decode_fields, sighting_id
from wire.gpsd import Position
from wire.hci import HciError, reports
from wire.merge import Key, Merge, Merged

CACHED: Final = 1024
"""Frames, addresses and bursts remembered, in memory; then all are forgotten."""
BURST_PACKETS: Final = 4
BURST_MS: Final = 1000
"""A tag under SOS advertises ten times a second, any other at most twice: see docs/WIRE.md."""


class _Sound(NamedTuple):
    key: Key
    sealed: bytes | None


@dataclass(slots=True)
class Ear:
    """What one phone heard since its last batch.

    Nothing here outlives the process: when it is killed, what was not put into a batch is heard again from a radio that
    repeats, and lost otherwise, one window at most.

    Attributes:
        heard: advertisements that arrived, whatever became of them.
        dropped: by reason: malformed, not-enrolled, no-rssi, zone, no-position.
        burst_at_ms: when a tag last sent in a burst, town milliseconds: keep the receiver open.
        zones: None where they cannot be read: then everything counts as inside.
    """

    formats: Formats
    location: Location
    merge: Merge
    zones: Zones | None
    heard: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    burst_at_ms: int = 0
    _bursts: dict[Key, tuple[int, int]] = field(default_factory=dict, repr=False)
    _sounds: dict[bytes, _Sound] = field(default_factory=dict, repr=False)
    _last: dict[str, tuple[_Sound, int]] = field(default_factory=dict, repr=False)

    @property
    def is_full(self) -> bool:
        """Whether closed rows pile up because the disk takes none; a radio that can wait should."""
        return len(self.merge.ready) >= self.merge.max_rows // 2

    def may_hear(self, at_ms: int) -> bool:
        """Return whether the phone was, at a moment, at a known place outside every no-report zone."""
        return self._why_not(self.location.at(at_ms)) is None

    def hear_packet(self, octets: bytes, at_ms: int) -> bool:
        """Take one HCI packet and return whether it was of a tag in haste or of a new one."""
        try:
            found = reports(octets)
        except HciError:
            self.dropped["malformed"] += 1
            return False
        is_hasty = False
        for report in found:
            if report.is_whole and report.pdu != "SCAN_RSP":
                self.heard += 1
                sound = self._decoded(report.data)
                is_hasty |= sound is not None and self._take(sound, report.rssi_dbm, at_ms)
        return is_hasty

    def hear_fields(
        self,
        service_data: Mapping[str, bytes],
        manufacturer_data: Mapping[int, bytes],
        *,
        rssi_dbm: int | None,
        at_ms: int,
        address: str,
    ) -> bool:
        """Take one call-back of a Bluetooth stack, which is not a packet: what brings nothing new is not counted."""
        self.heard += 1
        try:
            sound = self._accepted(decode_fields(service_data, manufacturer_data))
        except FrameError:
            self.dropped["malformed"] += 1
            return False
        if sound is None or self._last.get(address) == (sound, rssi_dbm or 0):
            return False
        if len(self._last) >= CACHED:
            self._last.clear()
        self._last[address] = (sound, rssi_dbm or 0)
        return self._take(sound, rssi_dbm, at_ms)

    def close(self) -> list[Merged]:
        """Close every open row and return all that wait; call `settle` when they are safe."""
        self.merge.close()
        return list(self.merge.ready)

    def row(self, merged: Merged) -> Row | None:
        """Return the row with its position, None for one that, with all that is known by now, touches a zone."""
        moments_ms = (merged.first_heard_ms, merged.best_heard_ms, merged.last_heard_ms)
        places = [self.location.at(at_ms) for at_ms in moments_ms]
        position = places[1]
        reasons = [reason for reason in map(self._why_not, places) if reason]
        if position is None or reasons:
            self.dropped[reasons[0] if reasons else "no-position"] += merged.count
            return None
        return Row(
            kind=merged.kind,
            id=merged.id,
            sealed=merged.sealed,
            rssi_best_dbm=merged.rssi_best_dbm,
            rssi_mean_dbm=merged.rssi_mean_dbm,
            count=merged.count,
            first_heard_ms=merged.first_heard_ms,
            last_heard_ms=merged.last_heard_ms,
            lat_deg=position.lat_deg,
            lon_deg=position.lon_deg,
            position_accuracy_m=position.accuracy_m,
            position_age_s=position.age_s,
        )

    def _why_not(self, position: Position | None) -> str | None:
        if position is None:
            return "no-position"
        if self.zones is None or self.zones.covers(position.lat_deg, position.lon_deg, position.accuracy_m):
            return "zone"
        return None

    def _decoded(self, data: bytes) -> _Sound | None:
        sound = self._sounds.get(data)
        if sound is None:
            try:
                sound = self._accepted(decode(data))
            except FrameError:
                self.dropped["malformed"] += 1
                return None
            if sound is not None:
                if len(self._sounds) >= CACHED:
                    self._sounds.clear()
                self._sounds[data] = sound
        return sound

    def _accepted(self, frame: Frame | None) -> _Sound | None:
        # Telemetry frames are left to gateways: battery and SOS are in the sealed octets already.
        key = sighting_id(frame) if frame is not None and self.formats.accepts(frame) else None
        if key is None:
            self.dropped["not-enrolled"] += 1
            return None
        return _Sound(key, frame.sealed if isinstance(frame, EidFrame) else None)

    def _take(self, sound: _Sound, rssi_dbm: int | None, at_ms: int) -> bool:
        if rssi_dbm is None:
            self.dropped["no-rssi"] += 1
            return False
        reason = self._why_not(self.location.at(at_ms))
        if reason is not None:
            self.dropped[reason] += 1
            return False
        is_hasty = self.merge.hear(sound.key, rssi_dbm, at_ms=at_ms, sealed=sound.sealed)
        self._note_burst(sound.key, at_ms)
        return is_hasty

    def _note_burst(self, key: Key, at_ms: int) -> None:
        from_ms, packets = self._bursts.get(key, (at_ms, 0))
        if not 0 <= at_ms - from_ms <= BURST_MS:
            from_ms, packets = at_ms, 0
        if len(self._bursts) >= CACHED:
            self._bursts.clear()
        self._bursts[key] = (from_ms, packets + 1)
        if packets + 1 >= BURST_PACKETS:
            self.burst_at_ms = at_ms
