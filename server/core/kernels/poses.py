"""Where moving detectors were at the moment of a sighting: a ring of positions that lines refer to by number."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from server.core.kernels.columns import Columns
from server.core.kernels.jit import kernel
from server.core.kernels.layout import aligned
from server.core.kernels.line import wide
from server.core.kernels.suppress import MAX_POSES, Openings

VAGUE_CM = 10_000
"""Taken where a moving detector does not say how well it knows its place."""
_MAX_ACCURACY_M = 1e6


class Poses(NamedTuple):
    """A ring. Number 0 is nobody's: the detector stands where its station is.

    Attributes:
        ring: int32, flat, 4 words a pose as in `fix.Stations`: lat_e7, lon_e7, accuracy_cm, 0.
        marks: int64 (places + 1,), how many poses there had been when a place's bucket opened; last: how many now.
    """

    ring: NDArray[np.int32]
    marks: NDArray[np.int64]


def create(capacity: int, places: int) -> Poses:
    """Return an empty ring for `capacity` poses in all open buckets together.

    Raises:
        ValueError: more than fit a word of a line.
    """
    if not 0 <= capacity <= MAX_POSES:
        raise ValueError(f"{capacity} poses do not fit a line")
    return Poses(aligned(4 * (capacity + 1), np.int32), aligned(places + 1, np.int64))


@kernel
def note(
    poses: Poses, openings: Openings, stations: NDArray[np.int32], columns: Columns, numbers: NDArray[np.int32]
) -> int:
    """Write into `numbers` the pose of each row of a moving detector, 0 for all others; return how many found no room.

    A row without a pose of a moving detector is heard nowhere and will be refused. Rows that follow each other with
    the same place share one pose.
    """
    ring, marks, capacity, lost, before = poses.ring, poses.marks, (poses.ring.size >> 2) - 1, 0, -1
    oldest = marks[openings.newest[1] & (openings.places - 1)]
    for i in range(columns.tags.size):
        numbers[i] = 0
        detector, lat, lon = wide(columns.detectors[i]), columns.lat_deg[i], columns.lon_deg[i]
        if not (0 <= detector < stations.size >> 2 and abs(lat) <= 90.0 and abs(lon) <= 180.0):  # NaN too
            continue
        if stations[detector * 4 + 3] >= 0:
            continue
        accuracy = columns.accuracy_m[i]
        accuracy_cm = VAGUE_CM if not accuracy >= 0.0 else wide(round(min(accuracy, _MAX_ACCURACY_M) * 100))
        lat_e7, lon_e7 = wide(math.floor(lat * 1e7 + 0.5)), wide(math.floor(lon * 1e7 + 0.5))
        at = 4 * (1 + (marks[-1] - 1) % capacity) if capacity else 0
        is_same = before == detector and ring[at] == lat_e7 and ring[at + 1] == lon_e7 and ring[at + 2] == accuracy_cm
        if not is_same:
            if marks[-1] - oldest >= capacity:
                lost += 1
                continue
            at = 4 * (1 + marks[-1] % capacity)
            ring[at], ring[at + 1], ring[at + 2] = lat_e7, lon_e7, accuracy_cm
            marks[-1] += 1
            before = detector
        numbers[i] = at >> 2
    return lost
