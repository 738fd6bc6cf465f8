"""Which areas a place is in: the core's grid beside shapely's STRtree, the same polygons, the same points."""

from dataclasses import dataclass, field

import numpy as np

from bench import fence_rows, town_map
from bench.job import AbsentError, DisagreementError
from bench.measure import RUNS, alternate, best_ns_per, thread_ns_of
from bench.peers.shapely_tree import Tree
from server.core.kernels import grid

POINTS = 200_000
PEER_POINTS = 50_000
"""shapely is asked for fewer, in the same towns."""


@dataclass(frozen=True, slots=True)
class FenceCosts:
    """Cost of asking for one point.

    Attributes:
        n_fences: polygons of 12 corners.
        ns: ours.
        peer_ns: shapely's, 0 if it is absent.
        times_faster: median of the ratios, 0 likewise.
        hits: areas a point is in.
        absent: why there is no peer.
        title: of the peer.
    """

    n_fences: int
    ns: float
    peer_ns: float = 0.0
    times_faster: float = 0.0
    hits: float = 0.0
    absent: str = ""
    title: str = field(default="shapely")


def measure(n_fences: int, *, runs: int = RUNS) -> FenceCosts:
    """Return what it costs to find the areas that points are in.

    Raises:
        DisagreementError: shapely finds others.
    """
    areas = town_map.areas(n_fences, POINTS)
    rows = fence_rows.polygons(areas.corners_e7)
    cells = grid.create(rows)
    found = np.empty((4 * POINTS, 2), np.int32)
    pairs = grid.match(rows, cells, areas.lat_e7, areas.lon_e7, found)

    def ours() -> float:
        return thread_ns_of(lambda: grid.match(rows, cells, areas.lat_e7, areas.lon_e7, found)) / POINTS

    try:
        theirs = Tree(areas.corners_e7, areas.lat_e7[:PEER_POINTS], areas.lon_e7[:PEER_POINTS])
    except AbsentError as error:
        ns = best_ns_per(POINTS, lambda: grid.match(rows, cells, areas.lat_e7, areas.lon_e7, found))
        return FenceCosts(n_fences, ns, hits=pairs / POINTS, absent=str(error))
    race = alternate({"ours": ours, "shapely": lambda: theirs.run() / PEER_POINTS}, runs)
    mine = found[:pairs][found[:pairs, 0] < PEER_POINTS].astype(np.int64)
    if not np.array_equal(np.sort(mine[:, 0] << 32 | mine[:, 1]), theirs.pairs()):
        raise DisagreementError("shapely finds points in other areas")
    ns, peer_ns, times = race.median("ours"), race.median("shapely"), race.ratio("shapely", "ours")
    return FenceCosts(n_fences, ns, peer_ns, times, pairs / POINTS, title=theirs.title)
