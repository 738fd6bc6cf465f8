"""No-report zones: circles on the map where this phone hears nothing. They are kept in one local file and go nowhere.

A zone is written down moved by a random distance and enlarged to cover what was asked for, so that the hole in the
phone's reports is not centred on a home.
"""

import json
import math
import os
import random
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from mobile_detector.errors import ZoneError

EARTH_RADIUS_M: Final = 6_371_008.8
"""Mean radius, IUGG 1980."""
MIN_RADIUS_M: Final = 50.0
MAX_RADIUS_M: Final = 20_000.0
MARGIN_M: Final = 20.0
"""A phone this close to a zone is inside: a second's cycling, and what positioning gets wrong."""


@dataclass(frozen=True, slots=True)
class Zone:
    """A circle in which nothing is scanned or recorded.

    Args:
        name: for the volunteer's own eyes.
        lat_deg: WGS 84, of the moved centre.
        lon_deg: WGS 84.
        radius_m: enlarged, so that what was asked for lies inside.
    """

    name: str
    lat_deg: float
    lon_deg: float
    radius_m: float

    def __post_init__(self) -> None:
        if not (-90 <= self.lat_deg <= 90 and -180 <= self.lon_deg <= 180):
            raise ZoneError("a zone lies on the earth")
        if not MIN_RADIUS_M <= self.radius_m <= 2 * MAX_RADIUS_M:
            raise ZoneError(f"a zone has a radius of {MIN_RADIUS_M:.0f} to {MAX_RADIUS_M:.0f} m")

    def covers(self, lat_deg: float, lon_deg: float, accuracy_m: float) -> bool:
        """Return whether someone there, give or take `accuracy_m`, may be inside."""
        reach_m = self.radius_m + MARGIN_M + accuracy_m
        return distance_m(self.lat_deg, self.lon_deg, lat_deg, lon_deg) <= reach_m


def around(name: str, lat_deg: float, lon_deg: float, *, radius_m: float, rng: random.Random) -> Zone:
    """Return a zone that covers `radius_m` round the place, but is not centred on it.

    Raises:
        ZoneError: no such place, or a radius out of range.
    """
    if not MIN_RADIUS_M <= radius_m <= MAX_RADIUS_M or not (-90 <= lat_deg <= 90 and -180 <= lon_deg <= 180):
        raise ZoneError(f"a zone lies on the earth and has a radius of {MIN_RADIUS_M:.0f} to {MAX_RADIUS_M:.0f} m")
    moved_m = radius_m * 0.5 * math.sqrt(rng.random())
    bearing = rng.uniform(0, 2 * math.pi)
    lat = lat_deg + math.degrees(moved_m * math.cos(bearing) / EARTH_RADIUS_M)
    lon = lon_deg + math.degrees(moved_m * math.sin(bearing) / EARTH_RADIUS_M / max(math.cos(math.radians(lat)), 0.01))
    lat, lon = max(-90.0, min(90.0, lat)), (lon + 180.0) % 360.0 - 180.0
    return Zone(name, lat, lon, radius_m + distance_m(lat, lon, lat_deg, lon_deg) + 1.0)


class Zones:
    """The zones of one phone.

    Args:
        zones: in the order they were added.
    """

    def __init__(self, zones: Iterable[Zone] = ()) -> None:
        self.zones = tuple(zones)

    @classmethod
    def load(cls, path: Path) -> "Zones":
        """Return the zones in `path`; none when it does not exist.

        Raises:
            ZoneError: the file is there but cannot be read; never taken for "no zones".
        """
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))
            return cls(Zone(**row) for row in rows)
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, TypeError) as error:
            raise ZoneError(f"{path} is unreadable: nothing is scanned until it is mended or removed") from error

    def save(self, path: Path) -> None:
        """Write the zones to `path`, readable by its owner alone, whole or not at all."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123 -- the mode must hold from the first byte
            json.dump([asdict(zone) for zone in self.zones], file, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)

    def covers(self, lat_deg: float, lon_deg: float, accuracy_m: float) -> bool:
        """Return whether someone there may be inside any zone."""
        return any(zone.covers(lat_deg, lon_deg, accuracy_m) for zone in self.zones)


def distance_m(lat_deg: float, lon_deg: float, other_lat_deg: float, other_lon_deg: float) -> float:
    """Return the great-circle distance in metres (haversine)."""
    lat, other_lat = math.radians(lat_deg), math.radians(other_lat_deg)
    half = math.sin((other_lat - lat) / 2) ** 2
    half += math.cos(lat) * math.cos(other_lat) * math.sin(math.radians(other_lon_deg - lon_deg) / 2) ** 2
    return 2 * EARTH_RADIUS_M * math.asin(math.sqrt(min(1.0, half)))
