"""Satellite positions with their error, as a vehicle's or a phone's receiver reports them."""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from firmware_sim.geometry import Floats, Ints, Plane
from firmware_sim.movement import Positions

SIGMA_M: Final = 2.0
"""Per axis, outside: a phone under open sky is within 4.9 m (van Diggelen and Enge, ION GNSS+ 2015; gps.gov), which is
the 95 % radius of 2.0 m an axis."""
INDOOR_FACTOR: Final = 4.0
CORRELATION_S: Final = 60.0
"""Errors wander slowly: a first-order Gauss-Markov process with a minute's memory."""
_RADIUS_95: Final = math.sqrt(-2 * math.log(0.05))


@dataclass(frozen=True, slots=True)
class GpsFix:
    """One report, in the terms of gpsd's TPV object."""

    lat_deg: float
    lon_deg: float
    error_95_m: float
    speed_mps: float
    course_deg: float

    def tpv(self, device: str, at_text: str) -> dict[str, Any]:
        """The TPV object; `eph` is the estimated horizontal error in metres at 95 %. Source: gpsd_json(5)."""
        sigma_m = self.error_95_m / _RADIUS_95
        return {
            "class": "TPV", "device": device, "mode": 3, "time": at_text,
            "lat": round(self.lat_deg, 7), "lon": round(self.lon_deg, 7), "alt": 12.0,
            "epx": round(2 * sigma_m, 2), "epy": round(2 * sigma_m, 2), "eph": round(self.error_95_m, 2),
            "speed": round(self.speed_mps, 2), "track": round(self.course_deg, 1),
        }  # fmt: skip


class Gps:
    """The receivers of all moving detectors.

    Args:
        plane: the town's.
        movers: index of the mover that carries each receiver.
        seed: the town's.
    """

    def __init__(self, plane: Plane, movers: Ints, seed: int) -> None:
        self._plane = plane
        self._movers = movers
        self._rng = np.random.default_rng([seed, 7])
        self._error_m: Floats = self._rng.standard_normal((2, len(movers)))

    def fixes(self, where: Positions) -> list[GpsFix]:
        """The next second's report of every receiver."""
        kept = math.exp(-1 / CORRELATION_S)
        fresh = self._rng.standard_normal(self._error_m.shape)
        self._error_m = kept * self._error_m + math.sqrt(1 - kept * kept) * fresh
        sigma_m = np.where(where.buildings[self._movers] >= 0, SIGMA_M * INDOOR_FACTOR, SIGMA_M)
        lat_deg, lon_deg = self._plane.to_geo(
            where.x_m[self._movers] + sigma_m * self._error_m[0], where.y_m[self._movers] + sigma_m * self._error_m[1]
        )
        course_deg = np.degrees(np.arctan2(where.east_mps, where.north_mps))[self._movers] % 360
        columns = (lat_deg, lon_deg, sigma_m * _RADIUS_95, where.speeds_mps[self._movers], course_deg)
        return [GpsFix(*row) for row in np.stack(columns, axis=1).tolist()]
