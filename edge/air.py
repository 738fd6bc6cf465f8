"""The simulated radio as a source: a Unix socket that keeps every packet until it is acknowledged, see wire/air.py."""

import asyncio
import contextlib
import logging
from collections import Counter
from dataclasses import dataclass, field

from edge.sight import Sight
from wire.air import AirSession
from wire.btsnoop import BtsnoopError
from wire.retry import wait_s

log = logging.getLogger(__name__)

CHUNK_OCTETS = 1 << 16
FULL_WAIT_S = 0.2
QUIET_S = 0.3
FINISH_S = 2.0


@dataclass(slots=True)
class AirScan:
    """Reads the radio socket and connects again when it breaks.

    Attributes:
        position: number of the last packet that went through the pipeline.
        missed: packets that the radio says its receiver did not hear.
    """

    path: str
    detector: str
    sight: Sight
    counts: Counter[str]
    position: int
    missed: int = 0
    _safe: int = field(init=False)
    _writer: asyncio.StreamWriter | None = field(default=None, init=False, repr=False)
    _heard: asyncio.Event = field(default_factory=asyncio.Event, init=False, repr=False)

    def __post_init__(self) -> None:
        self._safe = self.position

    async def run(self) -> None:
        """Feed the pipeline for ever."""
        failures = 0
        while True:
            before = self.position
            try:
                await self._listen()
            except (OSError, BtsnoopError) as error:
                failures = 0 if self.position > before else failures + 1
                self.counts["scan_failures"] += 1
                log.warning(
                    "scan.lost",
                    extra={"detector": self.detector, "reason": type(error).__name__, "attempt": failures},
                )
            await asyncio.sleep(wait_s(failures, most_s=5.0))

    async def _listen(self) -> None:
        reader, self._writer = await asyncio.open_unix_connection(self.path, limit=CHUNK_OCTETS)
        try:
            session = AirSession(self.detector, self._safe)
            self._writer.write(session.hello())
            await self._writer.drain()
            log.info("scan.started", extra={"detector": self.detector, "position": self._safe})
            while chunk := await reader.read(CHUNK_OCTETS):
                self._take(session, chunk)
                while self.sight.is_full:  # the radio keeps what we cannot put away
                    self.counts["scan_pauses"] += 1
                    await asyncio.sleep(FULL_WAIT_S)
            raise ConnectionResetError("the radio closed the socket")
        finally:
            self._writer.close()
            self._writer = None

    def _take(self, session: AirSession, chunk: bytes) -> None:
        self._heard.set()
        for packet in session.feed(chunk):
            if packet.number > self.position:  # after a reconnection the first ones may be known already
                self.sight.hear_packet(packet.octets, packet.at_ms)
                self.position = packet.number
        self.missed = session.missed

    def release(self, position: int) -> None:
        """Acknowledge every packet up to `position`."""
        if position <= self._safe:
            return
        self._safe = position
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(AirSession.ack(position))

    async def finish(self) -> None:
        """Close the receiver and wait until what is on its way has come."""
        if self._writer is None:
            return
        self._writer.write(AirSession.scan(is_on=False))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FINISH_S):
                while True:
                    self._heard.clear()
                    async with asyncio.timeout(QUIET_S):
                        await self._heard.wait()
