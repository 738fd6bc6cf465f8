import math
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.core.fix import EMPTY_TRACK, KIND_WEIGHTS, Placed, advance, consolidate
from server.core.kernels import fix, poses, suppress
from server.core.kernels.fix import Kind
from server.core.suppress import Contribution

SETTINGS = settings(deadline=None, max_examples=60)
BUCKET_MS, FIRST = 10_000, 179_540_280
KINDS = ("fixed", "vehicle", "phone")
PLACED = {Placed.MOVED: Kind.MOVED, Placed.HISTORY: Kind.HISTORY, Placed.DOUBTFUL: Kind.DOUBTFUL}


class Hearing(NamedTuple):
    detector: int
    rssi_dbm: int
    pose: int


# Detectors in three neighbourhoods too far apart to hear the same tag.
stations = st.lists(
    st.tuples(st.sampled_from([0, 900, 40_000]), st.integers(0, 300), st.integers(0, 300), st.integers(0, 50)),
    min_size=9,
    max_size=9,
)
hearings = st.lists(
    st.builds(Hearing, st.integers(0, 8), st.integers(-110, -30), st.integers(0, 3)),
    min_size=1,
    max_size=7,
    unique_by=lambda hearing: hearing.detector,
)
buckets = st.lists(st.tuples(st.integers(1, 4), st.integers(0, BUCKET_MS - 1), hearings), min_size=1, max_size=12)


class World:
    """One tag among nine detectors, of which the last two drive about."""

    def __init__(self, places: list[tuple[int, int, int, int]]) -> None:
        self.drivers: tuple[int, ...] = (7, 8)
        self.openings = suppress.create(1, 1, bucket_ms=BUCKET_MS)
        self.poses = poses.create(3, 2)
        self.words = np.zeros((9, 4), np.int32)
        for row, (far_m, north_m, east_m, accuracy_m) in zip(self.words, places, strict=True):
            row[:] = 347_500_000 + (far_m + north_m) * 90, 1_348_400_000 + east_m * 110, accuracy_m * 100, 0
        weights = [round(KIND_WEIGHTS[KINDS[i % 3]] * fix.WEIGHT_ONE) for i in range(9)]
        self.words[:, 3] = [w if i < 7 else -w for i, w in enumerate(weights)]
        self.poses.ring[4:] = np.add(self.words[:3], [50, 70, 500, 0]).reshape(-1)
        self.stations = fix.Stations(self.words.reshape(-1), self.poses)
        self.last, self.out, self.scratch = fix.create_last(1, 1), fix.create_fixes(1), fix.create_scratch()

    def pose_of(self, hearing: Hearing) -> int:
        return max(1, hearing.pose) if hearing.detector in self.drivers else 0

    def close(self, bucket: int, ms: int, heard: list[Hearing]) -> fix.Fixes:
        place = bucket & 1
        line = self.openings.lines[place * 8 :][:8]
        line[0] = len(heard) << suppress.COUNT_SHIFT | ms << suppress.NEWEST_SHIFT
        for j, h in enumerate(heard):
            line[1 + j] = self.pose_of(h) | h.detector << suppress.DETECTOR_SHIFT | (h.rssi_dbm + 128) << 48
        self.openings.used[place] = 1
        assert fix.close(self.openings, place, bucket, self.stations, self.last, self.scratch, self.out, 0) == 1
        assert self.openings.used[place] == 0
        return self.out

    def contributions(self, at_ms: int, heard: list[Hearing]) -> list[Contribution]:
        found = []
        for h in heard:
            pose = self.pose_of(h)
            where = self.poses.ring[4 * pose :][:4] if pose else self.words[h.detector]
            lat_deg, lon_deg, accuracy_m = where[0] / 1e7, where[1] / 1e7, where[2] / 100
            weight = abs(int(self.words[h.detector, 3])) / fix.WEIGHT_ONE
            found.append(Contribution(h.detector, h.rssi_dbm, 1, at_ms, lat_deg, lon_deg, accuracy_m, weight))
        return found


@SETTINGS
@given(stations, buckets)
def test_a_track_is_that_of_the_plain_model(
    places: list[tuple[int, int, int, int]], steps: list[tuple[int, int, list[Hearing]]]
) -> None:
    world, track, bucket = World(places), EMPTY_TRACK, FIRST
    for gap, ms, heard in steps:
        bucket += gap
        raw = consolidate(bucket, world.contributions(bucket * BUCKET_MS + ms, heard), track.last)
        track, expected, placed = advance(track, raw)
        found = world.close(bucket, ms, heard)
        assert (int(found.at_ms[0]), int(found.detectors[0])) == (expected.position.at_ms, expected.detectors)
        assert Kind(int(found.kinds[0])) is PLACED[placed]
        # Detectors' places and the last one are kept in 1e-7 degrees, a centimetre; cosines differ in the sixth digit.
        assert math.isclose(found.lat_e7[0], expected.position.lat_deg * 1e7, abs_tol=12, rel_tol=0)
        assert math.isclose(found.lon_e7[0], expected.position.lon_deg * 1e7, abs_tol=12, rel_tol=0)
        assert math.isclose(found.accuracy_m[0], expected.position.accuracy_m, rel_tol=1e-3)


@SETTINGS
@given(stations, hearings, st.randoms(use_true_random=False))
def test_the_order_of_detectors_in_a_line_does_not_matter(
    places: list[tuple[int, int, int, int]], heard: list[Hearing], random: object
) -> None:
    shuffled = list(heard)
    random.shuffle(shuffled)  # type: ignore[attr-defined] # a random.Random
    here, there = World(places), World(places)
    one, other = here.close(FIRST, 0, heard), there.close(FIRST, 0, shuffled)
    assert abs(int(one.lat_e7[0]) - int(other.lat_e7[0])) <= 2
    assert abs(int(one.lon_e7[0]) - int(other.lon_e7[0])) <= 2
    assert one.detectors[0] == other.detectors[0]


def test_where_nothing_can_be_held_a_jump_is_counted_and_believed_never() -> None:
    world = World([(0, 0, 0, 5)] * 8 + [(40_000, 0, 0, 5)])
    world.words[8, 3] = fix.WEIGHT_ONE
    world.stations = fix.Stations(world.words.reshape(-1), world.poses)
    world.drivers = ()
    world.last = fix.create_last(1, 0)
    world.close(FIRST, 0, [Hearing(0, -60, 0)])
    kinds = [int(world.close(FIRST + 1 + i, 0, [Hearing(8, -60, 0)]).kinds[0]) for i in range(6)]
    assert (kinds, int(world.last.counts[1])) == ([Kind.DOUBTFUL] * 6, 6)


def test_a_held_jump_is_believed_after_half_a_minute_and_its_row_is_free_again() -> None:
    world = World([(0, 0, 0, 5)] * 8 + [(40_000, 0, 0, 5)])
    world.words[8, 3] = fix.WEIGHT_ONE
    world.drivers = ()
    world.close(FIRST, 0, [Hearing(0, -60, 0)])
    kinds = [int(world.close(FIRST + 1 + i, 0, [Hearing(8, -60, 0)]).kinds[0]) for i in range(4)]
    assert kinds == [Kind.DOUBTFUL] * 3 + [Kind.MOVED]
    assert world.last.counts.tolist() == [1, 0]


@pytest.mark.parametrize(("late_by", "kind"), [(100, Kind.HISTORY), (-1, Kind.MOVED)])
def test_late_lines_move_a_tag_only_if_nothing_newer_is_known_of_it(late_by: int, kind: Kind) -> None:
    world = World([(0, 0, 0, 5)] * 9)
    world.close(FIRST, 0, [Hearing(0, -60, 0)])
    before = world.last.words.copy()
    late = 2 * world.openings.pool
    world.openings.lines[late : late + 8] = world.openings.lines[:8]
    world.openings.used[2] = 1
    fix.close(world.openings, 2, FIRST - late_by, world.stations, world.last, world.scratch, world.out, 0)
    assert world.out.kinds[0] == kind
    assert world.out.at_ms[0] == (FIRST - late_by) * BUCKET_MS
    assert np.array_equal(world.last.words, before) is (kind is Kind.HISTORY)


def test_places_held_apart_are_read_and_put_back_as_they_were() -> None:
    world, other = World([(0, 0, 0, 5)] * 9), fix.create_last(1, 1)
    world.close(FIRST, 0, [Hearing(0, -60, 0)])
    far = World([(0, 0, 0, 5)] * 8 + [(40_000, 0, 0, 5)])
    far.words[8, 3], far.drivers = fix.WEIGHT_ONE, ()
    far.close(FIRST, 0, [Hearing(0, -60, 0)])
    far.close(FIRST + 1, 0, [Hearing(8, -60, 0)])
    tags = np.zeros(1, np.int32)
    is_held, places = fix.held(far.last, tags)
    fix.hold(other, tags, places)
    assert is_held.tolist() == [True]
    assert [column.tolist() for column in fix.held(other, tags)[1]] == [column.tolist() for column in places]
    fix.hold(other, tags, places)  # no row is left: dropped, and nothing else is hurt
    assert other.counts[0] == 0
    assert fix.held(world.last, tags)[0].tolist() == [False]
