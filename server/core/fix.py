"""A place out of what several detectors heard in ten seconds, and a track out of places.

Signal strength tells distance badly (a body in the way costs 8 to 15 dB), so a fix is a weighted middle of the
detectors, not a trilateration, and its accuracy is honest about it.
"""

import itertools
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from server.core.geo import Position, apart_m, distance_m
from server.core.suppress import Contribution

KIND_WEIGHTS: Final = {"fixed": 1.0, "vehicle": 0.6, "phone": 0.3}
"""How far a detector is believed: a city's own box more than a volunteer's phone, which may lie about its place."""
RANGES: Final = ((-95, 140.0), (-90, 115.0), (-85, 70.0), (-80, 30.0), (-75, 20.0), (-70, 17.0), (-60, 15.0))
"""dBm and metres: two of three tags heard this strongly are nearer. Measured in the simulated town, whose radio follows
ITU-R P.1411 with shadowing and bodies; to be measured again in a real street. It is steeper than path loss, for near
the limit of hearing only lucky packets arrive, and the many tags that are far away have more luck than the few near."""
MAX_RANGE_M: Final = 200.0
MIN_ACCURACY_M: Final = 10.0
WALK_M_S: Final = 1.5
"""How fast doubt about a place grows: a person on foot."""
MAX_SPEED_M_S: Final = 40.0
"""A car on the expressway; faster than this nobody moves."""
SMOOTH_MS: Final = 60_000
"""An older place than this says nothing about the new one."""
JUMP_HITS: Final = 3
JUMP_SPAN_MS: Final = 30_000
"""A place too far to reach is believed after so many buckets over so long a time at it, and none at the old one."""


class Placed(Enum):
    """What became of a fix."""

    MOVED = "moved"  # the newest place
    HISTORY = "history"  # older than the newest: goes into the track only
    DOUBTFUL = "doubtful"  # nobody could have got there: kept apart


@dataclass(frozen=True, slots=True)
class Fix:
    """Where a tag was in a bucket.

    Attributes:
        bucket: number of the bucket.
        position: place, accuracy and when last heard.
        detectors: how many took part.
        far: detectors that heard it at the same time too far away to take part.
    """

    bucket: int
    position: Position
    detectors: int
    far: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Track:
    """Where a tag is, as far as newer sightings build on it.

    Attributes:
        bucket: of `last`, -1 before the first.
        last: newest believed place, smoothed.
        before: the one that `last` was smoothed from, so that a bucket can be done again when more of it arrives.
        held: a place too far to reach, waiting to be confirmed.
        held_from_ms: since when.
        held_buckets: which buckets spoke for it.
    """

    bucket: int = -1
    last: Position | None = None
    before: Position | None = None
    held: Position | None = None
    held_from_ms: int = 0
    held_buckets: tuple[int, ...] = ()


def range_m(rssi_dbm: float) -> float:
    """Return how far two of three tags are, at most, that are heard this strongly: `RANGES`, straight in between."""
    if rssi_dbm <= RANGES[0][0]:
        return RANGES[0][1]
    for (weak_dbm, far_m), (strong_dbm, near_m) in itertools.pairwise(RANGES):
        if rssi_dbm <= strong_dbm:
            return far_m + (near_m - far_m) * (rssi_dbm - weak_dbm) / (strong_dbm - weak_dbm)
    return RANGES[-1][1]


def consolidate(bucket: int, heard: Collection[Contribution], near: Position | None = None) -> Fix:
    """Return the fix of a bucket.

    Args:
        bucket: its number.
        heard: at least one contribution, at most one a detector; their order does not matter.
        near: where the tag is known to have been, to choose between groups of detectors that cannot both be right.
    """
    ordered = sorted(heard, key=lambda c: (-_weight(c), c.detector))
    group = _group(ordered, near)
    weights = [_weight(c) for c in group]
    total = sum(weights)
    lat_deg = sum(w * c.lat_deg for w, c in zip(weights, group, strict=True)) / total
    lon_deg = sum(w * c.lon_deg for w, c in zip(weights, group, strict=True)) / total
    # Each detector says: within my range, as well as I know my own place. Independent ones narrow it down.
    square_m2 = (
        sum(w * (range_m(c.rssi_dbm) ** 2 + c.accuracy_m**2) for w, c in zip(weights, group, strict=True)) / total
    )
    spread_m2 = sum(
        w * distance_m(c.lat_deg, c.lon_deg, lat_deg, lon_deg) ** 2 for w, c in zip(weights, group, strict=True)
    )
    # The square root of their number only: what shades one detector often shades its neighbour too.
    accuracy_m = max(MIN_ACCURACY_M, math.sqrt((square_m2 + spread_m2 / total) / math.sqrt(len(group))))
    at_ms = max(c.at_ms for c in group)
    far = tuple(sorted({c.detector for c in ordered} - {c.detector for c in group}))
    return Fix(bucket, Position(at_ms, lat_deg, lon_deg, accuracy_m), len(group), far)


def advance(track: Track, fix: Fix) -> tuple[Track, Fix, Placed]:
    """Return the track after a fix, the fix smoothed, and what became of it. The newest place never goes back."""
    if fix.bucket < track.bucket:
        return track, fix, Placed.HISTORY
    base = track.before if fix.bucket == track.bucket else track.last
    if base is not None and not is_reachable(base, fix.position):
        return _hold(track, fix)
    smoothed = replace(fix, position=smooth(base, fix.position))
    return Track(fix.bucket, smoothed.position, base), smoothed, Placed.MOVED


def is_reachable(start: Position, goal: Position) -> bool:
    """Return whether someone at `start` can be at `goal` in time, in doubt yes."""
    slack_m = start.accuracy_m + goal.accuracy_m
    elapsed_s = max(0, goal.at_ms - start.at_ms) / 1000 + 10  # two buckets need not be a whole bucket apart
    return apart_m(start, goal) - slack_m <= MAX_SPEED_M_S * elapsed_s


def smooth(base: Position | None, new: Position) -> Position:
    """Return `new` drawn towards `base`, the more the better and fresher `base` is: one step of a Kalman filter."""
    if base is None or not 0 <= new.at_ms - base.at_ms <= SMOOTH_MS:
        return new
    walked_m = WALK_M_S * (new.at_ms - base.at_ms) / 1000
    base_m2 = base.accuracy_m**2 + walked_m**2
    gain = base_m2 / (base_m2 + new.accuracy_m**2)
    return Position(
        new.at_ms,
        base.lat_deg + gain * (new.lat_deg - base.lat_deg),
        base.lon_deg + gain * (new.lon_deg - base.lon_deg),
        max(MIN_ACCURACY_M, math.sqrt(gain) * new.accuracy_m),
    )


def _weight(c: Contribution) -> float:
    # What is measured with an error of so many metres counts by the inverse of their square.
    return c.weight / (range_m(c.rssi_dbm) ** 2 + c.accuracy_m**2)


def _group(ordered: Sequence[Contribution], near: Position | None) -> list[Contribution]:
    """Return the contributions that can all be right: those round the heaviest one, or round one that `near` allows."""
    seeds = ordered
    if near is not None:
        seeds = [c for c in ordered if is_reachable(near, _at(c))] or ordered
    seed = seeds[0]
    return [c for c in ordered if _may_both_hear(seed, c)]


def _may_both_hear(a: Contribution, b: Contribution) -> bool:
    slack_m = 2 * MAX_RANGE_M + a.accuracy_m + b.accuracy_m + MAX_SPEED_M_S * abs(a.at_ms - b.at_ms) / 1000
    return distance_m(a.lat_deg, a.lon_deg, b.lat_deg, b.lon_deg) <= slack_m


def _at(c: Contribution) -> Position:
    return Position(c.at_ms, c.lat_deg, c.lon_deg, c.accuracy_m + range_m(c.rssi_dbm))


def _hold(track: Track, fix: Fix) -> tuple[Track, Fix, Placed]:
    """Keep a place apart that nobody can have reached, until it has been confirmed often enough."""
    held = track.held
    if held is None or not is_reachable(held, fix.position):
        fresh = replace(track, held=fix.position, held_from_ms=fix.position.at_ms, held_buckets=(fix.bucket,))
        return fresh, fix, Placed.DOUBTFUL
    buckets = (*(b for b in track.held_buckets if b != fix.bucket), fix.bucket)[-JUMP_HITS:]
    if len(buckets) < JUMP_HITS or fix.position.at_ms - track.held_from_ms < JUMP_SPAN_MS:
        return replace(track, held=fix.position, held_buckets=buckets), fix, Placed.DOUBTFUL
    return Track(fix.bucket, fix.position, held), fix, Placed.MOVED


EMPTY_TRACK: Final = Track()
