"""All steps in order, for one micro-batch of sightings: what to write, and the state that the next one starts from.

An engine is changed by `step`. When what it returned could not be committed, throw the engine away and build a new one
from what the database holds; everything that matters is there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from server.core import press
from server.core.fences import Fence
from server.core.flags import SUSPICIOUS, Flag
from server.core.kept import Kept
from server.core.kernels import engine as placing
from server.core.kernels import fences, fix, merge
from server.core.kernels.aes import Aes
from server.core.kernels.aes import load as load_aes
from server.core.kernels.columns import Columns
from server.core.kernels.fences import Change
from server.core.kernels.merge import Told
from server.core.places import Event, Kind
from server.core.press import Press
from server.core.resolve import Resolver
from server.core.rows import Heard
from server.core.suppress import BUCKET_MS
from server.core.tags import Tags

LATE_MS: Final = 300_000
"""What arrives later than this after it was heard is marked late."""
GRACE_MS: Final = 5_000
"""A bucket is kept open so long after its end for what is under way. What comes later is placed on its own."""
_MOST_GRACE_MS: Final = 7 * BUCKET_MS
_KINDS: Final = {int(Change.ARRIVED): Kind.ARRIVED, int(Change.DEPARTED): Kind.DEPARTED}
_MOVED, _DOUBTFUL = int(fix.Kind.MOVED), int(fix.Kind.DOUBTFUL)


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
        grace_ms: see `grace_ms`.
    """

    tags: Tags
    stations: Mapping[int, Station]
    fences: Mapping[str, Sequence[Fence]]
    grace_ms: int = GRACE_MS


def grace_ms(speed: float) -> int:
    """Return how long a bucket is kept open in a town whose clock runs `speed` times as fast as the messages travel."""
    return min(_MOST_GRACE_MS, round(GRACE_MS * max(1.0, speed)))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one step asks to be written. Tags are rows in `Tags`.

    Attributes:
        tags: int32, whose each row of the input is, -1: none of ours.
        flags: int16, `Flag` bits of each row of the input.
        told: the rows to be stored.
        fixes: places found; those doubtful are kept apart.
        whole: how many of the fixes, the first ones, hold all that was heard in time of their bucket.
        moved: int32, tags that have another last place, each once.
        held: int32, tags whose place held apart changed, each once.
        released: int32, tags that had a place held apart and have none any more.
        watches: int32, numbers of the watches that changed.
        events: in the order of their finding.
        learnt: int32, tags whose clock was learnt, each once.
        presses: changed ones, by tag.
    """

    tags: NDArray[np.int32]
    flags: NDArray[np.int16]
    told: Told
    fixes: fix.Fixes
    whole: int
    moved: NDArray[np.int32]
    held: NDArray[np.int32]
    released: NDArray[np.int32]
    watches: NDArray[np.int32]
    events: list[Event]
    learnt: NDArray[np.int32]
    presses: dict[int, Press]


@dataclass(frozen=True, slots=True)
class Watched:
    """Which watch is whose, by its number. Lists of the same length."""

    wards: list[str]
    places: list[str]
    tags: NDArray[np.int32]


class Engine:
    """State of all tags of a city, and the steps over it.

    Args:
        city: the registry; make a new engine when it changes.
        kept: state to start from.
        aes: makes what opens statuses and derives ids.
    """

    def __init__(self, city: City, kept: Kept, aes: Callable[[], Aes] = load_aes) -> None:
        tags = city.tags
        self._city = city
        open_buckets = 2 if city.grace_ms <= BUCKET_MS else 8
        capacity = placing.Capacity(len(tags), max(city.stations, default=0) + 1, open_buckets=open_buckets)
        self.placing = placing.Engine(capacity, bucket_ms=BUCKET_MS, grace_ms=city.grace_ms)
        _place_detectors(self.placing, city.stations)
        self.watched = _load_fences(self.placing, city, kept)
        self.resolver = Resolver(tags, kept.clocks.clocks(tags.exponents), self.placing, aes)
        self._presses = dict(kept.presses)
        self.told_ms = np.zeros(len(tags), np.int64)
        self.told_flags = np.zeros(len(tags), np.int16)
        self.battery_dv = np.full(len(tags), -1, np.int16)
        self._is_held = np.zeros(len(tags), np.bool_)
        self.received_ms = kept.received_ms or 0
        self._resume(kept)

    def close(self) -> None:
        """Let the background go."""
        self.resolver.close()

    def step(self, heard: Heard, received_ms: int) -> Outcome:
        """Return what to write for `heard`.

        Args:
            heard: rows in any order, none heard after `received_ms`.
            received_ms: UTC of the arrival of the newest of them; also the time up to which silence is judged.
                Time does not go back: the newest there has been is `self.received_ms`.
        """
        self.received_ms = max(self.received_ms, received_ms)
        resolved = self.resolver.resolve(heard, self.received_ms)
        tags, flags = resolved.tags, resolved.flags
        is_ours = tags >= 0
        flags[is_ours & (received_ms - heard.last_ms > LATE_MS)] |= Flag.LATE
        flags[is_ours & (heard.clock_error_ms > 0)] |= Flag.CLOCK_CORRECTED
        told = merge.merge(_told(heard, tags, flags, resolved.battery_dv), int(SUSPICIOUS), BUCKET_MS)
        believed = told.take(np.flatnonzero(told.flags & SUSPICIOUS == 0))
        self._listen(believed)
        presses, events = self._press(believed)
        placed = self.placing.step(self._columns(believed), self.received_ms)
        fixes = fix.Fixes._make(column.copy() for column in placed.fixes)
        moved = np.unique(fixes.tags[fixes.kinds == _MOVED])
        held, released = self._hold(fixes, moved)
        events += self._events(placed.events)
        changed = fences.changed(self.placing.watches)
        return Outcome(
            tags, flags, told, fixes, placed.whole, moved, held, released, changed, events, resolved.learnt, presses
        )

    def _resume(self, kept: Kept) -> None:
        last = kept.last
        self.placing.load_last(last.tags, last.lat_e7, last.lon_e7, last.at_ms, last.accuracy_m)
        if kept.held is not None:
            self.placing.load_held(*kept.held)
            self._is_held[kept.held[0]] = True
        if kept.received_ms is not None:
            self._listen(kept.open)
            self.placing.resume(self._columns(kept.open), kept.received_ms)

    def _columns(self, told: Told) -> Columns:
        """Return the rows as they are placed: nobody is placed whom no ward carries."""
        tags = np.where(self._city.tags.has_ward[told.tags], told.tags, -1) if len(self._city.tags) else told.tags
        if np.isnan(told.lat_deg).all():
            return Columns.of(tags, told.detectors, told.rssi_mean_dbm, told.last_ms)
        return Columns.of(
            tags,
            told.detectors,
            told.rssi_mean_dbm,
            told.last_ms,
            lat_deg=told.lat_deg,
            lon_deg=told.lon_deg,
            accuracy_m=told.accuracy_m,
        )

    def _listen(self, told: Told) -> None:
        """Remember what tags said last of themselves."""
        order = np.lexsort((told.battery_dv, told.flags, told.last_ms))
        order = order[told.last_ms[order] >= self.told_ms[told.tags[order]]]
        tags = told.tags[order]
        self.told_ms[tags], self.told_flags[tags] = told.last_ms[order], told.flags[order]
        says = order[told.battery_dv[order] >= 0]
        self.battery_dv[told.tags[says]] = told.battery_dv[says]

    def _press(self, told: Told) -> tuple[dict[int, Press], list[Event]]:
        """Find new presses of the button; few rows tell of one."""
        presses: dict[int, Press] = {}
        events: list[Event] = []
        rows = np.flatnonzero(told.flags & Flag.SOS != 0)
        for row in rows[np.argsort(told.last_ms[rows], kind="stable")].tolist():
            tag, at_ms = int(told.tags[row]), int(told.last_ms[row])
            ward = self._city.tags.wards[tag]
            if ward is None:
                continue
            self._presses[tag], is_new = press.step(self._presses.get(tag), at_ms)
            presses[tag] = self._presses[tag]
            if is_new:
                events.append(Event(ward, None, Kind.SOS, at_ms))
        return presses, events

    def _hold(self, fixes: fix.Fixes, moved: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        doubted = np.unique(fixes.tags[fixes.kinds == _DOUBTFUL])
        touched = np.union1d(doubted, moved[self._is_held[moved]])
        is_held, _ = fix.held(self.placing.last, touched)
        was_held = self._is_held[touched]
        self._is_held[touched] = is_held
        return touched[is_held], touched[~is_held & was_held]

    def _events(self, events: fences.Events) -> list[Event]:
        found = []
        columns = (events.fences.tolist(), events.kinds.tolist(), events.at_ms.tolist())
        for watch, kind, at_ms in zip(*columns, strict=True):
            if kind in _KINDS:
                found.append(Event(self.watched.wards[watch], self.watched.places[watch], _KINDS[kind], at_ms))
        return found

    @property
    def is_waiting(self) -> bool:
        """Whether time alone can bring something: a bucket to be closed, an arrival by silence."""
        return bool(self.placing.openings.used.any() or self.placing.watches.counts[0])


def _told(heard: Heard, tags: NDArray[np.int32], flags: NDArray[np.int16], battery_dv: NDArray[np.int16]) -> Told:
    return Told(
        tags,
        heard.detectors,
        heard.first_ms,
        heard.last_ms,
        heard.counts,
        heard.rssi_best_dbm,
        heard.rssi_mean_dbm,
        flags,
        battery_dv,
        heard.lat_deg,
        heard.lon_deg,
        heard.accuracy_m,
    )


def _place_detectors(engine: placing.Engine, stations: Mapping[int, Station]) -> None:
    rows = np.array(list(stations), np.int32)
    where = [(s.lat_deg, s.lon_deg) for s in stations.values()]
    standing = np.array([(np.nan, np.nan) if None in place else place for place in where], np.float64).reshape(-1, 2)
    engine.place_detectors(
        rows,
        kinds=[station.kind for station in stations.values()],
        lat_deg=standing[:, 0],
        lon_deg=standing[:, 1],
        accuracy_m=np.array([station.accuracy_m for station in stations.values()], np.float64),
    )


def _load_fences(engine: placing.Engine, city: City, kept: Kept) -> Watched:
    """Watch all fences of wards that carry a tag, as they stood. Every watch has a fence of its own, of its number."""
    found: list[Fence] = []
    tags: list[int] = []
    for row, ward in enumerate(city.tags.wards.tolist()):
        mine = city.fences.get(ward, ()) if ward is not None else ()
        found += mine
        tags += [row] * len(mine)
    numbers, owners = np.arange(len(found), dtype=np.int32), np.array(tags, np.int32)
    watches = fences.Watches.of(owners, numbers, registered=len(city.tags))
    circles = fences.Fences.of_circles(
        np.array([fence.lat_deg for fence in found], np.float64),
        np.array([fence.lon_deg for fence in found], np.float64),
        np.array([fence.radius_m for fence in found], np.float64),
        np.array([fence.dwell_ms for fence in found], np.int32),
    )
    engine.load_fences(circles, watches)
    known = [(n, p) for n, f in enumerate(found) if (p := kept.presences.get((f.ward, f.place))) is not None]
    which = np.array([n for n, _ in known], np.int32)
    fences.stand(
        watches,
        owners[which],
        which,
        fences.Standing(
            np.array([fences.INSIDE if p.is_inside else fences.OUTSIDE for _, p in known], np.int8),
            np.array([p.since_ms for _, p in known], np.int64),
            np.array([p.candidate_since_ms or 0 for _, p in known], np.int64),
            np.array([p.candidate_hits for _, p in known], np.int32),
        ),
    )
    return Watched([f.ward for f in found], [f.place for f in found], owners)
