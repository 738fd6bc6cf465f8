"""The live air: seconds pass by the clock, packets go to detectors that listen, positions to those that move."""

import asyncio
import contextlib
import logging
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from firmware_sim import capture
from firmware_sim import town as towns
from firmware_sim.air import STEP_MS, Air
from firmware_sim.gps import Gps
from firmware_sim.gpsd_socket import GpsdSocket
from firmware_sim.radio_socket import RadioSocket
from firmware_sim.tag import Tag
from firmware_sim.truth import Truth
from wire import btsnoop
from wire.clock import Clock

log = logging.getLogger(__name__)

_SHORTEST_WAIT_S: Final = 0.05
"""At high speed several town seconds pass in one go: fewer, larger writes."""
_LONGEST_TURN_S: Final = 0.1
"""Wall seconds of simulation after which the sockets get their turn."""
_MOST_BEHIND_S: Final = 15.0
"""Wall seconds behind, as after a laptop's sleep, beyond which the time is skipped: nobody transmitted meanwhile."""
_SAVE_EVERY_S: Final = 5.0
_LINGER_S: Final = 3.0
"""Wall seconds at the end in which detectors may still take what waits."""


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Where the air is served and by what clock. `truth_file` None keeps no truth."""

    radio_socket: Path
    gpsd_socket: Path
    truth_file: Path | None
    clock: Clock


class Live:
    """The air, the sockets and the truth, moved on together.

    Attributes:
        behind_ms: town milliseconds that the simulation lags after the last turn.
        skipped_ms: town milliseconds that were skipped.
    """

    def __init__(self, seed: int, tags: tuple[Tag, ...], clock: Clock) -> None:
        self.air = Air(towns.build(seed), tags, clock.now_ms())
        self.clock = clock
        self.truth = Truth(tags)
        self.radio = RadioSocket([receiver.id for receiver in self.air.receivers], lambda: clock.now_ms() * 1000)
        moving = [receiver for receiver in self.air.receivers if receiver.mover >= 0]
        self.gpsd = GpsdSocket([receiver.id for receiver in moving])
        self.behind_ms = 0
        self.skipped_ms = 0
        self._gps = Gps(self.air.town.plane, np.array([receiver.mover for receiver in moving]), seed)

    def turn(self) -> float:
        """Simulate what is due, for at most `_LONGEST_TURN_S`, and send it; wall seconds until the next turn."""
        until_s = time.monotonic() + _LONGEST_TURN_S
        self._skip()
        while self.clock.now_ms() >= self.air.now_ms + STEP_MS and time.monotonic() < until_s:
            self._step()
        self.radio.flush()
        self.behind_ms = max(0, self.clock.now_ms() - self.air.now_ms - STEP_MS)
        if self.behind_ms > STEP_MS:
            return 0.0
        due_ms = self.air.now_ms + STEP_MS - self.clock.now_ms()
        return max(_SHORTEST_WAIT_S, self.clock.wall_s(due_ms / 1000))

    def save(self, path: Path) -> None:
        """Write the truth so far."""
        waiting = sum(port.waiting for port in self.radio.ports.values())
        self.truth.save(path, waiting=waiting, behind_ms=self.behind_ms, skipped_ms=self.skipped_ms)

    def _skip(self) -> None:
        late_ms = self.clock.now_ms() - self.air.now_ms
        if self.clock.wall_s(late_ms / 1000) > _MOST_BEHIND_S:
            skip_ms = late_ms // STEP_MS * STEP_MS
            self.air.skip(skip_ms)
            self.skipped_ms += skip_ms
            log.warning("radio.skipped", extra={"skipped": skip_ms // 1000})

    def _step(self) -> None:
        ports = [self.radio.ports[receiver.id] for receiver in self.air.receivers]
        heard = self.air.step(np.array([port.may_hear() for port in ports]))
        columns = (heard.receivers, heard.emitters, heard.at_us, heard.rssi_dbm, heard.is_telemetry)
        for receiver, emitter, at_us, rssi_dbm, is_telemetry in zip(*(c.tolist() for c in columns), strict=True):
            port = ports[receiver]
            if not port.is_on(at_us):
                continue
            advert = self.air.advert(emitter, at_us, is_telemetry=is_telemetry)
            packet = capture.hci_event(advert, rssi_dbm)
            name = self.air.receivers[receiver].id
            if port.hear(btsnoop.record(packet, at_us=at_us, missed=port.missed)):
                self.truth.note(name, emitter, at_us, is_telemetry=is_telemetry)
            else:
                self.truth.missed[name] += 1
        for port in ports:
            port.settle(self.air.now_ms * 1000)
        fixes = self._gps.fixes(self.air.positions(self.air.now_ms))
        if self.gpsd.has_watchers:
            self.gpsd.publish(self.air.now_ms, fixes)


async def run(live: Live, settings: RunSettings, stop: asyncio.Event) -> None:
    """Serve the air until `stop`; then let the detectors take what waits and write the truth."""
    async with live.radio.open(settings.radio_socket), live.gpsd.open(settings.gpsd_socket):
        log.info("radio.started")
        saved_s = time.monotonic()
        while not stop.is_set():
            wait_s = live.turn()
            if time.monotonic() - saved_s > _SAVE_EVERY_S:
                saved_s = time.monotonic()
                _report(live, settings)
            await _pause(stop, wait_s)
        live.radio.silence()
        await _linger(live)
    _report(live, settings)
    log.info("radio.stopped")


def stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _pause(stop: asyncio.Event, wait_s: float) -> None:
    if wait_s == 0:
        await asyncio.sleep(0)
        return
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), wait_s)


async def _linger(live: Live) -> None:
    until_s = time.monotonic() + _LINGER_S
    while live.radio.waiting and time.monotonic() < until_s:
        live.radio.flush()
        await asyncio.sleep(_SHORTEST_WAIT_S)


def _report(live: Live, settings: RunSettings) -> None:
    if settings.truth_file:
        live.save(settings.truth_file)
    if live.behind_ms > 2 * STEP_MS * max(1.0, live.clock.speed):
        log.warning("radio.behind", extra={"lag_ms": live.behind_ms})
