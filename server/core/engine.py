"""All steps in order, for one micro-batch of sightings: what to write, and the state that the next one starts from.

An engine is changed by `step`. When what it returned could not be committed, throw the engine away and build a new one
from what the database holds; everything that matters is there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from server.core import places, press
from server.core.fences import Fence, side_of
from server.core.fix import EMPTY_TRACK, KIND_WEIGHTS, Fix, Placed, Track, advance, consolidate
from server.core.flags import SUSPICIOUS, Flag
from server.core.geo import Position
from server.core.places import Event, Kind, Presence
from server.core.press import Press
from server.core.resolve import Resolved, Resolver
from server.core.rows import Heard
from server.core.suppress import Contribution, bucket_of, merge
from server.core.tagclock import TagClock
from server.core.tags import Tags

LATE_MS: Final = 300_000
"""What arrives later than this after it was heard is marked late."""
OPEN_BUCKETS: Final = 60
"""So many buckets of ten seconds stay open for what arrives out of order."""
VAGUE_M: Final = 100.0
"""Taken where a moving detector does not say how well it knows its place."""


class _Bucket(NamedTuple):
    tag: int
    number: int


@dataclass(frozen=True, slots=True)
class Station:
    """What a place needs to know of a detector. Moving ones bring their place with every sighting."""

    kind: str
    lat_deg: float | None = None
    lon_deg: float | None = None
    accuracy_m: float = 10.0


@dataclass(frozen=True, slots=True)
class City:
    """The registry as the core needs it.

    Attributes:
        tags: all enrolled tags.
        stations: by `Detector.index`.
        fences: of each ward, by ward id.
    """

    tags: Tags
    stations: Mapping[int, Station]
    fences: Mapping[str, Sequence[Fence]]


@dataclass(slots=True)
class Kept:
    """What an engine is started from: the newest state in the database.

    Attributes:
        clocks: by row in `Tags`.
        presses: by row in `Tags`.
        tracks: by ward id.
        presences: by ward and place id.
    """

    clocks: Sequence[TagClock]
    presses: dict[int, Press] = field(default_factory=dict)
    tracks: dict[str, Track] = field(default_factory=dict)
    presences: dict[tuple[str, str], Presence] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlacedFix:
    """A fix to be written. `is_whole`: it holds all that was heard of its bucket, so it may replace what is there."""

    ward: str
    fix: Fix
    received_ms: int
    is_late: bool
    is_whole: bool


@dataclass(frozen=True, slots=True)
class LastPlace:
    """The newest place of a ward, with what its tag said last. None: it did not say, keep what was known."""

    ward: str
    position: Position
    received_ms: int
    is_late: bool
    battery_dv: int | None
    is_sos: bool
    is_moving: bool
    is_traceable: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one step asks to be written.

    Attributes:
        resolved: tags and flags of the rows, in the order of the input.
        fixes: places for the track; at most one a ward and bucket.
        doubtful: places that nobody could have reached.
        last_places: by ward.
        presences: changed ones.
        events: in the order of their finding.
        clocks: learnt ones, by row in `Tags`.
        presses: changed ones, by row in `Tags`.
    """

    resolved: Resolved
    fixes: list[PlacedFix]
    doubtful: list[PlacedFix]
    last_places: dict[str, LastPlace]
    presences: dict[tuple[str, str], Presence]
    events: list[Event]
    clocks: dict[int, TagClock]
    presses: dict[int, Press]


class Engine:
    """State of all tags of a city, and the steps over it.

    Args:
        city: the registry; make a new engine when it changes.
        kept: state to start from.
    """

    def __init__(self, city: City, kept: Kept) -> None:
        self._city = city
        self._resolver = Resolver(city.tags, kept.clocks)
        self._presses = dict(kept.presses)
        self._tracks = dict(kept.tracks)
        self._presences = dict(kept.presences)
        self._waiting = {key for key, presence in self._presences.items() if presence.candidate_hits}
        self._open: dict[_Bucket, dict[int, Contribution]] = {}
        self._fences = {(f.ward, f.place): f for fences in city.fences.values() for f in fences}
        self._newest_bucket = 0

    def warm(self, heard: Heard, tags: NDArray[np.int32]) -> None:
        """Fill the open buckets again from stored sightings that are worth believing; `tags` are rows in `Tags`."""
        for row, tag in enumerate(tags.tolist()):
            self._contribute(heard, row, tag)

    def clock(self, tag: int) -> TagClock:
        """Return the clock of the tag in row `tag` of `Tags`, as learnt so far."""
        return self._resolver.clock(tag)

    def step(self, heard: Heard, received_ms: int) -> Outcome:
        """Return what to write for `heard`.

        Args:
            heard: rows in any order.
            received_ms: UTC of the arrival of the newest of them; also the time up to which silence is judged.
        """
        resolved = self._resolver.resolve(heard)
        is_ours = resolved.tags >= 0
        resolved.flags[is_ours & (received_ms - heard.last_ms > LATE_MS)] |= Flag.LATE
        resolved.flags[is_ours & (heard.clock_error_ms > 0)] |= Flag.CLOCK_CORRECTED
        out = Outcome(resolved, [], [], {}, {}, [], resolved.clocks, {})
        believed = np.flatnonzero(is_ours & (resolved.flags & SUSPICIOUS == 0))
        in_order = believed[np.argsort(heard.last_ms[believed], kind="stable")].tolist()
        touched: dict[_Bucket, list[int]] = {}
        for row in in_order:
            tag = int(resolved.tags[row])
            self._press(tag, int(resolved.flags[row]), int(heard.last_ms[row]), out)
            bucket = self._contribute(heard, row, tag)
            if bucket is not None:
                touched.setdefault(bucket, []).append(row)
        for bucket in sorted(touched, key=lambda key: (key.number, key.tag)):
            self._place(bucket, touched[bucket], (heard, resolved), received_ms=received_ms, out=out)
        self._sweep(received_ms, out)
        self._close_old()
        return out

    def _press(self, tag: int, flags: int, at_ms: int, out: Outcome) -> None:
        ward = self._city.tags[tag].ward
        if ward is None or not flags & Flag.SOS:
            return
        self._presses[tag], is_new = press.step(self._presses.get(tag), at_ms)
        out.presses[tag] = self._presses[tag]
        if is_new:
            out.events.append(Event(ward, None, Kind.SOS, at_ms))

    def _contribute(self, heard: Heard, row: int, tag: int) -> _Bucket | None:
        """Add a row to its bucket; None where its tag has no ward or its detector no place."""
        station = self._city.stations.get(int(heard.detectors[row]))
        if station is None or self._city.tags[tag].ward is None:
            return None
        is_fixed = station.lat_deg is not None and station.lon_deg is not None
        lat_deg = float(station.lat_deg if station.lat_deg is not None else heard.lat_deg[row])
        lon_deg = float(station.lon_deg if station.lon_deg is not None else heard.lon_deg[row])
        accuracy_m = station.accuracy_m if is_fixed else float(heard.accuracy_m[row])
        if not (abs(lat_deg) <= 90 and abs(lon_deg) <= 180):  # NaN too
            return None
        new = Contribution(
            int(heard.detectors[row]),
            int(heard.rssi_mean_dbm[row]),
            int(heard.counts[row]),
            int(heard.last_ms[row]),
            lat_deg,
            lon_deg,
            accuracy_m if accuracy_m >= 0 else VAGUE_M,
            KIND_WEIGHTS[station.kind],
        )
        bucket = _Bucket(tag, bucket_of(new.at_ms))
        self._newest_bucket = max(self._newest_bucket, bucket.number)
        contributions = self._open.setdefault(bucket, {})
        contributions[new.detector] = merge(contributions.get(new.detector), new)
        return bucket

    def _place(
        self, bucket: _Bucket, rows: list[int], data: tuple[Heard, Resolved], *, received_ms: int, out: Outcome
    ) -> None:
        heard, resolved = data
        about = self._city.tags[bucket.tag]
        ward = about.ward or ""
        track = self._tracks.get(ward, EMPTY_TRACK)
        raw = consolidate(bucket.number, self._open[bucket].values(), track.last)
        for row in rows:
            if int(heard.detectors[row]) in raw.far:
                resolved.flags[row] |= Flag.FAR
        self._tracks[ward], fix, placed = advance(track, raw)
        is_late = received_ms - fix.position.at_ms > LATE_MS
        is_whole = bucket.number > self._newest_bucket - OPEN_BUCKETS
        written = PlacedFix(ward, fix, received_ms, is_late, is_whole)
        (out.doubtful if placed is Placed.DOUBTFUL else out.fixes).append(written)
        if placed is Placed.MOVED:
            flags, battery_dv = int(resolved.flags[rows[-1]]), int(resolved.battery_dv[rows[-1]])
            out.last_places[ward] = LastPlace(
                ward,
                fix.position,
                received_ms,
                is_late,
                battery_dv if battery_dv >= 0 else None,
                bool(flags & Flag.SOS),
                bool(flags & Flag.MOVING),
                about.is_traceable,
            )
            self._cross(ward, fix.position, out)

    def _cross(self, ward: str, position: Position, out: Outcome) -> None:
        for fence in self._city.fences.get(ward, ()):
            before = self._presences.get((ward, fence.place))
            after, event = places.step(before, fence, is_inside=side_of(fence, position), at_ms=position.at_ms)
            if after is not None and after != before:
                self._stand(after, event, fence, out)

    def _sweep(self, now_ms: int, out: Outcome) -> None:
        for key in sorted(self._waiting):
            fence = self._fences.get(key)
            if fence is None:
                continue
            after, event = places.sweep(self._presences[key], fence, now_ms)
            if event is not None:
                self._stand(after, event, fence, out)

    def _stand(self, presence: Presence, event: Event | None, fence: Fence, out: Outcome) -> None:
        key = (fence.ward, fence.place)
        self._presences[key] = out.presences[key] = presence
        (self._waiting.add if presence.candidate_hits else self._waiting.discard)(key)
        if event is not None:
            out.events.append(event)

    def _close_old(self) -> None:
        floor = self._newest_bucket - OPEN_BUCKETS
        for bucket in [bucket for bucket in self._open if bucket.number <= floor]:
            del self._open[bucket]
