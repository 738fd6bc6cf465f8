import math
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from server.core.kernels import fix, places
from server.core.kernels.fix import M_PER_E7, Kind

SETTINGS = settings(deadline=None, max_examples=60)
NOW_MS = 1_795_402_800_000
LAT, LON = 347_500_000, 1_348_500_000
# Cells are 20833.3 by 31250 units: draw the corners of cells and what lies one unit beside them.
CORNER = st.builds(lambda k, d: -(-k * 10_000_000 // 480) + d, st.integers(59_877, 59_883), st.integers(-1, 1))
SIDE = st.builds(lambda k, d: k * 31_250 - 1_800_000_000 + d, st.integers(100_748, 100_756), st.integers(-1, 1))
lats = CORNER.map(lambda lat: lat - 900_000_000) | st.integers(LAT - 60_000, LAT + 60_000)
lons = SIDE | st.integers(LON - 90_000, LON + 90_000)
ages_ms = st.integers(0, 100_000)


class Tag(NamedTuple):
    lat_e7: int
    lon_e7: int
    age_ms: int


tags_there = st.lists(st.builds(Tag, lats, lons, ages_ms), min_size=1, max_size=80)


class World:
    """Tags that have moved before they came to where they are."""

    def __init__(self, tags: list[Tag], cells: int = 100) -> None:
        self.tags = tags
        n = len(tags)
        self.last, self.cells = fix.create_last(n + 3, 1), places.create_cells(cells)  # three were never heard
        self.index = places.create_index(self.cells, n + 3)
        self.found = places.create_found(n + 3)
        rng = np.random.default_rng(n)
        self._move([tag._replace(lat_e7=tag.lat_e7 + int(rng.integers(-50_000, 50_000))) for tag in tags])
        self._move(tags)
        assert places.rebuild(self.index, self.cells, self.last, NOW_MS) == n

    def _move(self, tags: list[Tag]) -> None:
        fixes = fix.create_fixes(len(tags))
        fixes.tags[:], fixes.kinds[:] = np.arange(len(tags)), Kind.MOVED
        for i, tag in enumerate(tags):
            self.last.words[8 * i : 8 * i + 2] = tag[:2]
            self.last.longs[4 * i + 1] = NOW_MS - tag.age_ms
        places.move(self.cells, self.last, fixes)

    def away2(self, lat_e7: int, lon_e7: int) -> NDArray[np.float64]:
        all_tags = np.array([tag[:2] for tag in self.tags], np.float64)
        shrink = math.cos(math.radians(lat_e7 / 1e7))
        north_m, east_m = (all_tags[:, 0] - lat_e7) * M_PER_E7, (all_tags[:, 1] - lon_e7) * M_PER_E7 * shrink
        return np.asarray(north_m**2 + east_m**2)

    def fresh(self, max_age_ms: int) -> NDArray[np.bool_]:
        return np.array([tag.age_ms <= max_age_ms for tag in self.tags])

    def answer(self, n: int) -> list[int]:
        return sorted(self.found.tags[:n].tolist())


radii_m = st.sampled_from([0.0, 50.0, 300.0, 100_000.0]) | st.floats(0, 1_500)
few_or_many_cells = st.sampled_from([1, 200])


@SETTINGS
@given(tags_there, lats, lons, radii_m, ages_ms, few_or_many_cells)
def test_within_finds_whom_brute_force_finds(
    tags: list[Tag], lat_e7: int, lon_e7: int, radius_m: float, max_age_ms: int, cells: int
) -> None:
    world = World(tags, cells)
    n = places.within(world.index, lat_e7, lon_e7, radius_m, NOW_MS - max_age_ms, world.found)
    away2 = world.away2(lat_e7, lon_e7)
    is_there = world.fresh(max_age_ms) & (away2 <= radius_m * radius_m)
    at_border = np.abs(np.sqrt(away2) - radius_m) < 1e-6
    differ = set(world.answer(n)) ^ set(np.flatnonzero(is_there).tolist())
    assert differ <= set(np.flatnonzero(at_border).tolist())


@SETTINGS
@given(tags_there, lats, lons, st.integers(1, 12), st.sampled_from([40.0, 600.0, 1e6]), ages_ms, few_or_many_cells)
def test_nearest_are_those_of_brute_force(
    tags: list[Tag], lat_e7: int, lon_e7: int, k: int, max_m: float, max_age_ms: int, cells: int
) -> None:
    world = World(tags, cells)
    found = places.create_found(k)
    n = places.nearest(world.index, lat_e7, lon_e7, k, NOW_MS - max_age_ms, max_m, found)
    away2 = world.away2(lat_e7, lon_e7)
    near = [i for i in np.lexsort((np.arange(len(tags)), away2)) if world.fresh(max_age_ms)[i] and away2[i] <= max_m**2]
    assert n == len(near[:k])
    assert np.allclose(found.away_m2[:n], away2[near[:k]], rtol=1e-9, atol=1e-6)
    assert sorted(set(found.tags[:n].tolist())) == sorted(found.tags[:n].tolist())


corners = st.lists(st.tuples(lats, lons), min_size=3, max_size=8)


@SETTINGS
@given(tags_there, corners, ages_ms, few_or_many_cells)
def test_inside_finds_whom_the_crossing_rule_finds(
    tags: list[Tag], vertices: list[tuple[int, int]], max_age_ms: int, cells: int
) -> None:
    world = World(tags, cells)
    n = places.inside(world.index, np.array(vertices, np.int32), NOW_MS - max_age_ms, world.found)
    expected = [i for i, tag in enumerate(tags) if tag.age_ms <= max_age_ms and _is_odd(vertices, *tag[:2])]
    assert world.answer(n) == expected


def _is_odd(vertices: list[tuple[int, int]], lat: int, lon: int) -> bool:
    odd = False
    for (yi, xi), (yj, xj) in zip(vertices, vertices[-1:] + vertices[:-1], strict=True):
        if (yi > lat) != (yj > lat):
            odd ^= (lon - xi) * abs(yj - yi) < (xj - xi) * (lat - yi) * (1 if yj > yi else -1)
    return odd


@SETTINGS
@given(tags_there)
def test_fresh_cells_hold_the_same_tags(tags: list[Tag]) -> None:
    world = World(tags)
    cells = places.create_cells(100)
    places.recell(cells, world.last)
    again = places.create_index(cells, len(tags) + 3)
    places.rebuild(again, cells, world.last, NOW_MS)
    n = places.within(again, LAT, LON, 400.0, 0, world.found)
    one = world.answer(n)
    assert one == world.answer(places.within(world.index, LAT, LON, 400.0, 0, world.found))
    assert cells.counts.sum() == world.cells.counts.sum() == len(tags)


def test_more_found_than_there_is_room_for_are_counted() -> None:
    world = World([Tag(LAT, LON, 0)] * 5)
    room = places.create_found(2)
    assert places.within(world.index, LAT, LON, 1.0, 0, room) == 5
    square = np.array([[LAT - 9, LON - 9], [LAT + 9, LON - 9], [LAT + 9, LON + 9], [LAT - 9, LON + 9]], np.int32)
    assert places.inside(world.index, square, 0, room) == 5


@pytest.mark.parametrize(
    ("lat_deg", "lon_deg", "row", "column"),
    # The third mesh 5339 46 11 of JIS X 0410 holds Tokyo station; its quarters are the 250 m cells.
    [(35.681, 139.767, 53 * 80 + 4 * 10 + 1, 39 * 80 + 6 * 10 + 1), (35.675, 139.7625, 4281, 3181)],
)
def test_cells_are_quarters_of_the_third_mesh(lat_deg: float, lon_deg: float, row: int, column: int) -> None:
    assert places.row_of(round(lat_deg * 1e7)) // 4 - 90 * 120 == row
    assert places.column_of(round(lon_deg * 1e7)) // 4 - 280 * 80 == column
