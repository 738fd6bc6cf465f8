"""One gateway, wired together; and a process that hosts many, none of which takes another down."""

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from edge import parts
from edge.condition import CameraVitals, Gauges
from edge.config import EdgeConfig
from edge.errors import EdgeError, JournalBrokenError, JournalError
from edge.health import Health, Vitals, software
from edge.journal import FILE, Journal
from edge.keep import Keeper, Sealer
from edge.lanes import Handler
from edge.orders import Desk
from edge.position import GpsdClient
from edge.reports import Reports
from edge.scan import Source, open_source
from edge.sight import Sight
from edge.uplink import Uplink
from wire.errors import OutboxError, WireError
from wire.merge import Merge
from wire.orders import Command, Restart, RotateKeys
from wire.outbox import Outbox
from wire.retry import wait_s

if TYPE_CHECKING:
    from edge.camera.filming import Filming
    from edge.camera.leftover import Leftover
    from edge.renewal import Renewal

log = logging.getLogger(__name__)

KEEPER_HANGS_S = 90.0
"""Wall seconds without a round of the keeper; there is one a second, and one in ten on a failing disk."""
CAMERA_HANGS_S = 60.0
"""Wall seconds in which the recording thread neither takes a picture nor finds that there is none."""
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
    leftover: "Leftover | None" = None
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
        sealer = parts.sealer(config)
        with contextlib.ExitStack() as opened:
            outbox = opened.enter_context(parts.outbox(config))
            journal = opened.enter_context(Journal.open(config.state_dir / FILE))
            agent = cls._wired(config, sealer, outbox, journal)
            opened.pop_all()
        return agent

    @classmethod
    def _wired(cls, config: EdgeConfig, sealer: Sealer, outbox: Outbox, journal: Journal) -> Self:
        merge = Merge(round(config.scan.window_s * 1000), max_rows=config.scan.max_rows)
        sight = Sight(config.formats, merge)
        track = parts.whereabouts(config.position)
        gauges = Gauges(
            state_dir=config.state_dir,
            whereabouts=track,
            order_sequence=parts.newest_order(journal),
            certificate_until_ms=parts.certificate_end(config),
        )
        health = Health(config.detector, sight, outbox, gauges=gauges)
        health.counts["outboxes_renewed"] = int(outbox.broken_file is not None)
        health.counts["journals_renewed"] = int(journal.broken_file is not None)
        source = open_source(config, sight, health.counts, position=outbox.restore()[1])
        keeper = Keeper(sight, outbox, source, sealer, health.counts, track=track, hold_s=config.position.max_age_s)
        keeper.beat = health.pulses.add("keeper", KEEPER_HANGS_S)
        keeper.restore()
        filming = parts.filming(config, sealer, journal)
        handlers: dict[type[Command], Handler] = {} if filming is None else filming.handlers()
        if filming is not None:
            gauges.camera, health.camera_counts = filming.vitals, filming.counts
            filming.camera.beat = health.pulses.add("camera", CAMERA_HANGS_S)
        elif config.camera.url:
            gauges.camera = lambda: CameraVitals("unreadable")
        desk = Desk(sealer.city, config.detector, journal, handlers, health.counts, seal_key=parts.seal_key(config))
        reports = Reports(journal, sealer.sign_report, config.broker.receipt_timeout_s)
        uplink = Uplink(config.broker, sealer, outbox, health, keeper.put, parts.window(config), desk, reports)
        again = asyncio.Event()
        gpsd, renewal = parts.gpsd(config, track, health.counts), parts.renewal(config, uplink, health.counts, again)
        if renewal is not None:
            handlers[RotateKeys] = parts.rotating(renewal)
        return cls(
            config,
            outbox,
            source,
            keeper,
            uplink,
            health,
            gpsd,
            journal,
            handlers,
            renewal,
            filming,
            parts.leftover(config, sealer, journal),
            again=again,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`, an order or other keys end it; then put away what was heard, publish for a moment, end."""
        try:
            self._say_started()
            async with asyncio.TaskGroup() as tasks:
                lasting = [
                    tasks.create_task(part) for part in (self.uplink.run(), self.uplink.desk.run(), self.health.run())
                ]
                also = (self.gpsd, self.renewal, self.filming, self.leftover)
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
            ready = await parts.ready(config, stop)
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
