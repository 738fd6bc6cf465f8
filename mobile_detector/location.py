"""Where the phone is and was: a seam with gpsd and a fixed place behind it today, a phone's own positioning later."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from mobile_detector.config import PositionConfig
from wire import gpsd
from wire.gpsd import Position, Track
from wire.retry import wait_s

log = logging.getLogger(__name__)

MOVING_MPS: Final = 0.4
"""Slower is standing: positioning itself wanders."""
WALK_MPS: Final = 6.0
"""How far someone may get in a second that no position tells of: a fast bicycle."""


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
            writer.write(gpsd.watch(self.device))
            await writer.drain()
            while True:
                position = gpsd.read_tpv(await reader.readuntil(b"\n"), self.now_ms)
                if position is not None:
                    self.failures = 0
                    self.track.add(position)
        finally:
            writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.address.startswith("unix:"):
            return await asyncio.open_unix_connection(self.address.removeprefix("unix:"), limit=gpsd.MAX_LINE_OCTETS)
        host, _, port = self.address.removeprefix("tcp://").rpartition(":")
        return await asyncio.open_connection(host, int(port), limit=gpsd.MAX_LINE_OCTETS)


def open_location(config: PositionConfig, detector: str, now_ms: Callable[[], int]) -> Location:
    """Return the location that the configuration names."""
    if config.lat_deg is not None and config.lon_deg is not None:
        return FixedLocation(config.lat_deg, config.lon_deg, config.accuracy_m)
    return GpsdLocation(config.gpsd, detector, Track(config.max_age_s, WALK_MPS), now_ms)
