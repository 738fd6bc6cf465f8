"""Whether a place is inside a fence, outside, or too vague to say: hysteresis in space."""

from dataclasses import dataclass
from typing import Final

from server.core.geo import Position, distance_m

VAGUE_RADIUS_M: Final = 50.0
"""Fences smaller than this are judged as if they were this large, for no radio is better."""
MARGIN_M: Final = 15.0


@dataclass(frozen=True, slots=True)
class Fence:
    """A place that is watched for a ward.

    Attributes:
        ward: id.
        place: id.
        lat_deg: centre, WGS 84.
        lon_deg: likewise.
        radius_m: of the place.
        dwell_ms: how long a change must last before it is told.
    """

    ward: str
    place: str
    lat_deg: float
    lon_deg: float
    radius_m: float
    dwell_ms: int


def side_of(fence: Fence, position: Position) -> bool | None:
    """Return True when `position` is inside, False when it is clearly outside, None when it does not tell.

    Between the two lies a ring where nothing changes, so that standing at the gate says nothing.
    """
    away_m = distance_m(fence.lat_deg, fence.lon_deg, position.lat_deg, position.lon_deg)
    if away_m <= fence.radius_m:
        return True if position.accuracy_m <= 1.5 * max(fence.radius_m, VAGUE_RADIUS_M) else None
    if away_m - position.accuracy_m > fence.radius_m + max(MARGIN_M, fence.radius_m / 5):
        return False
    return None
