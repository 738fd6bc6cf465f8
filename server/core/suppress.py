"""One sighting a tag, detector and ten seconds: what was heard twice counts once for a place."""

from dataclasses import dataclass
from typing import Final

BUCKET_MS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one detector has to say of where a tag was in a bucket.

    Attributes:
        detector: `Detector.index`.
        rssi_dbm: mean of the window, or of the stronger one of several windows.
        count: packets.
        at_ms: UTC, last heard.
        lat_deg: where the detector was then.
        lon_deg: likewise.
        accuracy_m: how well that is known.
        weight: how far its kind is believed, see `fix.KIND_WEIGHTS`.
    """

    detector: int
    rssi_dbm: int
    count: int
    at_ms: int
    lat_deg: float
    lon_deg: float
    accuracy_m: float
    weight: float


def bucket_of(at_ms: int) -> int:
    """Return the number of the bucket that a UTC millisecond falls into."""
    return at_ms // BUCKET_MS


def merge(known: Contribution | None, new: Contribution) -> Contribution:
    """Return one contribution of a detector out of two: strongest signal and its place, all packets, newest time.

    Order does not matter: of two equally strong ones the one farther north gives the place, not the one that came last.
    """
    if known is None:
        return new
    best = max(known, new, key=lambda c: (c.rssi_dbm, c.lat_deg, c.lon_deg))
    return Contribution(
        best.detector,
        best.rssi_dbm,
        known.count + new.count,
        max(known.at_ms, new.at_ms),
        best.lat_deg,
        best.lon_deg,
        best.accuracy_m,
        best.weight,
    )
