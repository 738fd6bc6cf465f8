"""The core under measurement: an engine for a town, fed as ingest feeds it, and its steps one by one."""

from collections.abc import Iterator
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench import fence_rows
from bench.job import Answer, Job
from bench.measure import thread_ns_of
from bench.town_map import CORNERS, E7
from bench.world import BLOCK, BUCKET_MS, DETECTOR_ACCURACY_M, Sightings, World
from server.core.kernels import batches, fences, fix, places, suppress
from server.core.kernels.columns import Columns
from server.core.kernels.engine import Capacity, Engine, Outcome

ROWS: Final = 65_536
"""Rows of a micro-batch, whole batches."""
FLUSH_DELAY_MS: Final = 1_000
HOME_RADIUS_M: Final = 60.0
DWELL_MS: Final = 60_000
EPOCH: Final = 1
_Places: TypeAlias = tuple[NDArray[np.generic], ...]
_NOTHING: Final = (np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.int8), np.empty(0, np.int64))


class Core:
    """An engine that knows a town: its detectors, its tags' ids, a home and a school for each."""

    def __init__(self, world: World) -> None:
        size = world.size
        self.world = world
        capacity = Capacity(size.n_tags, size.n_detectors, size.n_active + size.n_active // 8, events=2 * size.n_active)
        self.engine = Engine(capacity, bucket_ms=BUCKET_MS)
        every_detector = np.arange(size.n_detectors, dtype=np.int32)
        self.engine.place_detectors(
            every_detector,
            kinds=["fixed"] * size.n_detectors,
            lat_deg=world.lat_deg,
            lon_deg=world.lon_deg,
            accuracy_m=np.full(size.n_detectors, DETECTOR_ACCURACY_M),
        )
        self.engine.load_eids(np.arange(size.n_tags, dtype=np.int32), np.ascontiguousarray(world.ids.T))
        self.engine.load_fences(*_fences(world))
        self._rows = suppress.rows(2 * ROWS)
        self._scratch = fix.create_scratch()
        self._fixes = fix.create_fixes(capacity.active_tags)
        self._events = fences.create_events(capacity.events)
        self._tags = np.empty(0, np.int32)

    def feed(self, heard: Sightings) -> float:
        """Take a bucket as ingest does, micro-batch by micro-batch; return the thread's processor time, ns."""

        def all_of_it() -> None:
            for part in _parts(heard):
                self._step(heard, part)

        return float(thread_ns_of(all_of_it))

    def answer(self, heard: Sightings) -> Answer:
        """Return what comes of a bucket, the first that this core sees."""
        pairs: list[NDArray[np.int64]] = []
        found: list[_Places] = []
        for part in _parts(heard):
            outcome = self._step(heard, part)
            detectors = heard.detectors[_rows(heard, part)][outcome.kept]
            pairs.append(self._tags[outcome.kept].astype(np.int64) << 32 | detectors)
            found.append(_copied(outcome.fixes))
        found.append(_copied(self.flush().fixes))
        tags, lat_e7, lon_e7, accuracy_m, at_ms = (np.concatenate(column) for column in zip(*found, strict=True))
        return Answer.of(np.concatenate(pairs), tags, lat_e7 / E7, lon_e7 / E7, accuracy_m, at_ms)

    def flush(self) -> Outcome:
        """Close all that is open, as after a minute without anything heard."""
        open_ms = (int(self.engine.openings.newest[0]) + 1 + self.engine.openings.places) * BUCKET_MS
        return self.engine.step(Columns.of(*_NOTHING), open_ms)

    def by_step(self, heard: Sightings) -> dict[str, float]:
        """Take a bucket kernel by kernel, with none open before; return each one's thread time, ns."""
        engine, ns = self.engine, {}
        number = int(heard.heard_at_ms[0]) // BUCKET_MS
        place = number & (engine.openings.places - 1)
        engine.openings.newest[:] = number, number - 1
        epochs, deliveries = np.full(len(heard.batch_detectors), EPOCH), np.empty(len(heard.batch_detectors), np.uint8)
        sequences = heard.batch_sequences
        ns["batches"] = thread_ns_of(
            lambda: batches.accept(engine.windows, heard.batch_detectors, epochs, sequences, deliveries)
        )
        resolved: list[NDArray[np.int32]] = []
        ns["resolve"] = thread_ns_of(lambda: resolved.extend(self._resolve(heard)))
        ns["suppress"] = thread_ns_of(lambda: self._take(heard, resolved))
        closed = [0]

        def close() -> None:
            closed[0] = fix.close(
                engine.openings, place, number, engine.stations, engine.last, self._scratch, self._fixes, 0
            )

        ns["fix"] = thread_ns_of(close)
        fixes = self._fixes.head(closed[0])
        ns["places"] = thread_ns_of(lambda: places.move(engine.cells, engine.last, fixes))
        ns["fences"] = thread_ns_of(lambda: fences.cross(engine.fences, engine.watches, fixes, self._events, 0))
        return {step: float(each) for step, each in ns.items()}

    def rebuild_ns(self) -> float:
        """Return the thread time of one snapshot of the index, ns."""
        engine = self.engine
        return float(thread_ns_of(lambda: places.rebuild(engine.index, engine.cells, engine.last, 0)))

    def _resolve(self, heard: Sightings) -> Iterator[NDArray[np.int32]]:
        for part in _parts(heard):
            yield self.engine.resolve(heard.ids[_rows(heard, part)].view(np.int64))[0]

    def _take(self, heard: Sightings, resolved: list[NDArray[np.int32]]) -> None:
        engine = self.engine
        for part, tags in zip(_parts(heard), resolved, strict=True):
            columns = _columns(heard, _rows(heard, part), tags)
            suppress.take(engine.openings, engine.stations.words, engine.poses.ring, columns, self._rows)

    def _step(self, heard: Sightings, part: slice) -> Outcome:
        rows, detectors = _rows(heard, part), heard.batch_detectors[part]
        self.engine.accept(detectors, np.full(len(detectors), EPOCH), heard.batch_sequences[part])
        self._tags, _ = self.engine.resolve(heard.ids[rows].view(np.int64))
        received_ms = int(heard.heard_at_ms[rows.stop - 1]) + FLUSH_DELAY_MS
        return self.engine.step(_columns(heard, rows, self._tags), received_ms)


def answer_of(job: Job) -> Answer:
    """Return the core's answer to a job, from scratch."""
    return Core(job.world).answer(job.sightings)


def _parts(heard: Sightings) -> Iterator[slice]:
    """Return which batches make up each micro-batch."""
    start, last = 0, len(heard.batch_detectors)
    while start < last:
        stop = int(np.searchsorted(heard.batch_starts, heard.batch_starts[start] + ROWS, side="right")) - 1
        stop = min(last, max(stop, start + 1))
        yield slice(start, stop)
        start = stop


def _copied(fixes: fix.Fixes) -> _Places:
    columns = (fixes.tags, fixes.lat_e7, fixes.lon_e7, fixes.accuracy_m, fixes.at_ms)
    return tuple(column.copy() for column in columns)


def _rows(heard: Sightings, part: slice) -> slice:
    return slice(int(heard.batch_starts[part.start]), int(heard.batch_starts[part.stop]))


def _columns(heard: Sightings, rows: slice, tags: NDArray[np.int32]) -> Columns:
    return Columns.of(tags, heard.detectors[rows], heard.rssi_dbm[rows], heard.heard_at_ms[rows])


def _fences(world: World) -> tuple[fences.Fences, fences.Watches]:
    """Return a circle round each tag's home, a polygon in each district as its school, and who is watched at which."""
    n_tags, n_schools = world.size.n_tags, -(-world.size.n_detectors // BLOCK)
    homes = fence_rows.circles(world.lat_deg[world.home], world.lon_deg[world.home], HOME_RADIUS_M, dwell_ms=DWELL_MS)
    middle = np.minimum(np.arange(n_schools) * BLOCK + BLOCK // 2, world.size.n_detectors - 1)
    turn = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    reach_deg = np.random.default_rng(3).uniform(60, 140, (n_schools, CORNERS)) / 111_195.0
    lat_deg = world.lat_deg[middle, None] + reach_deg * np.sin(turn)
    lon_deg = world.lon_deg[middle, None] + reach_deg * np.cos(turn) / np.cos(np.radians(world.lat_deg[middle, None]))
    corners_e7 = (np.stack([lat_deg, lon_deg], axis=2) * E7).astype(np.int32)
    schools = fence_rows.polygons(corners_e7, dwell_ms=DWELL_MS)
    tags = np.arange(n_tags, dtype=np.int32)
    rows = np.stack([tags, n_tags + world.home // BLOCK], axis=1).astype(np.int32)
    watches = fences.Watches.of(np.repeat(tags, 2), rows.ravel(), registered=n_tags)
    return fence_rows.joined(homes, schools), watches
