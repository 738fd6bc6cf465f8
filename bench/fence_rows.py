"""Fences by the million: rows as `server.core.kernels.fences.Fences.of` makes them, but from arrays.

Polygons get the margin of a small one, whatever their area.
"""

import numpy as np
from numpy.typing import NDArray

from server.core.kernels import fences, fix
from server.core.kernels.fences import Circle, Fences, Polygon
from server.core.kernels.layout import aligned

_E7 = 10_000_000


def polygons(corners_e7: NDArray[np.int32], *, dwell_ms: int = 0) -> Fences:
    """Return polygons of equally many corners, shape (n, corners, 2), latitude and longitude."""
    n, corners = corners_e7.shape[:2]
    words = _like(n, Polygon([(0.0, 0.0), (0.001, 0.0), (0.0, 0.001)], dwell_ms))
    low, high = corners_e7.min(axis=1), corners_e7.max(axis=1)
    words[:, 1:3], words[:, 3:5] = low, high
    words[:, 5], words[:, 6] = np.arange(n) * corners, corners
    middle = (low.astype(np.int64) + high) // 2
    words[:, 7:9] = middle
    words[:, 14] = np.round(np.cos(np.radians(middle[:, 0] / _E7)) * (1 << 30))
    return Fences(words.reshape(-1), np.ascontiguousarray(corners_e7.reshape(-1, 2)))


def circles(
    lat_deg: NDArray[np.float64], lon_deg: NDArray[np.float64], radius_m: float, *, dwell_ms: int = 0
) -> Fences:
    """Return circles of one radius."""
    words = _like(len(lat_deg), Circle(0.0, 0.0, radius_m, dwell_ms))
    middle = np.round(np.stack([lat_deg, lon_deg], axis=1) * _E7).astype(np.int64)
    shrink = np.cos(np.radians(lat_deg))
    reach = np.ceil(np.stack([np.full(len(lat_deg), radius_m), radius_m / shrink], axis=1) / fix.M_PER_E7)
    words[:, 1:3], words[:, 3:5], words[:, 7:9] = middle - reach, middle + reach, middle
    words[:, 14] = np.round(shrink * (1 << 30))
    return Fences(words.reshape(-1), np.empty((0, 2), np.int32))


def joined(first: Fences, second: Fences) -> Fences:
    """Return the fences of both, in this order."""
    words = aligned(first.words.size + second.words.size, np.int32, None)
    words[: first.words.size], words[first.words.size :] = first.words, second.words
    rows = words[first.words.size :].reshape(-1, fences.WORDS)
    rows[:, 5] += len(first.vertices)
    return Fences(words, np.concatenate([first.vertices, second.vertices]))


def _like(n: int, fence: Circle | Polygon) -> NDArray[np.int32]:
    """Return `n` rows as those of one fence, in which what differs is still to be filled in."""
    words: NDArray[np.int32] = aligned((n, fences.WORDS), np.int32, None)
    words[:] = Fences.of([fence]).words
    return words
