import math
from typing import NamedTuple

import numpy as np
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from server.core import fences as model
from server.core import places as waiting
from server.core.geo import Position
from server.core.kernels import fences, fix, grid
from server.core.kernels.fences import Change, Circle, Polygon
from server.core.kernels.fix import M_PER_E7, Kind

SETTINGS = settings(deadline=None, max_examples=80)
NOW_MS = 1_795_402_800_000
LAT, LON = 34.75, 134.85
NORTH, EAST = 1 / 111_194.93, 1 / (111_194.93 * math.cos(math.radians(LAT)))
KINDS = {Change.ARRIVED: waiting.Kind.ARRIVED, Change.DEPARTED: waiting.Kind.DEPARTED}


class Stay(NamedTuple):
    """A place of a walk: metres from the middle, its accuracy, seconds since the one before."""

    north_m: float
    east_m: float
    accuracy_m: float
    after_s: int


walks = st.lists(
    st.builds(Stay, st.floats(-300, 300), st.floats(-300, 300), st.floats(10, 140), st.integers(1, 200)), max_size=25
)
circles = st.builds(
    Circle, st.just(LAT), st.just(LON), st.integers(20, 150), st.sampled_from([0, 30_000, 90_000]), st.just(0)
)
stars = st.lists(st.floats(30, 250), min_size=3, max_size=12)


def _star(radii_m: list[float], north_m: float = 0, east_m: float = 0) -> list[tuple[float, float]]:
    """Return a polygon that does not cross itself."""
    turns = [2 * math.pi * i / len(radii_m) for i in range(len(radii_m))]
    return [
        (LAT + (north_m + r * math.cos(a)) * NORTH, LON + (east_m + r * math.sin(a)) * EAST)
        for r, a in zip(radii_m, turns, strict=True)
    ]


def _fixes(stay: Stay, at_ms: int) -> fix.Fixes:
    fixes = fix.create_fixes(1)
    fixes.tags[0], fixes.kinds[0], fixes.at_ms[0], fixes.accuracy_m[0] = 0, Kind.MOVED, at_ms, stay.accuracy_m
    fixes.lat_e7[0] = round((LAT + stay.north_m * NORTH) * 1e7)
    fixes.lon_e7[0] = round((LON + stay.east_m * EAST) * 1e7)
    return fixes


def _watch(fence: Circle | Polygon) -> tuple[fences.Fences, fences.Watches]:
    one = np.zeros(1, np.int32)
    return fences.Fences.of([fence]), fences.Watches.of(one, one, registered=1)


def _told(events: fences.Events, n: int) -> list[tuple[Change, int]]:
    return [(Change(int(k)), int(t)) for k, t in zip(events.kinds[:n], events.at_ms[:n], strict=True)]


@SETTINGS
@given(circles, walks)
def test_arrivals_and_departures_are_those_of_the_plain_model(circle: Circle, walk: list[Stay]) -> None:
    all_fences, watches = _watch(circle)
    plain = model.Fence("w", "p", circle.lat_deg, circle.lon_deg, circle.radius_m, circle.dwell_ms)
    events, at_ms, presence, count, expected = fences.create_events(50), NOW_MS, None, 0, []
    for stay in walk:
        at_ms += stay.after_s * 1000
        fixes = _fixes(stay, at_ms)
        place = Position(at_ms, fixes.lat_e7[0] / 1e7, fixes.lon_e7[0] / 1e7, float(fixes.accuracy_m[0]))
        side = model.side_of(plain, place)
        nudged = [model.side_of(plain, Position(*place_)) for place_ in _nudged(place)]
        assume(nudged == [side, side])  # centimetres decide: cosines may differ
        presence, event = waiting.step(presence, plain, is_inside=side, at_ms=at_ms)
        expected += [(event.kind, event.at_ms)] if event else []
        count = fences.cross(all_fences, watches, fixes, events, count)
        assert [(KINDS[kind], t) for kind, t in _told(events, count)] == expected


def _nudged(place: Position) -> list[tuple[int, float, float, float]]:
    middle = ((place.lat_deg - LAT) * 1.001 + LAT, (place.lon_deg - LON) * 1.001 + LON)
    outer = ((place.lat_deg - LAT) * 0.999 + LAT, (place.lon_deg - LON) * 0.999 + LON)
    return [(place.at_ms, *middle, place.accuracy_m), (place.at_ms, *outer, place.accuracy_m)]


@SETTINGS
@given(stars, st.floats(-400, 400), st.floats(-400, 400), st.floats(10, 200))
def test_a_polygon_has_the_sides_of_shapely(
    radii_m: list[float], north_m: float, east_m: float, accuracy_m: float
) -> None:
    all_fences, watches = _watch(Polygon(_star(radii_m)))
    flat = shapely.Polygon([(lon / EAST, lat / NORTH) for lat, lon in _star(radii_m)])
    fixes = _fixes(Stay(north_m, east_m, accuracy_m, 0), NOW_MS)
    point = shapely.Point(fixes.lon_e7[0] / 1e7 / EAST, fixes.lat_e7[0] / 1e7 / NORTH)
    beyond_m, radius_m = flat.exterior.distance(point), math.sqrt(flat.area / math.pi)
    limit_m = accuracy_m + max(15, radius_m / 5)
    assume(beyond_m > 0.1 and abs(beyond_m - limit_m) > 0.5 and abs(accuracy_m - 1.5 * max(radius_m, 50)) > 0.5)
    if flat.contains(point):
        expected = 1 if accuracy_m <= 1.5 * max(radius_m, 50) else 0
    else:
        expected = 2 if beyond_m > limit_m else 0
    fences.cross(all_fences, watches, fixes, fences.create_events(1), 0)
    assert watches.states[0] & 3 == expected


@SETTINGS
@given(
    st.lists(st.tuples(stars, st.floats(-900, 900), st.floats(-900, 900)), min_size=1, max_size=12),
    st.lists(st.tuples(st.floats(-1200, 1200), st.floats(-1200, 1200)), min_size=1, max_size=30),
    st.sampled_from([0, 1]),
)
def test_the_grid_finds_the_fences_that_shapely_finds(
    shapes: list[tuple[list[float], float, float]], points: list[tuple[float, float]], countries: int
) -> None:
    polygons = [_star(*shape) for shape in shapes] + ([[(30.0, 130.0), (40.0, 130.0), (35.0, 145.0)]] * countries)
    all_fences = fences.Fences.of([Polygon(vertices) for vertices in polygons])
    lat_e7 = np.array([round((LAT + north_m * NORTH) * 1e7) for north_m, _ in points], np.int32)
    lon_e7 = np.array([round((LON + east_m * EAST) * 1e7) for _, east_m in points], np.int32)
    out = np.empty((500, 2), np.int32)
    n = grid.match(all_fences, grid.create(all_fences), lat_e7, lon_e7, out)
    exact = [shapely.Polygon([(fences._e7(lon), fences._e7(lat)) for lat, lon in v]) for v in polygons]
    tree = shapely.STRtree(exact)
    on_map = shapely.points(lon_e7.astype(float), lat_e7.astype(float))
    expected = {(int(i), int(f)) for i, f in tree.query(on_map, predicate="intersects").T}
    border = {
        (i, f) for i in range(len(points)) for f in range(len(exact)) if exact[f].boundary.distance(on_map[i]) < 1
    }
    assert {(int(i), int(f)) for i, f in out[:n]} - border == expected - border
    assert len({tuple(pair) for pair in out[:n].tolist()}) == n


def test_circles_in_the_grid_count_their_border() -> None:
    all_fences = fences.Fences.of([Circle(LAT, LON, 100.0)])
    just = int(100 / M_PER_E7)
    lat_e7 = np.array([round(LAT * 1e7) + just, round(LAT * 1e7) + just + 2], np.int32)
    out = np.empty((2, 2), np.int32)
    n = grid.match(all_fences, grid.create(all_fences), lat_e7, np.full(2, round(LON * 1e7), np.int32), out)
    assert out[:n].tolist() == [[0, 0]]


def test_a_stay_is_told_once() -> None:
    all_fences, watches = _watch(Circle(LAT, LON, 50.0, dwell_ms=0, stay_ms=60_000))
    events, count = fences.create_events(9), 0
    for step in range(6):
        count = fences.cross(all_fences, watches, _fixes(Stay(0, 0, 10, 0), NOW_MS + step * 30_000), events, count)
    assert _told(events, count) == [(Change.STAYED, NOW_MS + 60_000)]


def test_silence_completes_an_arrival_and_never_a_departure() -> None:
    all_fences, watches = _watch(Circle(LAT, LON, 50.0, dwell_ms=60_000))
    events, last = fences.create_events(9), fix.create_last(1, 1)
    for step, north_m in enumerate([400, 0, 0]):
        at_ms = NOW_MS + step * 10_000
        fences.cross(all_fences, watches, _fixes(Stay(north_m, 0, 10, 0), at_ms), events, 0)
        last.longs[1] = at_ms
    assert fences.sweep(all_fences, watches, last, at_ms + 179_999, events, 0) == 0
    assert _told(events, fences.sweep(all_fences, watches, last, at_ms + 180_000, events, 0)) == [
        (Change.ARRIVED, NOW_MS + 10_000)
    ]
    for step in (3, 4):
        fences.cross(all_fences, watches, _fixes(Stay(400, 0, 10, 0), NOW_MS + step * 10_000), events, 0)
    assert fences.sweep(all_fences, watches, last, at_ms + 10**7, events, 0) == 0
    assert watches.counts.tolist() == [0, 0, 1]
    assert (fences.changed(watches).tolist(), fences.changed(watches).tolist()) == ([0], [])


def test_events_without_room_are_counted() -> None:
    all_fences, watches = _watch(Circle(LAT, LON, 50.0))
    none = fences.create_events(0)
    for step, north_m in enumerate([400, 0]):
        n = fences.cross(all_fences, watches, _fixes(Stay(north_m, 0, 10, 0), NOW_MS + step), none, 0)
    assert n == 1
