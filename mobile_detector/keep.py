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
from wire.batch import Row
from wire.clock import Clock
from wire.errors import BatchError, OutboxBrokenError, OutboxError
from wire.outbox import Outbox
from wire.retry import wait_s

log = logging.getLogger(__name__)

LEAST_S: Final = 1.0
"""Wall seconds between batches, however fast the town runs."""
HASTE_S: Final = 0.2
"""Wall seconds that a row in haste waits for company."""


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
        if waiting:
            rows = [row for row in map(self.ear.row, waiting) if row is not None]
            self._put(rows, (b"", position), is_urgent=any(row.is_hasty for row in waiting))
            self.ear.merge.settle(len(waiting))
        self.radio.release(position)

    def _put(self, rows: list[Row], journal: tuple[bytes, int], *, is_urgent: bool) -> None:
        """Put all rows in one batch with the position: of rows put without it, a kill would bring the packets again."""
        try:
            payload, fitting = batch.encode_fitting(rows)
        except BatchError:
            payload, fitting = b"", 0
        if fitting < len(rows):
            # Kept rows that no batch can hold would block every later one; a fault of ours, so say it loudly.
            log.error("rows.unfit", extra={"rows": len(rows) - fitting})
        if fitting:
            self.outbox.put(
                fitting,
                self.clock.now_ms(),
                lambda epoch, sequence: self.name.seal_batch(payload, epoch, sequence),
                journal=journal,
                is_urgent=is_urgent,
            )
            self.put.set()
        else:
            self.outbox.journal(*journal)
