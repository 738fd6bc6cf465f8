"""The ingest process: fetch, open, commit, receipt, for ever, whatever breaks on either side.

Three micro-batches are in hand at a time: one is fetched and opened while another is thought through by the core and a
third is written. Should anything go wrong, those not known to be committed are worked off one after the other.

While the database is away nothing is receipted, so the detectors keep what they have; memory holds at most what the
source allows. After any failed transaction the state is read again from the database: it is the only truth.
"""

import asyncio
import contextlib
import gc
import logging
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from server.config import ServerConfig
from server.core.engine import Engine
from server.credentials import Credentials
from server.exposition import exposed
from server.history.keyring import KeyRing
from server.history.sealing import Sealer
from server.ingest import roster as rosters
from server.ingest.clocks import TOLERANCE_MS
from server.ingest.desk import Desk, detector_clocks
from server.ingest.metrics import Metrics
from server.ingest.open import Opener, Refused
from server.ingest.page import Done, Page, write
from server.ingest.parcel import Opening, Parcel, Work
from server.ingest.receipts import Signer
from server.ingest.source import MqttSource, Received, Source
from server.registry.kek import load as load_kek
from server.store import health, retention, worker
from server.store import roster as store_roster
from server.store.batch import Key
from server.store.connection import Connection, DatabaseError, connect, is_connection_lost
from server.store.errors import StaleRosterError
from wire.clock import Clock
from wire.keys import load_seal_key, load_signing_key

log = logging.getLogger(__name__)

SWEEP_EVERY_MS: Final = 3_600_000
"""Town time between two runs of retention."""
IDLE_S: Final = 1.0
"""How often to look after the rest when nothing arrives: places are found when their ten seconds are over."""
LOCK_RETRY_S: Final = 1.0
MAX_RETRY_S: Final = 5.0
_LOG_EVERY_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A parcel that is being written."""

    parcel: Parcel
    commit: asyncio.Task[None]


@dataclass(slots=True)
class Ingest:
    """The process and what it holds between two transactions.

    Args:
        config: of the server.
        kek: opens the tags' keys.
        signer: of receipts.
        metrics: counters.
    """

    config: ServerConfig
    kek: bytes
    signer: Signer
    metrics: Metrics
    _opening: Opening
    _sealer: Sealer
    _desk: Desk | None = None
    _swept_ms: int | None = None
    _under_way: UnderWay | None = None
    _receipts: asyncio.Task[None] | None = None
    _refusals: dict[str, int] = field(default_factory=dict)
    _logged_s: float = 0.0

    @property
    def clock(self) -> Clock:
        """Town time."""
        return self.config.clock

    async def prepare(self, source: Source) -> Parcel:
        """Wait for the next messages and open them."""
        messages = await source.fetch()
        opening = self._opening  # another one may be in its place when this one is done
        work = asyncio.create_task(asyncio.to_thread(opening.open, messages))
        await asyncio.wait({work})  # an error of it is met where the parcel is worked off
        return Parcel(messages, opening.version, work)

    async def work_off(self, parcel: Parcel, source: Source) -> None:
        """Commit and receipt the messages of `parcel`, however often the database has to be asked.

        A message whose transaction fails for its own sake is let go without a receipt, alone.
        """
        attempt = 0
        while True:
            try:
                await self._by_now(parcel, source)
            except Exception as error:
                await self.close()
                if is_connection_lost(error) or (isinstance(error, DatabaseError) and not parcel.messages):
                    attempt += 1
                    await self._pause(attempt)
                elif parcel.messages:
                    parcel = Parcel(await self._apart(parcel.messages, source))
                else:
                    raise
            else:
                return

    async def _apart(self, messages: Sequence[Received], source: Source) -> Sequence[Received]:
        """Work off messages one by one; return those that are left when the connection is lost on the way."""
        for number, message in enumerate(messages):
            try:
                await self._by_now(Parcel([message]), source)
            except Exception as error:
                await self.close()
                if is_connection_lost(error):
                    return messages[number:]
                self.metrics.batches.labels("failed").inc()
                log.exception("batch.failed", extra={"bytes": len(message.payload)})
        return []

    async def _by_now(self, parcel: Parcel, source: Source) -> None:
        """Commit and receipt `parcel` by the registry of now, however often that changes on the way."""
        while True:
            with contextlib.suppress(StaleRosterError):  # the desk is made anew for it
                await self._once(parcel, source)
                return

    async def _once(self, parcel: Parcel, source: Source) -> None:
        desk = await self._ready()
        if parcel.messages:
            work = await self._opened(parcel)
        elif desk.engine.is_waiting:
            work = Work([], [], [], self.clock.now_ms())
        else:
            return
        await self._commit(desk, await desk.think(work, _nothing), source)

    async def take_up(self, parcel: Parcel, source: Source) -> None:
        """Think `parcel` through while the one before it is written, and begin to write it."""
        try:
            is_begun = await self._begin(parcel, source)
        except StaleRosterError:
            await self._give_back(parcel, source)
        except DatabaseError as error:
            log.info("ingest.again", extra={"error": type(error).__name__})
            await self._give_back(parcel, source, is_lost=True)
        except Exception:
            log.exception("ingest.again")
            await self._give_back(parcel, source, is_lost=True)
        else:
            if not is_begun:
                await self.work_off(parcel, source)

    async def _begin(self, parcel: Parcel, source: Source) -> bool:
        """Begin to write `parcel` and return True; False: nothing is under way, nothing was begun."""
        desk = self._desk
        if desk is None or not parcel.messages:
            await self.finish()
            return False
        page = await desk.think(await self._opened(parcel), self.finish)
        await self.finish()
        await self._sweep(desk.conn)
        await self._seal(desk.conn)
        self._under_way = UnderWay(parcel, asyncio.create_task(self._commit(desk, page, source)))
        return True

    async def finish(self) -> None:
        """Wait until what is under way is committed.

        Raises:
            Exception: it was not, and is still under way.
        """
        if self._under_way is not None:
            await self._under_way.commit
            self._under_way = None

    async def _give_back(self, parcel: Parcel, source: Source, *, is_lost: bool = False) -> None:
        """Work off what is under way, then `parcel`, with all the patience there is.

        What was committed after all is known by the database, and only receipted again.

        Args:
            parcel: to be worked off last.
            source: for the receipts.
            is_lost: the connection, or what was made of it, is of no use any more.
        """
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            await asyncio.gather(under_way.commit, return_exceptions=True)
        if is_lost:
            await self.close()
        if under_way is not None:
            await self.work_off(under_way.parcel, source)
        await self.work_off(parcel, source)

    async def _commit(self, desk: Desk, page: Page, source: Source) -> None:
        started_s = time.monotonic()
        done = await write(desk.conn, page, desk.roster)
        self._count(done)
        self.metrics.commit.observe(time.monotonic() - started_s)
        await self.settle()
        self._receipts = asyncio.create_task(self._receipt(page.accepted, page.work.refused, source))

    async def _receipt(self, accepted: Sequence[Key], refused: Sequence[Refused], source: Source) -> None:
        await source.publish(await asyncio.to_thread(self.signer.sign, accepted, refused, self.clock.now_ms()))

    async def settle(self) -> None:
        """Wait until the receipts of what was committed are on their way; the next commit need not wait for them."""
        receipts, self._receipts = self._receipts, None
        if receipts is not None:
            await receipts

    async def _opened(self, parcel: Parcel) -> Work:
        """Return what messages say by the roster of now: who was enrolled when they came may be revoked."""
        if parcel.work is not None and parcel.version == self._opening.version:
            return await parcel.work
        return await asyncio.to_thread(self._opening.open, parcel.messages)

    async def _ready(self) -> Desk:
        """Return the desk, made anew when there is none or the registry has changed."""
        if self._desk is None:
            self._desk = await self._set_up(await self._connect())
        elif await store_roster.version(self._desk.conn) != self._desk.roster.version:
            self._desk = await self._set_up(self._desk.conn)
        await self._sweep(self._desk.conn)
        await self._seal(self._desk.conn)
        return self._desk

    async def _connect(self) -> Connection:
        conn = await connect(self.config.dsn("ingest"))
        try:
            while not await worker.try_lock(conn):
                log.info("ingest.spare")
                await asyncio.sleep(LOCK_RETRY_S)
            await self._sweep(conn, is_forced=True)
        except BaseException:
            await conn.close()
            raise
        return conn

    async def _set_up(self, conn: Connection) -> Desk:
        started_s = time.monotonic()
        try:
            with _without_collections():
                roster, kept = await rosters.load(conn, self.config.city.id, self.kek, speed=self.clock.speed)
                tolerance_ms = round(TOLERANCE_MS * max(1.0, self.clock.speed))
                clocks = detector_clocks(await health.clocks(conn), tolerance_ms)
                engine = await asyncio.to_thread(Engine, roster.city, kept)
        except BaseException:
            await conn.close()
            raise
        if self._desk is not None:
            clocks = {**clocks, **self._desk.clocks}
            self._desk.engine.close()
        opener = replace(self._opening.opener, detectors=roster.detectors)
        self._opening = Opening(opener, roster.version)
        self.metrics.database_up.set(1)
        elapsed_ms = round((time.monotonic() - started_s) * 1000)
        counts = {"detectors": len(roster.detectors), "tags": len(roster.tag_ids), "elapsed_ms": elapsed_ms}
        log.info("ingest.ready", extra=counts)
        return Desk(conn, roster, engine, tolerance_ms, clocks)

    async def _sweep(self, conn: Connection, *, is_forced: bool = False) -> None:
        now_ms = self.clock.now_ms()
        if not is_forced and self._swept_ms is not None and now_ms - self._swept_ms < SWEEP_EVERY_MS:
            return
        swept = await retention.sweep(conn, now_ms)
        self._swept_ms = now_ms
        await self._sealer.plan(conn, now_ms)
        self.metrics.partitions_dropped.inc(swept.partitions_dropped)
        log.info("retention.swept", extra={"partitions": swept.partitions_dropped, "rows": swept.rows_deleted})

    async def _seal(self, conn: Connection) -> None:
        """Move a few of the hours that are over into the sealed history; the rest waits for the next time."""
        before = self._sealer.counts.hours
        await self._sealer.work(conn)
        if hours := self._sealer.counts.hours - before:
            self.metrics.sealed_hours.inc(hours)
            log.info("history.sealed", extra={"count": hours})

    def _count(self, done: Done) -> None:
        metrics, page, work = self.metrics, done.page, done.page.work
        metrics.messages.labels("heartbeat").inc(len(work.beats))
        metrics.messages.labels("sightings").inc(len(work.opened))
        for refusal in work.refused:
            metrics.refused.labels(refusal.reason).inc()
        metrics.refused.labels("stale").inc(page.stale)
        metrics.batches.labels("accepted").inc(len(page.fresh))
        metrics.batches.labels("duplicate").inc(len(work.opened) - len(page.fresh))
        metrics.batches.labels("refused").inc(len(work.refused))
        for result in ("stored", "unknown", "suspicious", "expired"):
            metrics.sightings.labels(result).inc(int(getattr(page.cursors, result).sum()))
        metrics.rows.inc(len(page.found.sightings))
        metrics.corrected.inc(page.corrected)
        metrics.fixes.labels("placed").inc(len(page.found.placed))
        metrics.fixes.labels("doubtful").inc(len(page.found.doubtful))
        for told in done.events:
            metrics.events.labels(told.kind.value).inc()
        metrics.notices.inc(done.notices)
        now_ms = self.clock.now_ms()
        for opened in page.fresh:
            metrics.latency.observe(max(0.0, self.clock.wall_s((now_ms - opened.header.sealed_at_ms) / 1000)))
        self._log_refusals(work.refused)

    def _log_refusals(self, refused: Iterable[Refused]) -> None:
        """Say once in a while what is refused and why: a flood of bad messages must not become a flood of lines."""
        for refusal in refused:
            self._refusals[refusal.reason] = self._refusals.get(refusal.reason, 0) + 1
        if self._refusals and time.monotonic() - self._logged_s >= _LOG_EVERY_S:
            log.warning("messages.refused", extra={"reasons": dict(self._refusals)})
            self._refusals.clear()
            self._logged_s = time.monotonic()

    async def _pause(self, attempt: int) -> None:
        self.metrics.database_up.set(0)
        self.metrics.retries.inc()
        delay_s = random.uniform(0.05, min(MAX_RETRY_S, 0.1 * 2 ** min(attempt, 10)))  # noqa: S311 - a pause
        log.warning("database.lost", extra={"attempt": attempt, "delay_s": round(delay_s, 2)})
        await asyncio.sleep(delay_s)

    async def close(self) -> None:
        """Let go of the connection and of all state that came with it."""
        desk, self._desk = self._desk, None
        await self._sealer.ring.close()
        if desk is not None:
            with contextlib.suppress(DatabaseError, OSError):
                await desk.close()


@contextlib.contextmanager
def _without_collections() -> Iterator[None]:
    """Collect no garbage while objects by the million are made to stay, and none of them afterwards."""
    gc.unfreeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


async def _nothing() -> None:
    """Nothing else uses the database."""


async def _serve(ingest: Ingest, source: Source) -> None:
    """Work off what arrives, and nothing once in a while, so that retention and the registry are looked after too."""
    await ingest.work_off(Parcel([]), source)
    coming = asyncio.create_task(ingest.prepare(source))
    try:
        while True:
            done, _ = await asyncio.wait({coming}, timeout=IDLE_S)
            parcel = Parcel([])
            if done:
                parcel, coming = coming.result(), asyncio.create_task(ingest.prepare(source))
            await ingest.take_up(parcel, source)
    finally:
        coming.cancel()


def make(config: ServerConfig, metrics: Metrics) -> Ingest:
    """Return the process for a configuration.

    Raises:
        KeysError: a key file is missing.
        wire.errors.KeyFileError: likewise.
    """
    kek = load_kek(config.keys_dir / "kek.bin")
    signer = Signer(config.city.id, load_signing_key(config.keys_dir / "receipt.pem"))
    opener = Opener(config.city.id, {}, load_seal_key(config.keys_dir / "seal.pem"))
    sealer = Sealer(KeyRing(config.keystore_dsn("ingest"), load_kek(config.keys_dir / "history.bin")))
    return Ingest(config, kek, signer, metrics, Opening(opener, None), sealer)


async def run(config: ServerConfig) -> None:
    """Take in sightings until cancelled.

    Raises:
        KeysError: a key file is missing, or not the one that the database was filled under.
        ServerError: the port of the metrics is taken.
    """
    metrics = Metrics()
    ingest = make(config, metrics)
    credentials = Credentials.of(config, "ingest")
    source = MqttSource(config.mqtt_url(), config.city.id, clock=config.clock, metrics=metrics, credentials=credentials)
    with exposed(metrics.registry, config.ingest.metrics_port):
        try:
            async with source.running():
                await _serve(ingest, source)
        finally:
            await ingest.close()
