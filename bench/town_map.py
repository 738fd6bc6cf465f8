"""Places and areas for the benchmarks: where people are, and polygons round where people are."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

E7: Final = 10_000_000
CORNERS: Final = 12
_TOWNS: Final = 2_000
_SPREAD_DEG: Final = 0.05
_M_PER_DEG: Final = 111_195.0


@dataclass(frozen=True, slots=True)
class Areas:
    """Polygons of `CORNERS` corners, 50 to 250 m from their middles, and points near them.

    Attributes:
        corners_e7: shape (n, CORNERS, 2), latitude and longitude.
        lat_e7: shape (points,).
        lon_e7: likewise.
    """

    corners_e7: NDArray[np.int32]
    lat_e7: NDArray[np.int32]
    lon_e7: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class People:
    """Last places. Shape (n,) each."""

    lat_e7: NDArray[np.int32]
    lon_e7: NDArray[np.int32]
    at_s: NDArray[np.int64]


def areas(n: int, points: int, seed: int = 2) -> Areas:
    """Return `n` polygons and so many points in the same 2,000 towns."""
    rng = np.random.default_rng(seed)
    towns = _towns(rng)
    middle = _around(rng, towns, n, _SPREAD_DEG)
    radius_deg = rng.uniform(50, 250, (n, CORNERS)) / _M_PER_DEG
    turn = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    corners = np.empty((n, CORNERS, 2), np.int32)
    corners[:, :, 0] = (middle[:, :1] + radius_deg * np.sin(turn)) * E7
    corners[:, :, 1] = (middle[:, 1:] + radius_deg * np.cos(turn) / np.cos(np.radians(middle[:, :1]))) * E7
    spots = (_around(rng, towns, points, _SPREAD_DEG) * E7).astype(np.int32)
    return Areas(corners, np.ascontiguousarray(spots[:, 0]), np.ascontiguousarray(spots[:, 1]))


def people(n: int, seed: int = 5) -> People:
    """Return `n` people in quarters of two hundred homes, each last heard at some time of the day."""
    rng = np.random.default_rng(seed)
    quarters = _around(rng, _towns(rng), max(1, n // 200), _SPREAD_DEG)
    spots = (quarters[rng.integers(0, len(quarters), n)] + rng.normal(0, 0.004, (n, 2))) * E7
    lat_e7, lon_e7 = np.ascontiguousarray(spots.astype(np.int32).T)
    return People(lat_e7, lon_e7, rng.integers(1, 86_400, n))


def ring(lat_e7: int, lon_e7: int, radius_m: float, rng: np.random.Generator) -> NDArray[np.int32]:
    """Return the corners, shape (CORNERS, 2), of a ragged polygon round a place."""
    turn = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    reach_e7 = radius_m * rng.uniform(0.6, 1.4, CORNERS) / _M_PER_DEG * E7
    stretch = 1 / np.cos(np.radians(lat_e7 / E7))
    corners = np.stack([lat_e7 + reach_e7 * np.sin(turn), lon_e7 + reach_e7 * np.cos(turn) * stretch], axis=1)
    return corners.astype(np.int32)


def _towns(rng: np.random.Generator) -> NDArray[np.float64]:
    return np.stack([rng.uniform(33, 40, _TOWNS), rng.uniform(130.5, 141, _TOWNS)], axis=1)


def _around(rng: np.random.Generator, places: NDArray[np.float64], n: int, spread_deg: float) -> NDArray[np.float64]:
    return np.asarray(places[rng.integers(0, len(places), n)] + rng.normal(0, spread_deg, (n, 2)))
