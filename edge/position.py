"""Positions for a moving gateway, from gpsd: the connection, kept up for as long as the gateway runs."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from edge.parked import Whereabouts
from wire import gpsd
from wire.gpsd import Track
from wire.retry import wait_s

log = logging.getLogger(__name__)

UNKNOWN_SPEED_MPS: Final = 15.0
"""A car in streets, where no report tells how fast it is."""
TRUSTED_S: Final = 2.0
"""Town seconds for which a car goes on as its last report said."""
SILENCE_S: Final = 60.0
"""Wall seconds without a line, in which gpsd says at least that it has no fix; then the connection is a dead one."""


def whereabouts(max_age_s: float, parked_max_age_s: float = 0.0) -> Whereabouts:
    """Return what answers where a vehicle was, empty.

    Args:
        max_age_s: a moment may lie so many town seconds from a position.
        parked_max_age_s: likewise from the last that confirms the place of a parked vehicle, where that is longer.
    """
    return Whereabouts(Track(max_age_s, drift_mps=UNKNOWN_SPEED_MPS, trusted_s=TRUSTED_S), parked_max_age_s)


def connect(address: str) -> Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Return a connection to gpsd at "unix:/path" or "tcp://host:port"; OSError where nobody listens."""
    if address.startswith("unix:"):
        return asyncio.open_unix_connection(address.removeprefix("unix:"), limit=gpsd.MAX_LINE_OCTETS)
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    return asyncio.open_connection(host, int(port), limit=gpsd.MAX_LINE_OCTETS)


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
    track: Whereabouts
    counts: Counter[str]
    now_ms: Callable[[], int]
    silence_s: float = SILENCE_S
    _failures: int = field(default=0, init=False)

    async def run(self) -> None:
        """Read positions for ever."""
        while True:
            try:
                reader, writer = await connect(self.address)
                try:
                    await self._read(reader, writer)
                finally:
                    writer.close()
            except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
                self._failures += 1
                self.counts["gpsd_failures"] += 1
                log.warning("gpsd.lost", extra={"reason": type(error).__name__, "attempt": self._failures})
            await asyncio.sleep(wait_s(self._failures))

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(gpsd.watch(self.device))
        await writer.drain()
        while True:
            async with asyncio.timeout(self.silence_s):
                line = await reader.readuntil(b"\n")
            position = gpsd.read_tpv(line, self.now_ms, unknown_speed_mps=UNKNOWN_SPEED_MPS)
            if position is None:
                continue
            if self._failures:
                log.info("gpsd.found", extra={"attempt": self._failures})
                self._failures = 0
            self.track.add(position)
