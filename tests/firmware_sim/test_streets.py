import heapq
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_sim.geometry import length_m
from firmware_sim.streets import Streets
from firmware_sim.town import Town


def _dijkstra_m(streets: Streets, start: int) -> dict[int, float]:
    """The oracle: the textbook way, from one crossing."""
    neighbours: dict[int, list[tuple[int, float]]] = {}
    for a, b in streets.edges.tolist():
        gap_m = float(np.linalg.norm(streets.nodes[a] - streets.nodes[b]))
        neighbours.setdefault(a, []).append((b, gap_m))
        neighbours.setdefault(b, []).append((a, gap_m))
    best, heap = {start: 0.0}, [(0.0, start)]
    while heap:
        gone_m, at = heapq.heappop(heap)
        for to, gap_m in neighbours[at]:
            if gone_m + gap_m < best.get(to, np.inf):
                best[to] = gone_m + gap_m
                heapq.heappush(heap, (best[to], to))
    return best


@pytest.mark.parametrize("start", [0, 37, 99])
def test_distances_between_crossings_agree_with_dijkstra(town: Town, start: int) -> None:
    oracle = _dijkstra_m(town.streets, start)
    assert [oracle[k] for k in range(100)] == pytest.approx(town.streets.distances_m[start].tolist())


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_a_route_follows_streets_and_is_as_long_back(town: Town, one: int, other: int) -> None:
    streets = town.streets
    a, b = (town.door(town.houses[number % len(town.houses)]) for number in (one, other))
    way = streets.route(a, b)
    assert tuple(way[0]) == (a.x_m, a.y_m)
    assert tuple(way[-1]) == (b.x_m, b.y_m)
    pieces = {tuple(sorted(edge)) for edge in streets.edges.tolist()}
    crossings = [int(np.linalg.norm(streets.nodes - point, axis=1).argmin()) for point in way[2:-2]]
    assert all(tuple(sorted(step)) in pieces for step in pairwise(crossings) if step[0] != step[1])
    assert length_m(way) == pytest.approx(length_m(streets.route(b, a)))


def test_a_neighbour_in_the_same_street_is_reached_without_a_crossing(town: Town) -> None:
    first = town.streets.spot(*(0.4 * town.streets.nodes[0] + 0.6 * town.streets.nodes[1]))
    second = town.streets.spot(*(0.6 * town.streets.nodes[0] + 0.4 * town.streets.nodes[1]))
    assert len(town.streets.route(first, second)) == 4
