"""From closed rows to sealed batches on disk, and the journal of what is not a row yet.

Order matters: first the batch and the journal are on disk, in one transaction, then the radio may forget the packets.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec

from edge.parked import Whereabouts
from edge.scan import Source
from edge.sight import Sight
from wire import batch, seal
from wire.batch import Row
from wire.clock import Clock
from wire.errors import BatchError, OutboxBrokenError, OutboxError
from wire.keys import CityBundle, kid
from wire.merge import Merged, MergeError
from wire.outbox import Outbox
from wire.retry import wait_s

log = logging.getLogger(__name__)

MAX_BATCH_ROWS = 2_000
"""About 70 kB: far below what brokers take, and not too much to send again."""
MAX_BATCH_SPAN_MS = 86_400_000
TELL_MS = 60_000
URGENT_S = 0.1
PAUSE_S = 0.5
"""Wall seconds: urgent rows wait this long for company, and batches keep this distance."""


@dataclass(frozen=True, slots=True)
class Sealer:
    """Signs for one detector, seals for its city."""

    city: CityBundle
    detector: str
    key: ec.EllipticCurvePrivateKey
    clock: Clock

    def header(self, content: str, epoch: int, sequence: int) -> seal.Header:
        """Return the header of a message of ours, stamped now."""
        return seal.Header(
            city=self.city.city,
            detector=self.detector,
            epoch=epoch,
            sequence=sequence,
            sealed_at_ms=self.clock.now_ms(),
            recipient_kid=kid(self.city.seal_key) if content == "sightings" else b"",
            signer_kid=kid(self.key.public_key()),
            content=content,
        )

    def seal_batch(self, payload: bytes, epoch: int, sequence: int) -> bytes:
        """Return a batch in its envelope."""
        header = self.header("sightings", epoch, sequence)
        return seal.seal(payload, header, signer=self.key, recipient=self.city.seal_key)

    def sign_heartbeat(self, payload: bytes, epoch: int, sequence: int) -> bytes:
        """Return a heartbeat in its envelope."""
        return seal.sign(payload, self.header("heartbeat", epoch, sequence), signer=self.key)

    def sign_report(self, payload: bytes, epoch: int, sequence: int) -> bytes:
        """Return an entry of the gateway's log in its envelope."""
        return seal.sign(payload, self.header("report", epoch, sequence), signer=self.key)


@dataclass(slots=True)
class Keeper:
    """Puts away what one detector heard.

    Args:
        beat: called once a round, whether the disk took the last one or not.
        track: where a moving detector is; None for one that stands still.
        put: set after each put, for the uplink.
        hold_s: town seconds that a row of a moving detector waits for a position before it goes without.
    """

    sight: Sight
    outbox: Outbox
    source: Source
    sealer: Sealer
    counts: Counter[str]
    track: Whereabouts | None = None
    hold_s: float = 60.0
    tick_s: float = 1.0
    put: asyncio.Event = field(default_factory=asyncio.Event)
    beat: Callable[[], None] = field(default=lambda: None, repr=False)
    _told_ms: int = field(default=0, repr=False)
    _told_rows: int = field(default=-1, repr=False)
    _journaled: tuple[bytes, int] = field(default=(b"", 0), repr=False)

    def restore(self) -> None:
        """Take up the journal: the rows of the windows that were open when the program ended."""
        state, position = self.outbox.restore()
        try:
            self.sight.merge.load(state)
        except MergeError:
            self.counts["journal_failures"] += 1
            log.error("journal.unreadable", extra={"bytes": len(state)})  # noqa: TRY400 -- the kind of error says it all
        self._journaled = (state, position)

    async def run(self) -> None:
        """Put rows away for ever; when the disk is full, keep them in memory and try again.

        Raises:
            OutboxBrokenError: the file is damaged; whoever opens it anew gets a new one.
        """
        failures = 0
        while True:
            await self._next_moment()
            self.beat()
            try:
                self.keep()
            except OutboxBrokenError:
                raise
            except OutboxError as error:
                failures += 1
                self.counts["put_failures"] += 1
                if failures == 1 or failures % 60 == 0:
                    log.error(  # noqa: TRY400 -- the kind of error says it all
                        "outbox.failed",
                        extra={
                            "detector": self.sealer.detector,
                            "reason": type(error).__name__,
                            "rows": len(self.sight.merge.ready),
                            "attempt": failures,
                        },
                    )
                await asyncio.sleep(wait_s(failures, most_s=10.0))
            else:
                if failures:
                    log.info("outbox.recovered", extra={"detector": self.sealer.detector, "attempts": failures})
                failures = 0

    async def _next_moment(self) -> None:
        await asyncio.sleep(PAUSE_S)
        urgent = self.sight.urgent
        try:
            async with asyncio.timeout(max(self.tick_s - PAUSE_S, URGENT_S)):
                await urgent.wait()
            await asyncio.sleep(URGENT_S)
        except TimeoutError:
            pass
        urgent.clear()

    def keep(self, *, is_final: bool = False) -> None:
        """Put every closed row that may go, journal the rest, release the radio.

        Args:
            is_final: close the windows and wait for no position.

        Raises:
            OutboxError: nothing is lost: rows that were not put are still in memory.
        """
        merge = self.sight.merge
        now_ms = self.sealer.clock.now_ms()
        if is_final:
            merge.close()
        else:
            merge.close_due(now_ms)
        for rows in _bundles(self._may_go(now_ms, is_final=is_final)):
            self._put(rows, now_ms)
        self._journal()
        self._cut_trail(now_ms)
        self._tell_thinned(now_ms)

    def _tell_thinned(self, now_ms: int) -> None:
        """Say what the outbox gave up for want of room, once a minute at most."""
        if abs(now_ms - self._told_ms) < TELL_MS:
            return
        totals = self.outbox.totals()
        if totals.thinned_rows > self._told_rows >= 0 and totals.thinned_from_ms and totals.thinned_to_ms:
            log.warning(
                "outbox.thinned",
                extra={
                    "detector": self.sealer.detector,
                    "rows": totals.thinned_rows - self._told_rows,
                    "total": totals.thinned_rows,
                    "batches": totals.thinned_batches,
                    "seconds": (totals.thinned_to_ms - totals.thinned_from_ms) // 1000,
                },
            )
        self._told_ms, self._told_rows = now_ms, totals.thinned_rows

    def _cut_trail(self, now_ms: int) -> None:
        """Forget where the vehicle was, but for rows that wait or are open, and packets on their way for a window."""
        if self.track is not None:
            oldest_ms, coming_ms = self.sight.merge.oldest_ms(), now_ms - self.sight.merge.window_ms
            self.track.forget(coming_ms if oldest_ms is None else min(oldest_ms, coming_ms))

    def _may_go(self, now_ms: int, *, is_final: bool) -> list[Merged]:
        """Move the rows that wait for a position to the end and return the others, those in haste first."""
        ready = self.sight.merge.ready
        ready.sort(key=lambda row: not row.is_hasty)
        if self.track is None or is_final:
            return list(ready)
        hold_ms = self.hold_s * 1000
        waiting = [
            row
            for row in ready
            if self.track.at(row.best_heard_ms) is None and abs(now_ms - row.last_heard_ms) < hold_ms
        ]
        if waiting:
            kept = {id(row) for row in waiting}
            ready[:] = [row for row in ready if id(row) not in kept] + waiting
        return ready[: len(ready) - len(waiting)]

    def _put(self, rows: list[Merged], now_ms: int) -> None:
        merge = self.sight.merge
        journal = (merge.dump(skip=len(rows)), self.source.position)
        try:
            payload, fitting = batch.encode_fitting([self._row(row) for row in rows])
        except BatchError:
            payload, fitting = b"", 0
        if fitting < len(rows):
            # Kept rows that no batch can hold would block every later one; a fault of ours, so say it loudly.
            log.error("rows.unfit", extra={"detector": self.sealer.detector, "rows": len(rows) - fitting})
            self.counts["rows_unfit"] += len(rows) - fitting
        if fitting:
            self.outbox.put(
                fitting,
                now_ms,
                lambda epoch, sequence: self.sealer.seal_batch(payload, epoch, sequence),
                journal=journal,
                is_urgent=rows[0].is_hasty,
            )
            self.put.set()
        else:
            self.outbox.journal(*journal)
        merge.settle(len(rows))
        self._journaled = journal
        self.source.release(journal[1])

    def _journal(self) -> None:
        journal = (self.sight.merge.dump(), self.source.position)
        if journal != self._journaled:
            self.outbox.journal(*journal)
            self._journaled = journal
        self.source.release(journal[1])

    def _row(self, merged: Merged) -> Row:
        position = None if self.track is None else self.track.at(merged.best_heard_ms)
        return Row(
            kind=merged.kind,
            id=merged.id,
            sealed=merged.sealed,
            rssi_best_dbm=merged.rssi_best_dbm,
            rssi_mean_dbm=merged.rssi_mean_dbm,
            count=merged.count,
            first_heard_ms=merged.first_heard_ms,
            last_heard_ms=merged.last_heard_ms,
            lat_deg=None if position is None else position.lat_deg,
            lon_deg=None if position is None else position.lon_deg,
            position_accuracy_m=None if position is None else position.accuracy_m,
            position_age_s=None if position is None else position.age_s,
            telemetry=merged.telemetry,
        )


def _bundles(rows: list[Merged]) -> list[list[Merged]]:
    """Return the rows in order, in bundles that fit one batch: not too many, not too far apart in time or in haste."""
    bundles: list[list[Merged]] = []
    for row in rows:
        last = bundles[-1] if bundles else None
        if (
            last is None
            or len(last) >= MAX_BATCH_ROWS
            or row.is_hasty != last[0].is_hasty
            or abs(row.first_heard_ms - last[0].first_heard_ms) > MAX_BATCH_SPAN_MS
        ):
            bundles.append([row])
        else:
            last.append(row)
    return bundles
