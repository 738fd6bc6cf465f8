"""From what was heard to sealed batches on disk: the only thing about tags that a phone ever writes down.

A batch and the radio's position go to disk in one transaction, with every window closed; only then may the radio forget
the packets. So a radio that repeats loses nothing when the phone is killed, and the disk never holds an open window.
"""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Final

from mobile_detector.ear import Ear
from mobile_detector.scan import Radio
from mobile_detector.tokens import Name
from wire import batch
from wire.batch import Batch, Row
from wire.clock import Clock
from wire.errors import OutboxBrokenError, OutboxError, WireError
from wire.merge import Merged
from wire.outbox import Outbox
from wire.retry import wait_s

log = logging.getLogger(__name__)

LEAST_S: Final = 1.0
"""Wall seconds between batches, however fast the town runs."""
HASTE_S: Final = 0.2
"""Wall seconds that a row in haste waits for company."""
MAX_BATCH_ROWS: Final = 2_000


@dataclass(slots=True)
class Keeper:
    """Puts away what one phone heard.

    Args:
        window_s: town seconds between batches while nothing is in haste.
        put: set after each put, for the uplink.
    """

    ear: Ear
    radio: Radio
    outbox: Outbox
    name: Name
    clock: Clock
    window_s: float
    put: asyncio.Event = field(default_factory=asyncio.Event)
    haste: asyncio.Event = field(default_factory=asyncio.Event)
    failures: int = 0

    async def run(self) -> None:
        """Put rows away for ever; while the disk is full they wait in memory, where their number is bounded.

        Raises:
            OutboxBrokenError: the file is damaged; whoever opens it anew gets a new one.
        """
        while True:
            await self._next_moment()
            try:
                self.keep()
                self.failures = 0
            except OutboxBrokenError:
                raise
            except OutboxError as error:
                self.failures += 1
                log.error("outbox.failed", extra={"reason": type(error).__name__, "attempt": self.failures})  # noqa: TRY400 -- the kind of error says it all
                await asyncio.sleep(wait_s(self.failures, most_s=10.0))

    async def _next_moment(self) -> None:
        await asyncio.sleep(LEAST_S)
        try:
            async with asyncio.timeout(max(0.0, self.clock.wall_s(self.window_s) - LEAST_S)):
                await self.haste.wait()
            await asyncio.sleep(HASTE_S)
        except TimeoutError:
            pass
        self.haste.clear()

    def keep(self) -> None:
        """Close every window, put the rows, release the radio.

        Raises:
            OutboxError: nothing is lost: the rows are still in memory, and the radio keeps the packets.
        """
        position = self.radio.position
        waiting = self.ear.close()
        while waiting:
            some, waiting = waiting[:MAX_BATCH_ROWS], waiting[MAX_BATCH_ROWS:]
            # Only with the last rows may the radio forget: the others of these packets are still in memory.
            self._put(some, position if not waiting else None)
        self.radio.release(position)

    def _put(self, some: list[Merged], position: int | None) -> None:
        rows = [row for row in map(self.ear.row, some) if row is not None]
        journal = None if position is None else (b"", position)
        if rows:
            self._put_rows(rows, journal)
        elif journal is not None:
            self.outbox.journal(*journal)
        self.ear.merge.settle(len(some))

    def _put_rows(self, rows: list[Row], journal: tuple[bytes, int] | None) -> None:
        try:
            payload = batch.encode(Batch.from_rows(rows))
            now_ms = self.clock.now_ms()
            self.outbox.put(
                len(rows),
                now_ms,
                lambda epoch, sequence: self.name.seal_batch(payload, epoch, sequence),
                journal=journal,
            )
        except OutboxError:
            raise
        except WireError:
            # Rows that no batch can hold would block every later one; this is a fault of ours, so say it loudly.
            log.exception("rows.unfit", extra={"rows": len(rows)})
            return
        self.put.set()
