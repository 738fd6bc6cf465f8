"""Where a moving detector was: what gpsd says line by line, and the track that answers for the moments between.

Protocol: gpsd_json(5); only WATCH is sent and only TPV is read. The connection itself is each program's own.
"""

import json
import math
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from wire.batch import MAX_AGE_S

KEPT: Final = 600
"""Positions kept in memory; ten minutes at one a second."""
DEFAULT_ACCURACY_M: Final = 15.0
"""Where gpsd gives no error estimate: the usual 68 % radius of a car receiver in streets."""
MAX_LINE_OCTETS: Final = 65_536
MAX_ACCURACY_M: Final = 1e6
MAX_SPEED_MPS: Final = 1e3
"""What is said beyond these is no measurement, and no batch could hold it."""


class Position(NamedTuple):
    """A place at a time, WGS 84.

    Attributes:
        at_ms: town milliseconds.
        accuracy_m: radius of 68 % confidence, as gpsd estimates it (eph, else epx and epy).
        speed_mps: over ground.
        age_ms: how far from `at_ms` it was measured; 0 as it comes from the receiver.
    """

    at_ms: int
    lat_deg: float
    lon_deg: float
    accuracy_m: float
    speed_mps: float = 0.0
    age_ms: int = 0

    @property
    def age_s(self) -> int:
        """Age in whole seconds, rounded up, as a batch says it."""
        return min(-(-self.age_ms // 1000), MAX_AGE_S)


@dataclass(slots=True)
class Track:
    """The last positions, in order of time; in memory only.

    Args:
        max_age_s: how far from a position a moment may lie, town seconds.
        drift_mps: the speed supposed, at least, where no position tells of it.
        trusted_s: for so long the speed last told is believed as it is.
    """

    max_age_s: float
    drift_mps: float
    trusted_s: float = 0.0
    _positions: deque[Position] = field(default_factory=lambda: deque(maxlen=KEPT), init=False, repr=False)

    def add(self, position: Position) -> None:
        """Keep a position; one that is older than the last starts the track anew, for the clock was set."""
        if self._positions and position.at_ms < self._positions[-1].at_ms:
            self._positions.clear()
        self._positions.append(position)

    def clear(self) -> None:
        """Forget every position."""
        self._positions.clear()

    def forget(self, before_ms: int) -> None:
        """Forget what no moment from `before_ms` on needs: all before the last position that is not after it."""
        known = self._positions
        while len(known) > 1 and known[1].at_ms <= before_ms:
            known.popleft()

    def __len__(self) -> int:
        return len(self._positions)

    def at(self, at_ms: int) -> Position | None:
        """Return the position at a moment, None if none is known within `max_age_s`.

        Between two positions it is interpolated; before the first and after the last the accuracy grows with the
        way that may have been gone since.
        """
        known = self._positions
        if not known:
            return None
        index = bisect_left(known, at_ms, key=lambda p: p.at_ms)
        after, before = known[min(index, len(known) - 1)], known[max(index - 1, 0)]
        if before.at_ms < at_ms < after.at_ms and after.at_ms - before.at_ms <= self.max_age_s * 1000:
            return _between(before, after, at_ms)
        nearest = min(before, after, key=lambda p: abs(p.at_ms - at_ms))
        age_ms = abs(nearest.at_ms - at_ms)
        away_s = age_ms / 1000
        if away_s > self.max_age_s:
            return None
        reach_m = away_s * max(nearest.speed_mps, self.drift_mps if away_s > self.trusted_s else 0.0)
        return nearest._replace(at_ms=at_ms, accuracy_m=nearest.accuracy_m + reach_m, age_ms=age_ms)


def _between(before: Position, after: Position, at_ms: int) -> Position:
    share = (at_ms - before.at_ms) / (after.at_ms - before.at_ms)
    return Position(
        at_ms,
        before.lat_deg + share * (after.lat_deg - before.lat_deg),
        before.lon_deg + share * (after.lon_deg - before.lon_deg),
        max(before.accuracy_m, after.accuracy_m),
        max(before.speed_mps, after.speed_mps),
        min(at_ms - before.at_ms, after.at_ms - at_ms),
    )


def watch(device: str) -> bytes:
    """Return the line that asks gpsd for the reports of one device; "" = of any."""
    asked: dict[str, object] = {"enable": True, "json": True}
    if device:
        asked["device"] = device
    return f"?WATCH={json.dumps(asked)};\n".encode()


def read_tpv(line: bytes, now_ms: Callable[[], int], *, unknown_speed_mps: float = 0.0) -> Position | None:
    """Return the position in one line of gpsd, None for any other line and for a receiver without a sane fix.

    Args:
        line: with or without its end.
        now_ms: town time, for a report without a time of its own.
        unknown_speed_mps: the speed of a report that tells none.
    """
    try:
        report = json.loads(line)
        if report["class"] != "TPV" or report.get("mode", 0) < 2:
            return None
        at_ms = round(datetime.fromisoformat(report["time"]).timestamp() * 1000) if "time" in report else now_ms()
        lat_deg, lon_deg = float(report["lat"]), float(report["lon"])
        accuracy_m = float(report.get("eph") or math.hypot(report.get("epx", 0), report.get("epy", 0)))
        speed_mps = float(report.get("speed", unknown_speed_mps))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    is_on_earth = -90 <= lat_deg <= 90 and -180 <= lon_deg <= 180
    # A comparison with NaN is false: what is not a number is no fix either.
    if not is_on_earth or not 0 <= accuracy_m <= MAX_ACCURACY_M or not 0 <= speed_mps <= MAX_SPEED_MPS:
        return None
    return Position(at_ms, lat_deg, lon_deg, accuracy_m or DEFAULT_ACCURACY_M, speed_mps)
