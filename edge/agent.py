"""One gateway, wired together; and a process that hosts many, none of which takes another down."""

import asyncio
import contextlib
import logging
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge import identity, position
from edge.condition import Gauges
from edge.config import EdgeConfig, PositionConfig
from edge.errors import EdgeError, JournalBrokenError, JournalError
from edge.health import Health, Vitals, software
from edge.journal import FILE, Journal
from edge.keep import Keeper, Sealer
from edge.lanes import Handler
from edge.orders import Desk
from edge.parked import Whereabouts
from edge.position import GpsdClient
from edge.reports import Reports
from edge.scan import Source, open_source
from edge.sight import Sight
from edge.uplink import Uplink
from wire import keys
from wire.errors import OutboxError, WireError
from wire.merge import Merge
from wire.orders import Command, Restart, RotateKeys
from wire.outbox import Outbox
from wire.retry import wait_s
from wire.window import SendWindow

if TYPE_CHECKING:
    from edge.camera.filming import Filming
    from edge.renewal import Renewal

log = logging.getLogger(__name__)

KEEPER_HANGS_S = 90.0
"""Wall seconds without a round of the keeper; there is one a second, and one in ten on a failing disk."""
UNDER_WAY = 16
"""Batches sent and not yet receipted, at most: with four, a queue of three days took three times as long to send."""
STOP_S = 5.0
"""Wall seconds given to publishing when the program is asked to stop."""
REPORT_S = 1.0
"""And so many more for what the log says last, as that an order to restart was carried out."""


@dataclass(slots=True)
class Agent:
    """The parts of one gateway.

    Attributes:
        handlers: what carries out the city's orders, by the type of command; those missing are refused.
        restart: set by an order to restart, and by nobody else.
    """

    config: EdgeConfig
    outbox: Outbox
    source: Source
    keeper: Keeper
    uplink: Uplink
    health: Health
    gpsd: GpsdClient | None
    journal: Journal
    handlers: dict[type[Command], Handler]
    renewal: "Renewal | None" = None
    filming: "Filming | None" = None
    restart: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by an order: the program ends, or, with other gateways in it, this agent begins anew."""
    again: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when there are other keys: this agent begins anew with them."""

    def __post_init__(self) -> None:
        """Carry out what needs no other part."""
        self.handlers.setdefault(Restart, self._end)

    def _end(self, _: Restart) -> dict[str, Any]:
        """Ask for an orderly end; "order.done" is on the disk before anything else gets its turn."""
        self.restart.set()
        return {}

    @classmethod
    def open(cls, config: EdgeConfig) -> Self:
        """Return an agent with its outbox and journal open and what was heard restored.

        Raises:
            WireError: a key file or the outbox cannot be used.
            EdgeError: the city file is of another city, or the journal cannot be used.
        """
        sealer = _sealer(config)
        with contextlib.ExitStack() as opened:
            outbox = opened.enter_context(_outbox(config))
            journal = opened.enter_context(Journal.open(config.state_dir / FILE))
            agent = cls._wired(config, sealer, outbox, journal)
            opened.pop_all()
        return agent

    @classmethod
    def _wired(cls, config: EdgeConfig, sealer: Sealer, outbox: Outbox, journal: Journal) -> Self:
        merge = Merge(round(config.scan.window_s * 1000), max_rows=config.scan.max_rows)
        sight = Sight(config.formats, merge)
        track = _whereabouts(config.position)
        gauges = Gauges(
            state_dir=config.state_dir,
            whereabouts=track,
            order_sequence=_newest_order(journal),
            certificate_until_ms=_certificate_end(config),
        )
        health = Health(config.detector, sight, outbox, gauges=gauges)
        health.counts["outboxes_renewed"] = int(outbox.broken_file is not None)
        health.counts["journals_renewed"] = int(journal.broken_file is not None)
        source = open_source(config, sight, health.counts, position=outbox.restore()[1])
        keeper = Keeper(sight, outbox, source, sealer, health.counts, track=track, hold_s=config.position.max_age_s)
        keeper.beat = health.pulses.add("keeper", KEEPER_HANGS_S)
        keeper.restore()
        filming = _filming(config, sealer, journal)
        handlers: dict[type[Command], Handler] = {} if filming is None else filming.handlers()
        if filming is not None:
            gauges.camera, health.camera_counts = filming.vitals, filming.counts
        desk = Desk(sealer.city, config.detector, journal, handlers, health.counts, seal_key=_seal_key(config))
        reports = Reports(journal, sealer.sign_report, config.broker.receipt_timeout_s)
        uplink = Uplink(config.broker, sealer, outbox, health, keeper.put, _window(config), desk, reports)
        again = asyncio.Event()
        gpsd, renewal = _gpsd(config, track, health.counts), _renewal(config, uplink, health.counts, again)
        if renewal is not None:
            handlers[RotateKeys] = _rotating(renewal)
        return cls(
            config, outbox, source, keeper, uplink, health, gpsd, journal, handlers, renewal, filming, again=again
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`, an order or other keys end it; then put away what was heard, publish for a moment, end."""
        try:
            self._say_started()
            async with asyncio.TaskGroup() as tasks:
                lasting = [
                    tasks.create_task(part) for part in (self.uplink.run(), self.uplink.desk.run(), self.health.run())
                ]
                also = (self.gpsd, self.renewal, self.filming)
                lasting += [tasks.create_task(part.run()) for part in also if part is not None]
                hearing = tasks.create_task(self.source.run())
                keeping = tasks.create_task(self.keeper.run())
                await _first_of(stop, self.restart, self.again)
                await self.source.finish()
                keeping.cancel()
                self._keep_last()
                hearing.cancel()
                is_drained = await self.uplink.drained(STOP_S)
                is_drained &= await self.uplink.reports.drained(REPORT_S)
                log.info("agent.stopped", extra={"detector": self.config.detector, "settled": is_drained})
                for task in lasting:
                    task.cancel()
        finally:
            self.close()

    def _say_started(self) -> None:
        try:
            self.journal.add("gateway.started", {"software": software()})
        except JournalBrokenError:
            raise
        except JournalError as error:  # full: sightings have a place of their own, and come first
            self.health.counts["journal_failures"] += 1
            log.error(  # noqa: TRY400 -- the kind of error says it all
                "journal.failed", extra={"detector": self.config.detector, "reason": type(error).__name__}
            )

    def close(self) -> None:
        """Close the files."""
        self.journal.close()
        self.outbox.close()

    def _keep_last(self) -> None:
        try:
            self.keeper.keep(is_final=True)
        except OutboxError as error:
            rows = len(self.keeper.sight.merge.ready)
            log.error(  # noqa: TRY400 -- the kind of error says it all
                "rows.left", extra={"detector": self.config.detector, "rows": rows, "reason": type(error).__name__}
            )


def _sealer(config: EdgeConfig) -> Sealer:
    city = keys.CityBundle.load(config.keys.city_file)
    if city.city != config.city:
        raise EdgeError(f"the city file is of {city.city}, the configuration of {config.city}")
    return Sealer(city, config.detector, keys.load_signing_key(config.keys.signing_key_file), config.clock)


def _outbox(config: EdgeConfig) -> Outbox:
    try:
        config.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise EdgeError(f"state_dir cannot be made: {error.strerror}") from error
    outbox = Outbox.open(config.state_dir / "outbox.db", max_bytes=config.outbox.max_bytes, may_renew=True)
    if outbox.broken_file is not None:
        log.error("outbox.renewed", extra={"detector": config.detector, "bytes": outbox.broken_file.stat().st_size})
    return outbox


def _filming(config: EdgeConfig, sealer: Sealer, journal: Journal) -> "Filming | None":
    if not config.camera.url:
        return None
    # libav, OpenCV and C2PA take 100 MB: a gateway without a camera does without, and needs not even have them.
    from edge.camera.filming import Filming, Proof  # noqa: PLC0415 -- see above

    return Filming.open(config, sealer.city, journal, Proof(sealer.key, software()))


def _window(config: EdgeConfig) -> SendWindow:
    jitter = random.uniform(1.0, 1.3)  # noqa: S311 -- spreads load, keeps no secret
    return SendWindow(size=UNDER_WAY, timeout_s=config.broker.receipt_timeout_s * jitter)


def _certificate_end(config: EdgeConfig) -> Callable[[], int | None]:
    file = config.broker.certificate_file
    return lambda: identity.certificate_until_ms(Path(file)) if file else None


def _newest_order(journal: Journal) -> Callable[[], int | None]:
    """Return what gives the sequence of the newest order; None where there was none, or the disk does not say."""

    def newest() -> int | None:
        try:
            return journal.order_sequence or None
        except JournalError:
            return None

    return newest


def _whereabouts(config: PositionConfig) -> Whereabouts | None:
    return position.whereabouts(config.max_age_s, config.parked_max_age_s) if config.gpsd else None


def _renewal(config: EdgeConfig, uplink: Uplink, counts: Counter[str], again: asyncio.Event) -> "Renewal | None":
    if not config.makes_its_keys:
        return None
    # An HTTP client costs 10 MB; a gateway whose keys are put there by hand does without.
    from edge.enrol import Enroller  # noqa: PLC0415 -- see above
    from edge.renewal import Renewal  # noqa: PLC0415 -- as above

    return Renewal(Enroller(config), counts, renewed=uplink.reconnect, changed=again.set)


def _rotating(renewal: "Renewal") -> Handler:
    """Return what carries out an order for new keys; the agent begins anew with them once that is written down."""

    async def rotate(_: RotateKeys) -> dict[str, Any]:
        identity = await renewal.rotate()
        return {"certificate_until_ms": identity.until_ms}

    return rotate


def _seal_key(config: EdgeConfig) -> Callable[[], X25519PrivateKey | None]:
    """Return what gives the key that orders with secrets are sealed to."""
    file = config.keys.seal_key_file
    key = None if file is None else keys.load_seal_key(file)
    return lambda: key


async def _ready(config: EdgeConfig, stop: asyncio.Event) -> EdgeConfig | None:
    """Return the configuration with what enrolment adds, once that is done; None where `stop` was set before."""
    if not config.makes_its_keys:
        return config
    from edge import enrol  # noqa: PLC0415 -- as in _renewal

    asking, stopped = asyncio.ensure_future(enrol.ready(config)), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((asking, stopped), return_when=asyncio.FIRST_COMPLETED)
        return await asking if asking.done() else None
    finally:
        asking.cancel()
        stopped.cancel()
        await asyncio.gather(asking, stopped, return_exceptions=True)


def _gpsd(config: EdgeConfig, track: Whereabouts | None, counts: Counter[str]) -> GpsdClient | None:
    if track is None:
        return None
    device = config.position.gpsd_device(config.detector)
    return GpsdClient(config.position.gpsd, device, track, counts=counts, now_ms=config.clock.now_ms)


async def supervise(config: EdgeConfig, stop: asyncio.Event, vitals: Vitals, *, is_alone: bool = False) -> bool:
    """Run one agent until `stop`; when it fails, say so, wait and start it anew. Return whether to start the program.

    Args:
        config: of the agent.
        stop: set from outside.
        vitals: told what runs and what failed.
        is_alone: an order to restart ends the program, as no other gateway runs in it; otherwise only this agent.
    """
    detector = config.detector
    vitals.failures[detector] = 0
    while not stop.is_set():
        try:
            ready = await _ready(config, stop)
            if ready is None:
                return False
            agent = Agent.open(ready)
            vitals.running[detector] = agent.health
            log.info("agent.started", extra={"detector": detector, "source": config.scan.source.partition(":")[0]})
            await agent.run(stop)
        except (EdgeError, WireError) as error:
            reason = type(error).__name__
            log.error("agent.failed", extra={"detector": detector, "reason": reason})  # noqa: TRY400 -- the kind of error says it all
        except Exception:
            log.exception("agent.crashed", extra={"detector": detector})
        else:
            log.info("agent.ended", extra={"detector": detector, "resumed": not stop.is_set()})
            if stop.is_set():
                return False
            if is_alone and agent.restart.is_set():
                return True
            continue
        finally:
            vitals.running.pop(detector, None)  # its outbox is closed: there is nothing to ask it any more
        vitals.failures[detector] += 1
        await _stop_or_wait(stop, wait_s(vitals.failures[detector], most_s=60.0))
    return False


async def _first_of(*events: asyncio.Event) -> None:
    """Wait until one of the events is set."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()


async def _stop_or_wait(stop: asyncio.Event, limit_s: float) -> None:
    try:
        async with asyncio.timeout(limit_s):
            await stop.wait()
    except TimeoutError:
        pass


async def run_all(configs: list[EdgeConfig], stop: asyncio.Event, vitals: Vitals) -> bool:
    """Run an agent for each configuration until `stop`; return whether the city ordered the only one to restart."""
    is_alone = len(configs) == 1
    async with asyncio.TaskGroup() as agents:
        ends = [agents.create_task(supervise(config, stop, vitals, is_alone=is_alone)) for config in configs]
    return any(end.result() for end in ends)
