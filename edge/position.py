"""Where a moving gateway was when it heard a tag: positions from gpsd, kept for a while and looked up by time.

Protocol: gpsd_json(5); only WATCH is sent and only TPV is read.
"""

import asyncio
import json
import logging
import math
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from wire.retry import wait_s

log = logging.getLogger(__name__)

KEPT: Final = 600
"""Positions kept; ten minutes at one a second."""
DEFAULT_ACCURACY_M: Final = 15.0
"""Where gpsd gives no error estimate: the usual 68 % radius of a car receiver in streets."""
UNKNOWN_SPEED_MPS: Final = 15.0
MAX_LINE_OCTETS: Final = 65_536
MAX_ACCURACY_M: Final = 1e6
MAX_SPEED_MPS: Final = 1e3
"""What is said beyond these is no measurement, and no batch could hold it."""
SILENCE_S: Final = 60.0
"""Wall seconds without a line, in which gpsd says at least that it has no fix; then the connection is a dead one."""


class Position(NamedTuple):
    """A place at a time, WGS 84.

    Attributes:
        at_ms: town milliseconds.
        accuracy_m: radius, as gpsd estimates it (eph, else epx and epy).
        speed_mps: over ground.
    """

    at_ms: int
    lat_deg: float
    lon_deg: float
    accuracy_m: float
    speed_mps: float


@dataclass(slots=True)
class Track:
    """The last positions, in order of time.

    Args:
        max_age_s: how far from a position a moment may lie.
    """

    max_age_s: float
    _positions: deque[Position] = field(default_factory=lambda: deque(maxlen=KEPT), repr=False)

    def add(self, position: Position) -> None:
        """Keep a position; one that is older than the last starts the track anew, for the clock was set."""
        if self._positions and position.at_ms < self._positions[-1].at_ms:
            self._positions.clear()
        self._positions.append(position)

    def at(self, at_ms: int) -> Position | None:
        """Return the position at a moment, None if none is known within `max_age_s`.

        Between two positions it is interpolated; before the first and after the last the accuracy grows with the
        way that may have been gone since.
        """
        known = self._positions
        if not known:
            return None
        index = bisect_left(known, at_ms, key=lambda p: p.at_ms)
        after = known[min(index, len(known) - 1)]
        before = known[max(index - 1, 0)]
        if before.at_ms < at_ms < after.at_ms and after.at_ms - before.at_ms <= self.max_age_s * 1000:
            return _between(before, after, at_ms)
        nearest = min(before, after, key=lambda p: abs(p.at_ms - at_ms))
        away_s = abs(nearest.at_ms - at_ms) / 1000
        if away_s > self.max_age_s:
            return None
        reach_m = away_s * max(nearest.speed_mps, UNKNOWN_SPEED_MPS if away_s > 2 else 0.0)
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


@dataclass(slots=True)
class GpsdClient:
    """Keeps a track up to date from gpsd and connects again when the connection breaks.

    Args:
        address: "unix:/path" or "tcp://host:port".
        device: gpsd device; the simulated town calls it by the detector's id. "" = any.
        now_ms: town time, for reports without a time of their own.
        silence_s: wall seconds without a line after which to connect again.
    """

    address: str
    device: str
    track: Track
    counts: Counter[str]
    now_ms: Callable[[], int]
    silence_s: float = SILENCE_S
    _failures: int = field(default=0, init=False)

    async def run(self) -> None:
        """Read positions for ever."""
        while True:
            try:
                reader, writer = await self._connect()
                try:
                    await self._read(reader, writer)
                finally:
                    writer.close()
            except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
                self._failures += 1
                self.counts["gpsd_failures"] += 1
                log.warning("gpsd.lost", extra={"reason": type(error).__name__, "attempt": self._failures})
            await asyncio.sleep(wait_s(self._failures))

    def _connect(self) -> Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        if self.address.startswith("unix:"):
            return asyncio.open_unix_connection(self.address.removeprefix("unix:"), limit=MAX_LINE_OCTETS)
        host, _, port = self.address.removeprefix("tcp://").rpartition(":")
        return asyncio.open_connection(host, int(port), limit=MAX_LINE_OCTETS)

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        watch: dict[str, object] = {"enable": True, "json": True}
        if self.device:
            watch["device"] = self.device
        writer.write(f"?WATCH={json.dumps(watch)};\n".encode())
        await writer.drain()
        while True:
            async with asyncio.timeout(self.silence_s):
                line = await reader.readuntil(b"\n")
            position = read_tpv(line, self.now_ms)
            if position is None:
                continue
            if self._failures:
                log.info("gpsd.found", extra={"attempt": self._failures})
                self._failures = 0
            self.track.add(position)


def read_tpv(line: bytes, now_ms: Callable[[], int]) -> Position | None:
    """Return the position in one line of gpsd, None for any other line and for a receiver without a sane fix."""
    try:
        report = json.loads(line)
        if report["class"] != "TPV" or report.get("mode", 0) < 2:
            return None
        at_ms = round(datetime.fromisoformat(report["time"]).timestamp() * 1000) if "time" in report else now_ms()
        lat_deg, lon_deg = float(report["lat"]), float(report["lon"])
        accuracy_m = float(report.get("eph") or math.hypot(report.get("epx", 0), report.get("epy", 0)))
        speed_mps = float(report.get("speed", UNKNOWN_SPEED_MPS))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    is_on_earth = -90 <= lat_deg <= 90 and -180 <= lon_deg <= 180
    # A comparison with NaN is false: what is not a number is no fix either.
    if not is_on_earth or not 0 <= accuracy_m <= MAX_ACCURACY_M or not 0 <= speed_mps <= MAX_SPEED_MPS:
        return None
    return Position(at_ms, lat_deg, lon_deg, accuracy_m or DEFAULT_ACCURACY_M, speed_mps)
