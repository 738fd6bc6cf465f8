"""A vehicle's whereabouts: where it is parked while it stands, else the shortest track that its sightings need.

In memory only. While it is parked there is one place, no trail; a trail reaches no further back than the oldest row
that waits for a position.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from wire.gpsd import Position, Track

STILL_S: Final = 120.0
"""Town seconds of standing still that make a parked vehicle."""
STILL_MPS: Final = 0.5
"""A report that is faster than this moves."""
SPREAD_M: Final = 15.0
"""Standing still, positions lie within this of their median; a place this far away is another one."""
MOST: Final = 0.9
"""The share of the reports for which both must hold: one in ten may be an outlier."""
LEAVES: Final = 2
"""So many reports in a row that move, or lie elsewhere, end a stay: one alone may be an outlier."""
VAGUE_M: Final = 30.0
"""A report of a larger radius says nothing of standing still."""
MAX_GAP_S: Final = 30.0
"""Town seconds without a report, after which nothing is known of the time between."""
SAMPLE_S: Final = 1.0
JUDGE_S: Final = 5.0
"""At most one report in `SAMPLE_S` is looked at, and stillness is judged once in `JUDGE_S`."""
CORRELATION_S: Final = 60.0
"""Errors of a receiver wander with about this memory: so long twice is worth one independent position."""
BEST_ACCURACY_M: Final = 3.0
"""No averaging makes a place better than this: reflections of a street do not average out."""
UNSEEN_ACCURACY_M: Final = 50.0
"""What is claimed at most of a place that no report has confirmed for longer than a position may be old."""
DEGREE_M: Final = 111_320.0


@dataclass(slots=True)
class Stay:
    """One place for as long as a vehicle stands there.

    Attributes:
        from_ms: first report there.
        seen_ms: newest report that confirms it.
        until_ms: when it was left, None while it is not.
        accuracy_m: median radius of the reports that it began with.
        reports: how many positions the mean holds.
    """

    from_ms: int
    seen_ms: int
    lat_deg: float
    lon_deg: float
    accuracy_m: float
    reports: int
    until_ms: int | None = None

    def covers(self, at_ms: int) -> bool:
        """Return whether the vehicle stood here then, as far as is known."""
        return self.from_ms <= at_ms and (self.until_ms is None or at_ms <= self.until_ms)

    def confirm(self, position: Position) -> None:
        """Take one more report from here into the mean."""
        self.seen_ms = position.at_ms
        if position.accuracy_m <= VAGUE_M:
            self.reports += 1
            self.lat_deg += (position.lat_deg - self.lat_deg) / self.reports
            self.lon_deg += _turn(position.lon_deg - self.lon_deg) / self.reports

    def at(self, at_ms: int, unseen_after_s: float) -> Position:
        """Return the place, told at a moment: its radius shrinks as the stay goes on, its age is told."""
        independent = max(1.0, (self.seen_ms - self.from_ms) / 1000 / (2 * CORRELATION_S))
        accuracy_m = max(min(BEST_ACCURACY_M, self.accuracy_m), self.accuracy_m / math.sqrt(independent))
        age_ms = max(0, at_ms - self.seen_ms)
        if age_ms > unseen_after_s * 1000:
            accuracy_m = max(accuracy_m, UNSEEN_ACCURACY_M)
        return Position(at_ms, self.lat_deg, self.lon_deg, accuracy_m, 0.0, age_ms)


@dataclass(slots=True)
class Whereabouts:
    """Answers where a vehicle was.

    Args:
        track: for the time in which it moves.
        parked_max_age_s: for so many town seconds a parked vehicle without a fix is still held for being there.
    """

    track: Track
    parked_max_age_s: float
    _still: deque[Position] = field(default_factory=deque, init=False, repr=False)
    _stay: Stay | None = field(default=None, init=False, repr=False)
    _leaving: list[Position] = field(default_factory=list, init=False, repr=False)
    _judged_ms: int = field(default=0, init=False)

    @property
    def is_parked(self) -> bool:
        """Whether the vehicle stands where it is parked."""
        return self._stay is not None and self._stay.until_ms is None

    def __len__(self) -> int:
        """Return how many places are held in memory; those waiting to become a stay count too."""
        return len(self.track) + len(self._still) + len(self._leaving) + (self._stay is not None)

    def add(self, position: Position) -> None:
        """Take a report of the receiver."""
        if self._went_back(position):
            self._start_anew()
        if self._stay is not None and self._stay.until_ms is None:
            self._add_parked(self._stay, position)
        else:
            self.track.add(position)
            self._watch(position)

    def at(self, at_ms: int) -> Position | None:
        """Return where the vehicle was at a moment, with the age of what is known; None where nothing is."""
        stay = self._stay
        if stay is None or not stay.covers(at_ms):
            return self.track.at(at_ms)
        if at_ms - stay.seen_ms > max(self.parked_max_age_s, self.track.max_age_s) * 1000:
            return None
        return stay.at(at_ms, self.track.max_age_s)

    def forget(self, before_ms: int) -> None:
        """Forget what no moment from `before_ms` on needs."""
        self.track.forget(before_ms)
        if self._stay is not None and self._stay.until_ms is not None and self._stay.until_ms < before_ms:
            self._stay = None

    def _went_back(self, position: Position) -> bool:
        newest_ms = max(
            self._still[-1].at_ms if self._still else 0,
            self._stay.seen_ms if self._stay is not None else 0,
            self._leaving[-1].at_ms if self._leaving else 0,
        )
        return position.at_ms < newest_ms

    def _start_anew(self) -> None:
        self.track.clear()
        self._still.clear()
        self._leaving.clear()
        self._stay = None
        self._judged_ms = 0

    def _add_parked(self, stay: Stay, position: Position) -> None:
        is_elsewhere = _apart_m(position, stay) > SPREAD_M + position.accuracy_m + stay.accuracy_m
        if not is_elsewhere and position.speed_mps < STILL_MPS:
            self._leaving.clear()
            stay.confirm(position)
            return
        self._leaving.append(position)
        if len(self._leaving) >= LEAVES:
            stay.until_ms = self._leaving[0].at_ms - 1
            for moved in self._leaving:
                self.track.add(moved)
            self._leaving.clear()

    def _watch(self, position: Position) -> None:
        """Keep the reports of a vehicle that may stand still; two in a row that move empty what was kept."""
        still = self._still
        if position.accuracy_m > VAGUE_M or (still and position.at_ms - still[-1].at_ms < SAMPLE_S * 1000 * 0.9):
            return
        moves = position.speed_mps >= STILL_MPS
        if still and (
            position.at_ms - still[-1].at_ms > MAX_GAP_S * 1000 or (moves and still[-1].speed_mps >= STILL_MPS)
        ):
            still.clear()
        if still and not moves and still[0].speed_mps >= STILL_MPS:
            still.popleft()  # the last report of the way here is not of the stay
        still.append(position)
        if moves or position.at_ms - still[0].at_ms < STILL_S * 1000:
            return
        if position.at_ms - self._judged_ms >= JUDGE_S * 1000:
            self._judged_ms = position.at_ms
            self._judge()
        while still and position.at_ms - still[0].at_ms >= (STILL_S + JUDGE_S) * 1000:
            still.popleft()

    def _judge(self) -> None:
        inside = _inside(self._still)
        if len(inside) < MOST * len(self._still):
            return
        first = inside[0]
        self._stay = Stay(
            first.at_ms,
            inside[-1].at_ms,
            first.lat_deg + sum(p.lat_deg - first.lat_deg for p in inside) / len(inside),
            first.lon_deg + sum(_turn(p.lon_deg - first.lon_deg) for p in inside) / len(inside),
            median(p.accuracy_m for p in inside),
            len(inside),
        )
        self._still.clear()
        self.track.clear()
        # What was heard shortly before the stay began is placed from here, less exactly the longer before.
        self.track.add(self._stay.at(first.at_ms, self.track.max_age_s))


def _inside(still: Sequence[Position]) -> list[Position]:
    """Return those reports that stand still near the median of all."""
    first = still[0]
    lat_deg = median(p.lat_deg for p in still)
    lon_deg = first.lon_deg + median(_turn(p.lon_deg - first.lon_deg) for p in still)
    middle = first._replace(lat_deg=lat_deg, lon_deg=lon_deg)
    return [p for p in still if p.speed_mps < STILL_MPS and _apart_m(p, middle) <= SPREAD_M]


def _apart_m(position: Position, other: Position | Stay) -> float:
    north_m = (position.lat_deg - other.lat_deg) * DEGREE_M
    east_m = _turn(position.lon_deg - other.lon_deg) * DEGREE_M * math.cos(math.radians(other.lat_deg))
    return math.hypot(north_m, east_m)


def _turn(angle_deg: float) -> float:
    return (angle_deg + 180) % 360 - 180
