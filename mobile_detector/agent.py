"""One volunteer's detector, wired together; and a process that hosts many, none of which takes another down."""

import asyncio
import logging
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final, Self

from mobile_detector.config import DetectorConfig
from mobile_detector.duty import Duty
from mobile_detector.ear import Ear
from mobile_detector.errors import DetectorError, ZoneError
from mobile_detector.keep import Keeper
from mobile_detector.location import MOVING_MPS, Location, open_location
from mobile_detector.scan import Radio, open_radio
from mobile_detector.tokens import OwnKey
from mobile_detector.uplink import Receipts, Uplink, open_uplink
from mobile_detector.usage import Diary, helped_band
from mobile_detector.zones import Zones
from wire import batch, keys
from wire.errors import OutboxError, WireError
from wire.merge import Merge
from wire.messages import Heartbeat
from wire.outbox import Outbox
from wire.retry import wait_s

log = logging.getLogger(__name__)

STOP_S: Final = 5.0
"""Wall seconds given to sending when the program is asked to stop."""
DIARY_S: Final = 30.0
"""Wall seconds between entries in the diary."""
LEAST_STEP_S: Final = 0.02
"""Wall seconds between two looks at the timetable, however fast the town runs."""
MAX_ROWS: Final = batch.MAX_ROWS
"""Rows held in memory: no more than one batch can hold."""
SOFTWARE: Final = "mimamori-detector"


@dataclass(slots=True)
class Agent:
    """The parts of one detector."""

    config: DetectorConfig
    outbox: Outbox
    location: Location
    ear: Ear
    radio: Radio
    duty: Duty
    keeper: Keeper
    uplink: Uplink
    receipts: Receipts
    counts: Counter[str]
    started_s: float = field(default_factory=time.monotonic)
    _zones_ns: int = -1

    @classmethod
    def open(cls, config: DetectorConfig) -> Self:
        """Return an agent with its outbox open.

        Raises:
            WireError: a key file or the outbox cannot be used.
            DetectorError: the city file is of another city, or the state directory cannot be made.
        """
        city = keys.CityBundle.load(config.keys.city_file)
        if city.city != config.city:
            raise DetectorError(f"the city file is of {city.city}, the configuration of {config.city}")
        name = OwnKey(city, config.detector, keys.load_signing_key(config.keys.signing_key_file), config.clock)
        try:
            config.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise DetectorError(f"state_dir cannot be made: {error.strerror}") from error
        outbox = Outbox.open(config.outbox_file, max_bytes=config.outbox.max_bytes, may_renew=True)
        if outbox.broken_file is not None:
            log.error("outbox.renewed", extra={"detector": config.detector, "bytes": outbox.broken_file.stat().st_size})
        try:
            return cls._wired(config, name, outbox)
        except BaseException:
            outbox.close()
            raise

    @classmethod
    def _wired(cls, config: DetectorConfig, name: OwnKey, outbox: Outbox) -> Self:
        location = open_location(config.position, config.detector, config.clock.now_ms)
        merge = Merge(round(config.scan.window_s * 1000), max_rows=MAX_ROWS)
        ear = Ear(config.formats, location, merge, zones=None)
        haste = asyncio.Event()
        radio = open_radio(config, ear, position=outbox.restore()[1], on_haste=haste.set)
        keeper = Keeper(ear, radio, outbox, name, config.clock, config.scan.window_s, haste=haste)
        phase_s = random.uniform(0, config.duty.rest_cycle_s)  # noqa: S311 -- spreads load, keeps no secret
        duty = Duty(config.duty.plan(), phase_s, usage=Diary.load(config.usage_file).usage)
        counts: Counter[str] = Counter()
        started_s = time.monotonic()

        def heartbeat(state: str) -> Heartbeat:
            return _heartbeat(config.detector, outbox, ear, state=state, uptime_s=time.monotonic() - started_s)

        receipts = Receipts(name, outbox, counts)
        uplink = open_uplink(config, receipts, put=keeper.put, heartbeat=heartbeat)
        return cls(config, outbox, location, ear, radio, duty, keeper, uplink, receipts, counts, started_s)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then put away what was heard, send for a moment and end."""
        self._read_zones()
        try:
            async with asyncio.TaskGroup() as group:
                works = (self.location.run(), self.radio.run(), self._follow_duty(), self.keeper.run(), self._write())
                tasks = [group.create_task(work) for work in works]
                sending = group.create_task(self.uplink.run())
                await stop.wait()
                self.radio.scan(is_on=False)
                for task in tasks:
                    task.cancel()
                self._keep_last()
                is_empty = await self._drained(STOP_S)
                log.info("agent.stopped", extra={"detector": self.config.detector, "settled": is_empty})
                sending.cancel()
        finally:
            self._note()
            self.outbox.close()

    async def _follow_duty(self) -> None:
        clock = self.config.clock
        heard_burst_ms = 0
        while True:
            now_ms = clock.now_ms()
            self._read_zones()
            if self.ear.burst_at_ms != heard_burst_ms:
                heard_burst_ms = self.ear.burst_at_ms
                self.duty.alert(now_ms)
            place = self.location.at(now_ms)
            is_moving = place is not None and place.speed_mps > MOVING_MPS
            for_s = self.duty.step(now_ms, is_moving=is_moving, may_scan=self.ear.may_hear(now_ms))
            self.radio.scan(is_on=self.duty.is_scanning)
            # Look again after a town second at most: a zone may begin, or a tag be in haste.
            await asyncio.sleep(max(LEAST_STEP_S, clock.wall_s(min(for_s, 1.0))))

    def _read_zones(self) -> None:
        """Take up the zones when their file changed; one that cannot be read covers the whole world."""
        path = self.config.zones_file
        try:
            changed_ns = path.stat().st_mtime_ns
        except FileNotFoundError:
            changed_ns = 0
        except OSError:
            changed_ns = -2
        if changed_ns == self._zones_ns:
            return
        try:
            self.ear.zones = Zones.load(path)
        except ZoneError:
            self.ear.zones = None
            log.error("zones.unreadable", extra={"detector": self.config.detector})  # noqa: TRY400 -- the text names a path
        self._zones_ns = changed_ns

    async def _write(self) -> None:
        while True:
            await asyncio.sleep(DIARY_S)
            self._note()

    def _note(self) -> None:
        try:
            totals = self.outbox.totals()
            diary = Diary(self.duty.usage, helped_band(totals.accepted_rows), totals.pending_batches)
            diary.save(self.config.usage_file)
        except (OSError, OutboxError) as error:
            log.warning("diary.failed", extra={"detector": self.config.detector, "reason": type(error).__name__})

    def _keep_last(self) -> None:
        try:
            self.keeper.keep()
        except OutboxError as error:
            log.warning("rows.left", extra={"detector": self.config.detector, "reason": type(error).__name__})

    async def _drained(self, limit_s: float) -> bool:
        """Wait until every batch is receipted, `limit_s` wall seconds at most; return whether it is so."""
        try:
            async with asyncio.timeout(limit_s):
                while self.outbox.totals().pending_batches:
                    self.receipts.settled.clear()
                    await self.receipts.settled.wait()
        except TimeoutError:
            return False
        return True


def _heartbeat(detector: str, outbox: Outbox, ear: Ear, *, state: str, uptime_s: float) -> Heartbeat:
    totals = outbox.totals()
    malformed = ear.dropped["malformed"]
    return Heartbeat(
        detector=detector,
        epoch=outbox.epoch,
        sent_at_ms=time.time_ns() // 1_000_000,
        uptime_s=int(uptime_s),
        queued_batches=totals.pending_batches,
        oldest_queued_ms=totals.oldest_ms,
        heard=ear.heard,
        dropped=ear.dropped.total() - malformed,
        errors=malformed,
        software=SOFTWARE,
        state=state,
        rows_total=totals.put_rows,
    )


async def supervise(config: DetectorConfig, stop: asyncio.Event) -> None:
    """Run one agent until `stop`; when it fails, say so, wait and start it anew."""
    failures = 0
    while not stop.is_set():
        try:
            agent = Agent.open(config)
            log.info("agent.started", extra={"detector": config.detector})
            await agent.run(stop)
        except (DetectorError, WireError) as error:
            reason = type(error).__name__
            log.error("agent.failed", extra={"detector": config.detector, "reason": reason, "attempt": failures})  # noqa: TRY400 -- the kind of error says it all
        except Exception:
            log.exception("agent.crashed", extra={"detector": config.detector, "attempt": failures})
        else:
            return
        failures += 1
        await _stop_or_wait(stop, wait_s(failures, most_s=60.0))


async def _stop_or_wait(stop: asyncio.Event, limit_s: float) -> None:
    try:
        async with asyncio.timeout(limit_s):
            await stop.wait()
    except TimeoutError:
        pass


async def run_all(configs: list[DetectorConfig], stop: asyncio.Event) -> None:
    """Run an agent for each configuration in this process until `stop`."""
    async with asyncio.TaskGroup() as agents:
        for config in configs:
            agents.create_task(supervise(config, stop))
