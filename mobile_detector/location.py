"""Where the phone is and was: a seam with gpsd and a fixed place behind it today, a phone's own positioning later.

Protocol: gpsd_json(5); only WATCH is sent and only TPV is read.
"""

import asyncio
import json
import logging
import math
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple, Protocol

from mobile_detector.config import PositionConfig
from wire.retry import wait_s

log = logging.getLogger(__name__)

KEPT: Final = 600
"""Positions kept in memory; ten minutes at one a second."""
MOVING_MPS: Final = 0.4
"""Slower is standing: positioning itself wanders."""
WALK_MPS: Final = 6.0
"""How far someone may get in a second that no position tells of: a fast bicycle."""
DEFAULT_ACCURACY_M: Final = 15.0
"""Where gpsd gives no error estimate."""
MAX_LINE_OCTETS: Final = 65_536


class Position(NamedTuple):
    """A place at a time, WGS 84.

    Attributes:
        at_ms: town milliseconds.
        accuracy_m: radius of 68 % confidence.
        speed_mps: over ground.
    """

    at_ms: int
    lat_deg: float
    lon_deg: float
    accuracy_m: float
    speed_mps: float = 0.0


@dataclass(slots=True)
class Track:
    """The last positions, in order of time; in memory only.

    Args:
        max_age_s: a position farther than this from a moment says nothing about it.
    """

    max_age_s: float
    _positions: deque[Position] = field(default_factory=lambda: deque(maxlen=KEPT), repr=False)

    def add(self, position: Position) -> None:
        """Keep a position; one older than the last starts the track anew, for the clock was set."""
        if self._positions and position.at_ms < self._positions[-1].at_ms:
            self._positions.clear()
        self._positions.append(position)

    def at(self, at_ms: int) -> Position | None:
        """Return the position at a moment, None where none is known.

        Between two positions it is interpolated; outside them the accuracy grows with the way that may have been gone.
        """
        known = self._positions
        if not known:
            return None
        index = bisect_left(known, at_ms, key=lambda p: p.at_ms)
        after, before = known[min(index, len(known) - 1)], known[max(index - 1, 0)]
        if before.at_ms < at_ms < after.at_ms and after.at_ms - before.at_ms <= self.max_age_s * 1000:
            return _between(before, after, at_ms)
        nearest = min(before, after, key=lambda p: abs(p.at_ms - at_ms))
        away_s = abs(nearest.at_ms - at_ms) / 1000
        if away_s > self.max_age_s:
            return None
        reach_m = away_s * max(nearest.speed_mps, WALK_MPS)
        return nearest._replace(at_ms=at_ms, accuracy_m=nearest.accuracy_m + reach_m)


def _between(before: Position, after: Position, at_ms: int) -> Position:
    share = (at_ms - before.at_ms) / (after.at_ms - before.at_ms)
    return Position(
        at_ms,
        before.lat_deg + share * (after.lat_deg - before.lat_deg),
        before.lon_deg + share * (after.lon_deg - before.lon_deg),
        max(before.accuracy_m, after.accuracy_m),
        max(before.speed_mps, after.speed_mps),
    )


class Location(Protocol):
    """Something that knows where the phone is."""

    def at(self, at_ms: int) -> Position | None:
        """Return where the phone was at a moment (town milliseconds), None where that is not known."""

    async def run(self) -> None:
        """Keep knowing, for ever."""


@dataclass(frozen=True, slots=True)
class FixedLocation:
    """A phone that stays where it is, on a shop's counter."""

    lat_deg: float
    lon_deg: float
    accuracy_m: float

    def at(self, at_ms: int) -> Position | None:
        """Return the place, at any time."""
        return Position(at_ms, self.lat_deg, self.lon_deg, self.accuracy_m)

    async def run(self) -> None:
        """Do nothing, for ever."""
        await asyncio.Event().wait()


@dataclass(slots=True)
class GpsdLocation:
    """Positions from gpsd; connects again when the connection breaks.

    Args:
        address: "unix:/path" or "tcp://host:port".
        device: gpsd device; the simulated town calls it by the detector's id.
        now_ms: town time, for reports without a time of their own.
    """

    address: str
    device: str
    track: Track
    now_ms: Callable[[], int]
    failures: int = field(default=0, init=False)

    def at(self, at_ms: int) -> Position | None:
        """Return where the phone was at a moment."""
        return self.track.at(at_ms)

    async def run(self) -> None:
        """Read positions for ever."""
        while True:
            try:
                await self._read()
            except (OSError, ValueError, EOFError, asyncio.LimitOverrunError) as error:
                self.failures += 1
                log.warning("gpsd.lost", extra={"reason": type(error).__name__, "attempt": self.failures})
            await asyncio.sleep(wait_s(self.failures))

    async def _read(self) -> None:
        reader, writer = await self._connect()
        try:
            watch = {"enable": True, "json": True, "device": self.device}
            writer.write(f"?WATCH={json.dumps(watch)};\n".encode())
            await writer.drain()
            while True:
                position = read_tpv(await reader.readuntil(b"\n"), self.now_ms)
                if position is not None:
                    self.failures = 0
                    self.track.add(position)
        finally:
            writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.address.startswith("unix:"):
            return await asyncio.open_unix_connection(self.address.removeprefix("unix:"), limit=MAX_LINE_OCTETS)
        host, _, port = self.address.removeprefix("tcp://").rpartition(":")
        return await asyncio.open_connection(host, int(port), limit=MAX_LINE_OCTETS)


def read_tpv(line: bytes, now_ms: Callable[[], int]) -> Position | None:
    """Return the position in one line of gpsd, None for any other line, and for a receiver without a fix."""
    try:
        report = json.loads(line)
        if report["class"] != "TPV" or report.get("mode", 0) < 2:
            return None
        at_ms = round(datetime.fromisoformat(report["time"]).timestamp() * 1000) if "time" in report else now_ms()
        lat_deg, lon_deg = float(report["lat"]), float(report["lon"])
        accuracy_m = float(report.get("eph") or math.hypot(report.get("epx", 0), report.get("epy", 0)))
        speed_mps = float(report.get("speed", 0.0))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    is_sane = -90 <= lat_deg <= 90 and -180 <= lon_deg <= 180 and 0 <= accuracy_m < 1e6 and 0 <= speed_mps < 1e3
    return Position(at_ms, lat_deg, lon_deg, accuracy_m or DEFAULT_ACCURACY_M, speed_mps) if is_sane else None


def open_location(config: PositionConfig, detector: str, now_ms: Callable[[], int]) -> Location:
    """Return the location that the configuration names."""
    if config.lat_deg is not None and config.lon_deg is not None:
        return FixedLocation(config.lat_deg, config.lon_deg, config.accuracy_m)
    return GpsdLocation(config.gpsd, detector, Track(config.max_age_s), now_ms)
