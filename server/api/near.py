"""The nearest named place, so that a family reads "near the library" and not a pair of numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from server.store.family import WatchedPlaceRow

WITHIN_M: Final = 250.0
_KINDS: Final = frozenset({"poi", "building", "park"})
_M_PER_DEG: Final = 111_195.0
"""Metres in a degree of latitude: a sphere of 6,371 km (IUGG mean radius)."""


@dataclass(frozen=True, slots=True)
class Landmark:
    """Something with a name.

    Attributes:
        radius_m: how far it reaches: inside, the distance is 0.
    """

    name_ja: str
    name_en: str
    lat_deg: float
    lon_deg: float
    radius_m: float = 0.0


def distance_m(landmark: Landmark, lat_deg: float, lon_deg: float) -> float:
    """Return metres to the edge of a landmark, on a flat earth: right to a millimetre within a town."""
    north_m = (landmark.lat_deg - lat_deg) * _M_PER_DEG
    east_m = (landmark.lon_deg - lon_deg) * _M_PER_DEG * math.cos(math.radians(lat_deg))
    return max(0.0, math.hypot(north_m, east_m) - landmark.radius_m)


def nearest(landmarks: Iterable[Landmark], lat_deg: float, lon_deg: float) -> Landmark | None:
    """Return the landmark nearest to a point, None when all are further than `WITHIN_M`; the first of equals."""
    best, best_m = None, WITHIN_M
    for landmark in landmarks:
        away_m = distance_m(landmark, lat_deg, lon_deg)
        if away_m < best_m or (best is None and away_m == best_m):
            best, best_m = landmark, away_m
    return best


def of_places(places: Iterable[WatchedPlaceRow]) -> list[Landmark]:
    """Return places as landmarks."""
    return [Landmark(p.name_ja, p.name_en, p.lat_deg, p.lon_deg, p.radius_m) for p in places]


def of_map(geojson: bytes) -> list[Landmark]:
    """Return the named points of interest, buildings and parks of a town map; nothing of a map that is none."""
    try:
        features = json.loads(geojson)["features"]
    except (ValueError, KeyError, TypeError):
        return []
    return [landmark for feature in features for landmark in _of_feature(feature)]


def _of_feature(feature: dict[str, Any]) -> Iterator[Landmark]:
    named = feature.get("properties") or {}
    if named.get("kind") not in _KINDS or not named.get("name_ja"):
        return
    points = list(_points((feature.get("geometry") or {}).get("coordinates")))
    if not points:
        return
    lon_deg = sum(lon for lon, _ in points) / len(points)
    lat_deg = sum(lat for _, lat in points) / len(points)
    yield Landmark(str(named["name_ja"]), str(named.get("name_en") or named["name_ja"]), lat_deg, lon_deg)


def _points(coordinates: object) -> Iterator[tuple[float, float]]:
    """Yield the (lon, lat) pairs of a GeoJSON geometry of any depth."""
    if not isinstance(coordinates, list) or not coordinates:
        return
    if isinstance(coordinates[0], int | float):
        yield float(coordinates[0]), float(coordinates[1])
        return
    for part in coordinates:
        yield from _points(part)
