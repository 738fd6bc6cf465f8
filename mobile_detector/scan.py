"""The radio, opened and closed by the duty cycle: bleak on a phone or laptop, a socket in the simulated town."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from mobile_detector.config import DetectorConfig
from mobile_detector.ear import Ear
from wire.air import AirSession
from wire.btsnoop import BtsnoopError
from wire.frames import EDDYSTONE_UUID16, uuid_text
from wire.retry import wait_s

if TYPE_CHECKING:
    from bleak.backends.device import BLEDevice
    from bleak.backends.scanner import AdvertisementData

log = logging.getLogger(__name__)

CHUNK_OCTETS: Final = 1 << 16
START_TIMEOUT_S: Final = 15.0
STOP_TIMEOUT_S: Final = 5.0
FULL_WAIT_S: Final = 0.2
NO_RSSI_DBM: Final = -127
"""What BlueZ and Android report when they measured nothing."""


class Radio(Protocol):
    """A receiver.

    Attributes:
        position: packets taken over so far; stays 0 where the radio cannot send anything twice.
    """

    position: int

    async def run(self) -> None:
        """Hear for ever, through every failure, whenever the receiver is to be open."""

    def scan(self, *, is_on: bool) -> None:
        """Open or close the receiver, as soon as it can be done."""

    def release(self, position: int) -> None:
        """Let the radio forget every packet up to `position`: what they said is in a batch."""


@dataclass(slots=True)
class SocketRadio:
    """The simulated radio, see wire/air.py."""

    path: str
    detector: str
    ear: Ear
    position: int
    on_haste: Callable[[], None]
    failures: int = field(default=0, init=False)
    _safe: int = field(default=0, init=False)
    _is_on: bool = field(default=False, init=False)
    _writer: asyncio.StreamWriter | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self._safe = self.position

    async def run(self) -> None:
        """Read the socket for ever."""
        while True:
            try:
                await self._listen()
            except (OSError, BtsnoopError) as error:
                self.failures += 1
                log.warning("scan.lost", extra={"reason": type(error).__name__, "attempt": self.failures})
            await asyncio.sleep(wait_s(min(self.failures, 4), most_s=5.0))

    def scan(self, *, is_on: bool) -> None:
        """Tell the radio; after a reconnection it is told again."""
        if is_on != self._is_on:
            self._is_on = is_on
            self._send(AirSession.scan(is_on=is_on))

    def release(self, position: int) -> None:
        """Acknowledge every packet up to `position`."""
        if position > self._safe:
            self._safe = position
            self._send(AirSession.ack(position))

    async def _listen(self) -> None:
        reader, writer = await asyncio.open_unix_connection(self.path, limit=CHUNK_OCTETS)
        try:
            session = AirSession(self.detector, self._safe)
            writer.write(session.hello() + AirSession.scan(is_on=self._is_on))
            self._writer = writer
            await writer.drain()
            while chunk := await reader.read(CHUNK_OCTETS):
                self.failures = 0
                self._take(session, chunk)
                while self.ear.is_full:  # noqa: ASYNC110 -- the disk does not call back; the radio keeps what comes
                    await asyncio.sleep(FULL_WAIT_S)
            raise ConnectionResetError("the radio closed the socket")
        finally:
            self._writer = None
            writer.close()

    def _take(self, session: AirSession, chunk: bytes) -> None:
        is_hasty = False
        for packet in session.feed(chunk):
            if packet.number > self.position:  # after a reconnection the first ones may be known already
                is_hasty |= self.ear.hear_packet(packet.octets, packet.at_ms)
                self.position = packet.number
        if is_hasty:
            self.on_haste()

    def _send(self, line: bytes) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(line)


@dataclass(slots=True)
class BleakRadio:
    """The system's own Bluetooth through bleak. Android allows five starts in 30 s: keep cycles at 6 s or longer."""

    ear: Ear
    now_ms: Callable[[], int]
    on_haste: Callable[[], None]
    adapter: str = ""
    position: int = 0
    failures: int = field(default=0, init=False)
    _is_on: bool = field(default=False, init=False)
    _changed: asyncio.Event = field(default_factory=asyncio.Event, init=False, repr=False)

    async def run(self) -> None:
        """Start and stop the scanner for ever, as `scan` says."""
        from bleak.exc import BleakError  # noqa: PLC0415 -- bleak costs 30 MB; the simulated radio does without

        while True:
            try:
                await self._follow()
            except (BleakError, OSError, TimeoutError) as error:
                self.failures += 1
                log.warning("scan.lost", extra={"reason": type(error).__name__, "attempt": self.failures})
            await asyncio.sleep(wait_s(self.failures))

    def scan(self, *, is_on: bool) -> None:
        """Have the scanner started or stopped."""
        if is_on != self._is_on:
            self._is_on = is_on
            self._changed.set()

    def release(self, position: int) -> None:
        """Do nothing: what this radio said, it says once."""

    async def _follow(self) -> None:
        from bleak import BleakScanner  # noqa: PLC0415 -- see run

        bluez = {"adapter": self.adapter} if self.adapter else {}
        scanner = BleakScanner(
            self._heard,
            service_uuids=None if self.ear.formats.uuids else [uuid_text(EDDYSTONE_UUID16)],
            bluez={**bluez, "filters": {"DuplicateData": True, "RSSI": NO_RSSI_DBM}},  # type: ignore[typeddict-item]
        )
        is_open = False
        try:
            while True:
                self._changed.clear()
                if self._is_on != is_open:
                    async with asyncio.timeout(START_TIMEOUT_S if self._is_on else STOP_TIMEOUT_S):
                        await (scanner.start() if self._is_on else scanner.stop())
                    is_open = not is_open
                    self.failures = 0
                await self._changed.wait()
        finally:
            if is_open:
                with contextlib.suppress(Exception):  # the scanner may be what failed
                    async with asyncio.timeout(STOP_TIMEOUT_S):
                        await scanner.stop()

    def _heard(self, device: "BLEDevice", advertisement: "AdvertisementData") -> None:
        at_ms = self.now_ms()
        rssi_dbm = None if advertisement.rssi in (NO_RSSI_DBM, 127) else advertisement.rssi
        is_hasty = self.ear.hear_fields(
            advertisement.service_data,
            advertisement.manufacturer_data,
            rssi_dbm=rssi_dbm,
            at_ms=at_ms,
            address=device.address,
        )
        if is_hasty:
            self.on_haste()


def open_radio(config: DetectorConfig, ear: Ear, *, position: int, on_haste: Callable[[], None]) -> Radio:
    """Return the radio that the configuration names; `position` is where one that repeats goes on."""
    if config.scan.socket_path is not None:
        return SocketRadio(config.scan.socket_path, config.detector, ear, position, on_haste)
    return BleakRadio(ear, config.clock.now_ms, on_haste, adapter=config.scan.adapter)
