from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.core.kernels import suppress
from server.core.kernels.columns import Columns
from server.core.kernels.suppress import Verdict

SETTINGS = settings(deadline=None, max_examples=60)
BUCKET_MS = 10_000
NEWEST = 180_000
TAGS, DETECTORS, PLACELESS, MOVING = 5, 12, 10, 11
FOREIGN = 98
RING = np.array([0, 0, 0, 0, 10, 10, 1, 0, 20, 5, 1, 0, 20, 6, 1, 0], np.int32)  # places 1 to 3, rising


class Row(NamedTuple):
    tag: int  # FOREIGN: nobody's
    detector: int
    rssi_dbm: int
    bucket: int  # from the newest
    ms: int  # within the bucket


rows_of_a_step = st.lists(
    st.builds(
        Row,
        st.integers(0, TAGS - 1) | st.just(FOREIGN),
        st.integers(-1, DETECTORS),
        st.integers(-128, 127),
        st.integers(-5, 1),
        st.sampled_from([0, 1, BUCKET_MS - 1]) | st.integers(0, BUCKET_MS - 1),
    ),
    max_size=150,
)


@dataclass
class Reference:
    """Dicts of dicts."""

    places: int
    pool: int
    lines: dict[int, dict[int, dict[int, int]]] = field(default_factory=lambda: defaultdict(dict))
    newest_ms: dict[tuple[int, int], int] = field(default_factory=dict)

    def verdict(self, row: Row) -> Verdict:
        if row.tag == FOREIGN:
            return Verdict.UNKNOWN
        if row.bucket > 0:
            return Verdict.EARLY
        if row.bucket <= -self.places:
            return Verdict.LATE
        if not 0 <= row.detector < DETECTORS:
            return Verdict.NOWHERE
        line = self.lines[row.bucket].get(row.tag, {})
        verdict = self._join(row, line)
        if verdict in (Verdict.KEPT, Verdict.REPEAT, Verdict.CROWDED):
            self.newest_ms[row.bucket, row.tag] = max(row.ms, self.newest_ms.get((row.bucket, row.tag), 0))
        return verdict

    def _join(self, row: Row, line: dict[int, int]) -> Verdict:
        if row.detector in line:
            line[row.detector] = max(line[row.detector], row.rssi_dbm)
            return Verdict.REPEAT
        if row.detector in (PLACELESS, MOVING):
            return Verdict.NOWHERE
        if not line and len(self.lines[row.bucket]) >= self.pool:
            return Verdict.FULL
        weakest = min(line.items(), key=lambda item: (item[1], item[0]), default=(0, 0))
        if len(line) == 7:
            if (row.rssi_dbm, row.detector) < weakest[::-1]:
                return Verdict.CROWDED
            del line[weakest[0]]
        line[row.detector] = row.rssi_dbm
        self.lines[row.bucket][row.tag] = line
        return Verdict.KEPT


class World:
    """Open buckets, real ones."""

    def __init__(self, places: int, pool: int) -> None:
        self.openings = suppress.create(TAGS, pool, bucket_ms=BUCKET_MS, places=places)
        self.openings.newest[:] = NEWEST, NEWEST - places + 1
        self.stations = np.array([[1, 2, 3, 65536]] * DETECTORS, np.int32)
        self.stations[PLACELESS, 3], self.stations[MOVING, 3] = 0, -65536
        self.rows = suppress.rows(1000)

    def take(self, rows: list[Row]) -> tuple[list[Verdict], list[int]]:
        n = len(rows)
        kept = suppress.take(self.openings, self.stations.reshape(-1), RING, self.columns(rows), self.rows)
        return [Verdict(int(v)) for v in self.rows.verdicts[:n]], self.rows.kept[:kept].tolist()

    def columns(self, rows: list[Row]) -> Columns:
        return Columns.of(
            np.array([-1 if row.tag == FOREIGN else row.tag for row in rows], np.int32),
            np.array([row.detector for row in rows], np.int32),
            np.array([row.rssi_dbm for row in rows], np.int8),
            np.array([(NEWEST + row.bucket) * BUCKET_MS + row.ms for row in rows], np.int64),
        )

    def line(self, bucket: int, tag: int) -> tuple[dict[int, int], int]:
        """Return detectors with their rssi and the newest ms."""
        place = (NEWEST + bucket) & (self.openings.places - 1)
        slot = self.openings.slots[place * TAGS + tag]
        first = place * self.openings.pool + 8 * slot
        header, *words = (int(word) for word in self.openings.lines[first : first + 8])
        words = words[: header >> suppress.COUNT_SHIFT & 15]
        hearers = {w >> suppress.DETECTOR_SHIFT & suppress.FIELD: (w >> suppress.RSSI_SHIFT) - 128 for w in words}
        return hearers, header >> suppress.NEWEST_SHIFT


@SETTINGS
@given(st.lists(rows_of_a_step, max_size=3), st.sampled_from([2, 4]), st.sampled_from([1, 3, TAGS]))
def test_every_row_has_the_verdict_of_the_dicts(steps: list[list[Row]], places: int, pool: int) -> None:
    world, reference = World(places, pool), Reference(places, pool)
    for rows in steps:
        verdicts, kept = world.take(rows)
        assert verdicts == [reference.verdict(row) for row in rows]
        assert kept == [i for i, verdict in enumerate(verdicts) if verdict is Verdict.KEPT]
    for bucket, lines in reference.lines.items():
        for tag, line in lines.items():
            assert world.line(bucket, tag) == (line, reference.newest_ms[bucket, tag])
    used = [int(world.openings.used[(NEWEST + b) & (places - 1)]) for b in range(1 - places, 1)]
    assert used == [len(reference.lines[b]) for b in range(1 - places, 1)]


@SETTINGS
@given(rows_of_a_step, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter_to_the_lines(rows: list[Row], random: object) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined] # a random.Random
    here, there = World(2, TAGS), World(2, TAGS)
    here.take(rows)
    there.take(shuffled)
    for bucket in (-1, 0):
        heard = {row.tag for row in rows if row.bucket == bucket and 0 <= row.detector < PLACELESS and row.tag < TAGS}
        assert all(here.line(bucket, tag) == there.line(bucket, tag) for tag in heard)


def test_a_full_pool_is_counted_and_harms_nobody_else() -> None:
    world = World(2, 2)
    verdicts, _ = world.take([Row(tag, 1, -60, 0, 0) for tag in (0, 1, 2, 3)] + [Row(0, 2, -60, 0, 0)])
    assert verdicts == [Verdict.KEPT, Verdict.KEPT, Verdict.FULL, Verdict.FULL, Verdict.KEPT]
    assert world.rows.tally[Verdict.FULL] == 2


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1)])
def test_of_equally_strong_rows_of_a_moving_detector_the_place_farthest_north_then_east_counts(
    order: tuple[int, ...],
) -> None:
    world = World(2, TAGS)
    columns = world.columns([Row(1, MOVING, -60, 0, 0)] * len(order))
    rows = world.rows._replace(poses=np.array(order, np.int32))
    suppress.take(world.openings, world.stations.reshape(-1), RING, columns, rows)
    at = (NEWEST & 1) * world.openings.pool + 1
    assert world.openings.lines[at] & suppress.FIELD == 3


def test_late_rows_gather_apart_from_the_open_buckets() -> None:
    world = World(2, TAGS)
    rows = [Row(1, 3, -60, -9, 5), Row(1, 3, -50, -9, 8), Row(2, DETECTORS, -60, -9, 5), Row(2, PLACELESS, -60, -9, 5)]
    columns, stations = world.columns(rows), world.stations.reshape(-1)
    suppress.take(world.openings, stations, RING, columns, world.rows)
    picks = np.arange(4, dtype=np.int32)
    counted = suppress.take_late(world.openings, stations, RING, columns, world.rows, picks)
    assert (counted, world.openings.used.tolist()) == (2, [0, 0, 1])
    assert world.rows.verdicts[:4].tolist() == [Verdict.LATE, Verdict.LATE, Verdict.NOWHERE, Verdict.NOWHERE]
    assert world.rows.tally[Verdict.LATE] == 2


@pytest.mark.parametrize(("bucket_ms", "places"), [(0, 2), (1 << 27, 2), (1000, 1), (1000, 3)])
def test_buckets_that_do_not_fit_a_line_are_refused(bucket_ms: int, places: int) -> None:
    with pytest.raises(ValueError, match="no"):
        suppress.create(1, 1, bucket_ms=bucket_ms, places=places)
