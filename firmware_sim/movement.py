"""Where everybody is at any second of a day: straight pieces between knots, looked up for all people at once."""

import itertools
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from firmware_sim.geometry import Floats, Ints, length_m

DAY_S = 86_400
_SPAN_S = 100_000.0
"""Distance between two people on the common axis of knots; more than a day and a bit."""
OUTSIDE = -1


@dataclass(slots=True)
class Itinerary:
    """One day of one person, written front to back.

    Attributes:
        t_s: seconds since local midnight of each knot, ascending.
        points: `(x_m, y_m)` at each knot.
        buildings: building entered at that knot, -1 outside, until the next knot.
    """

    x_m: float
    y_m: float
    building: int
    t_s: list[float] = field(default_factory=list)
    points: list[tuple[float, float]] = field(default_factory=list)
    buildings: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._knot(0.0, self.x_m, self.y_m, self.building)

    @property
    def now_s(self) -> float:
        """Seconds since midnight of the last knot."""
        return self.t_s[-1]

    def stay(self, until_s: float) -> None:
        """Stay where the last step ended; a time gone by is no stay."""
        if until_s > self.now_s:
            self._knot(until_s, *self.points[-1], self.buildings[-1])

    def walk(self, way: Floats, speed_mps: float, *, building: int = OUTSIDE) -> None:
        """Go along `way`, shape (k, 2), from its first point; enter `building` at its end."""
        self.buildings[-1] = OUTSIDE
        for a, b in itertools.pairwise(way):
            took_s = float(np.linalg.norm(b - a)) / speed_mps
            if took_s > 0:
                self._knot(self.now_s + took_s, float(b[0]), float(b[1]), OUTSIDE)
        self.buildings[-1] = building

    def _knot(self, t_s: float, x_m: float, y_m: float, building: int) -> None:
        self.t_s.append(t_s)
        self.points.append((x_m, y_m))
        self.buildings.append(building)


def leave_s(arrive_s: float, way: Floats, speed_mps: float) -> float:
    """When to leave so as to arrive at `arrive_s`."""
    return arrive_s - length_m(way) / speed_mps


@dataclass(frozen=True, slots=True)
class Positions:
    """Everybody at one moment; all shape (n,). Speeds in m/s, `buildings` -1 outside."""

    x_m: Floats
    y_m: Floats
    east_mps: Floats
    north_mps: Floats
    buildings: Ints

    @property
    def speeds_mps(self) -> Floats:
        """Shape (n,)."""
        return np.hypot(self.east_mps, self.north_mps)


class Movement:
    """The day of n people as flat columns of knots.

    Args:
        itineraries: one per person; beyond the last knot a person stays.
    """

    def __init__(self, itineraries: list[Itinerary]) -> None:
        self._count = len(itineraries)
        self._offsets = np.arange(self._count) * _SPAN_S
        columns = [_pieces(itinerary) for itinerary in itineraries]
        self._t_s = np.concatenate([c[0] for c in columns])
        self._values = np.concatenate([c[1] for c in columns])
        self._buildings: NDArray[np.int64] = np.concatenate([np.array(i.buildings) for i in itineraries])
        lengths = [len(itinerary.t_s) for itinerary in itineraries]
        self._keys = self._t_s + np.repeat(self._offsets, lengths)

    def __len__(self) -> int:
        return self._count

    def at(self, t_s: float) -> Positions:
        """Everybody at `t_s` seconds after midnight, 0 to a day; one binary search for all."""
        piece = np.searchsorted(self._keys, self._offsets + t_s, side="right") - 1
        gone_s = t_s - self._t_s[piece]
        x_m, y_m, east_mps, north_mps = self._values[piece].T
        return Positions(x_m + gone_s * east_mps, y_m + gone_s * north_mps, east_mps, north_mps, self._buildings[piece])


def _pieces(itinerary: Itinerary) -> tuple[Floats, Floats]:
    """Knot times, shape (k,), and x, y, speed east and north from that knot on, shape (k, 4)."""
    t_s, points = np.array(itinerary.t_s), np.array(itinerary.points)
    took_s = np.diff(t_s)
    speeds = np.zeros_like(points)
    np.divide(np.diff(points, axis=0), took_s[:, None], out=speeds[:-1], where=took_s[:, None] > 0)
    return t_s, np.concatenate((points, speeds), axis=1)
