"""Distances in a town: flat, for a few kilometres are flat to a millimetre in a thousand."""

import math
from dataclasses import dataclass

M_PER_DEG = 111_194.93
"""Of latitude, on a sphere of 6,371,009 m (IUGG mean radius)."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place at a time.

    Attributes:
        at_ms: UTC, last heard there.
        lat_deg: WGS 84.
        lon_deg: WGS 84.
        accuracy_m: radius in which the tag is most of the time (about two of three).
    """

    at_ms: int
    lat_deg: float
    lon_deg: float
    accuracy_m: float


def distance_m(lat_a_deg: float, lon_a_deg: float, lat_b_deg: float, lon_b_deg: float) -> float:
    """Return the distance between two points that are less than about 100 km apart, across the date line too."""
    north_m = (lat_b_deg - lat_a_deg) * M_PER_DEG
    lon_deg = (lon_b_deg - lon_a_deg + 180.0) % 360.0 - 180.0
    east_m = lon_deg * M_PER_DEG * math.cos(math.radians((lat_a_deg + lat_b_deg) / 2))
    return math.hypot(north_m, east_m)


def apart_m(a: Position, b: Position) -> float:
    """Return the distance between two positions."""
    return distance_m(a.lat_deg, a.lon_deg, b.lat_deg, b.lon_deg)
