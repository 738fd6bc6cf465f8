"""The street network: crossings, street pieces between them, and the shortest way from door to door."""

from dataclasses import dataclass, field

import numpy as np

from firmware_sim.geometry import Floats, Ints


@dataclass(frozen=True, slots=True)
class Spot:
    """A door or a pole: a point in metres and where its path meets the street.

    Attributes:
        edge: index of the street piece.
        part: 0..1 along that piece, from its first crossing to its second.
    """

    x_m: float
    y_m: float
    edge: int
    part: float


@dataclass(frozen=True)
class Streets:
    """Crossings and the pieces between them.

    Attributes:
        nodes: shape (n, 2), metres.
        edges: shape (m, 2), indices of crossings; walked both ways.
        names: shape (m,), number of the street the piece belongs to.
        bridges: shape (m,), True where the piece crosses the river.
    """

    nodes: Floats
    edges: Ints
    names: Ints
    bridges: np.ndarray[tuple[int], np.dtype[np.bool_]]
    distances_m: Floats = field(init=False, repr=False)
    towards: Ints = field(init=False, repr=False)

    def __post_init__(self) -> None:
        distances, towards = _all_pairs(self.nodes, self.edges)
        object.__setattr__(self, "distances_m", distances)
        object.__setattr__(self, "towards", towards)

    def spot(self, x_m: float, y_m: float) -> Spot:
        """The point with its nearest place on a street."""
        a, b = self.nodes[self.edges[:, 0]], self.nodes[self.edges[:, 1]]
        along, away = b - a, np.array((x_m, y_m)) - a
        part = np.clip((away * along).sum(1) / (along**2).sum(1), 0, 1)
        edge = int(np.linalg.norm(away - part[:, None] * along, axis=1).argmin())
        return Spot(float(x_m), float(y_m), edge, float(part[edge]))

    def foot(self, spot: Spot) -> Floats:
        """Where the spot's path meets the street, shape (2,)."""
        a, b = self.nodes[self.edges[spot.edge]]
        foot: Floats = a + spot.part * (b - a)
        return foot

    def route(self, start: Spot, end: Spot) -> Floats:
        """The shortest way on streets from door to door, shape (k, 2), metres; both doors included.

        Source: all shortest paths by Floyd and Warshall, computed once for the town's hundred crossings.
        """
        first, last = self.foot(start), self.foot(end)
        middle = [first, last] if start.edge == end.edge else [first, *self._crossings(start, end, first, last), last]
        return np.array([(start.x_m, start.y_m), *middle, (end.x_m, end.y_m)], dtype=np.float64)

    def _crossings(self, start: Spot, end: Spot, first: Floats, last: Floats) -> list[Floats]:
        from_ends, to_ends = self.edges[start.edge], self.edges[end.edge]
        lead = np.linalg.norm(self.nodes[from_ends] - first, axis=1)
        tail = np.linalg.norm(self.nodes[to_ends] - last, axis=1)
        whole = lead[:, None] + self.distances_m[np.ix_(from_ends, to_ends)] + tail[None, :]
        i, j = np.unravel_index(int(whole.argmin()), whole.shape)
        at, goal = int(from_ends[i]), int(to_ends[j])
        seen = [self.nodes[at]]
        while at != goal:
            at = int(self.towards[at, goal])
            seen.append(self.nodes[at])
        return seen


def _all_pairs(nodes: Floats, edges: Ints) -> tuple[Floats, Ints]:
    """Distances between all crossings and the next crossing on the way, both shape (n, n)."""
    n = len(nodes)
    distances = np.full((n, n), np.inf)
    towards = np.tile(np.arange(n), (n, 1))
    lengths = np.linalg.norm(nodes[edges[:, 0]] - nodes[edges[:, 1]], axis=1)
    distances[edges[:, 0], edges[:, 1]] = distances[edges[:, 1], edges[:, 0]] = lengths
    np.fill_diagonal(distances, 0.0)
    for k in range(n):
        by_k = distances[:, k, None] + distances[None, k, :]
        better = by_k < distances - 1e-9
        distances = np.where(better, by_k, distances)
        towards = np.where(better, towards[:, k, None], towards)
    return distances, towards
