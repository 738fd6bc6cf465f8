"""BlueZ through bleak as a source, with the watch that a scanner needs to live for months.

BlueZ scanners fall silent without an error, lose their discovery session when bluetoothd restarts, and leave call-backs
unchanged for still tags unless the filter has a condition on RSSI. What is done against each of these is said below;
symptoms and remedies: docs/GATEWAY.md.
"""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field

from bleak import BleakScanner
from bleak.args.bluez import BlueZScannerArgs
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.exc import BleakError

from edge.bluez_bus import BluezBus, BusError
from edge.errors import ScanError
from edge.sight import Sight
from wire.clock import Clock
from wire.formats import Formats
from wire.frames import EDDYSTONE_UUID16, uuid_text
from wire.retry import wait_s

log = logging.getLogger(__name__)

NO_RSSI_DBM = -127
"""What bleak gives where BlueZ has no RSSI: the advertisement was not heard just now."""

_FAILURES = (BleakError, BusError, ScanError, OSError, EOFError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Timings:
    """How long things may take, in wall seconds.

    Attributes:
        start_s: a scan to start.
        stop_s: a scan to stop.
        silence_s: without any advertisement, before it is suspicious.
        probe_s: of listening unfiltered then.
        retry_s: most between two attempts.
        off_s: that a reset leaves the adapter off.
    """

    start_s: float = 15.0
    stop_s: float = 5.0
    silence_s: float = 90.0
    probe_s: float = 10.0
    retry_s: float = 30.0
    off_s: float = 0.5


@dataclass(slots=True)
class BluezScan:
    """Scans for ever.

    Args:
        adapter: "hci0"; "" = the first that is powered.
        formats: decides whether BlueZ may filter by Eddystone's UUID.
    """

    sight: Sight
    counts: Counter[str]
    adapter: str
    clock: Clock
    formats: Formats
    timings: Timings = field(default_factory=Timings)
    position: int = 0
    _alive_s: float = field(default=0.0, init=False)
    _silences: int = field(default=0, init=False)
    _signs: int = field(default=0, init=False)

    async def run(self) -> None:
        """Feed the pipeline for ever."""
        failures = 0
        while True:
            started_s = time.monotonic()
            try:
                await self._listen()
                failures = 0
            except _FAILURES as error:
                failures = 1 if time.monotonic() - started_s > self.timings.silence_s else failures + 1
                self.counts["scan_failures"] += 1
                log.warning("scan.failed", extra={"reason": _reason(error), "attempt": failures})
                if failures % 4 == 2:
                    await self._reset()
                await asyncio.sleep(wait_s(failures, self.timings.retry_s))

    def release(self, position: int) -> None:
        """Do nothing: what went over the air cannot be asked for again."""

    async def finish(self) -> None:
        """Do nothing: call-backs are taken over as they come."""

    async def _listen(self) -> None:
        """Scan until the adapter falls silent; then find out whether it is the street or the adapter.

        Raises:
            ScanError: the daemon or the adapter went away.
            BleakError: BlueZ refuses to scan.
            TimeoutError: it does not answer.
        """
        async with BluezBus.open(self.adapter) as bus:
            uuids = [] if self.formats.uuids else [uuid_text(EDDYSTONE_UUID16)]
            async with self._scanning(uuids):
                log.info("scan.started", extra={"adapter": bus.adapter})
                self.counts["scan_starts"] += 1
                while (left_s := self._alive_s + self.timings.silence_s - time.monotonic()) > 0:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(left_s):
                            await bus.lost.wait()
                        raise ScanError(bus.reason)
            self.counts["scan_silences"] += 1
            before = self._signs
            async with self._scanning([]):
                await asyncio.sleep(self.timings.probe_s)
            self._silences = 0 if self._signs > before else self._silences + 1
            log.info("scan.silent", extra={"count": self._silences, "adapter": bus.adapter})
            if self._silences >= 2:
                self._silences = 0
                await self._reset()

    @contextlib.asynccontextmanager
    async def _scanning(self, service_uuids: list[str]) -> AsyncIterator[None]:
        # RSSI -127 is no limit, but without one BlueZ 5.88 keeps quiet about changes under 8 dB; DuplicateData makes it
        # report a frame that did not change.
        arguments: BlueZScannerArgs = {"filters": {"DuplicateData": True, "RSSI": NO_RSSI_DBM}}
        if self.adapter:
            arguments["adapter"] = self.adapter
        scanner = BleakScanner(self._hear, service_uuids=service_uuids or None, bluez=arguments)
        self._alive_s = time.monotonic()
        try:
            await _within(self.timings.start_s, scanner.start())
            yield
        finally:
            # A scanner that will not stop is left to bluetoothd; the next start clears it away or fails loudly.
            with contextlib.suppress(*_FAILURES):
                await _within(self.timings.stop_s, scanner.stop())

    def _hear(self, device: BLEDevice, advertisement: AdvertisementData) -> None:
        at_ms = self.clock.now_ms()
        if not (advertisement.service_data or advertisement.manufacturer_data or advertisement.service_uuids):
            return  # an empty call-back is no sign of life: adapters about to fail send nothing else
        rssi_dbm = None if advertisement.rssi == NO_RSSI_DBM else advertisement.rssi
        if rssi_dbm is not None:
            self._alive_s = time.monotonic()
            self._signs += 1
        self.sight.hear_fields(
            advertisement.service_data,
            advertisement.manufacturer_data,
            rssi_dbm=rssi_dbm,
            at_ms=at_ms,
            address=device.address,
        )

    async def _reset(self) -> None:
        """Switch the adapter off and on."""
        self.counts["adapter_resets"] += 1
        try:
            async with (
                asyncio.timeout(self.timings.start_s + 2 * self.timings.off_s),
                BluezBus.open(self.adapter) as bus,
            ):
                await bus.reset(self.timings.off_s)
                log.warning("adapter.reset", extra={"adapter": bus.adapter})
        except _FAILURES as error:
            log.warning("adapter.reset_failed", extra={"reason": _reason(error)})


async def _within(limit_s: float, step: Awaitable[None]) -> None:
    async with asyncio.timeout(limit_s):
        await step


def _reason(error: BaseException) -> str:
    """Return the kind of an error; its text may quote an address."""
    name = getattr(error, "dbus_error", None)
    if isinstance(error, ScanError):
        return str(error)
    return str(name or type(error).__name__)
