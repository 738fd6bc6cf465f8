"""The gateway's log on its way to the city: a few entries outstanding, each sent again until a receipt names it."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from edge.errors import JournalBrokenError, JournalError
from edge.journal import Journal
from wire.messages import Receipt
from wire.retry import stop_if_cancelled, wait_s

log = logging.getLogger(__name__)

MAX_OUTSTANDING: Final = 8
MAX_OUTSTANDING_OCTETS: Final = 400_000
_LOOK_S: Final = 30.0


@dataclass(slots=True)
class Reports:
    """Sends the journal of one gateway.

    Args:
        journal: what is sent.
        sign: returns the envelope of an encoded entry: called with it, the epoch and the sequence.
        timeout_s: wall seconds until an entry without a receipt is sent again; doubles while none comes.
    """

    journal: Journal
    sign: Callable[[bytes, int, int], bytes]
    timeout_s: float = 10.0
    _due_s: dict[int, float] = field(default_factory=dict, init=False)
    _attempts: int = field(default=0, init=False)
    _wake: asyncio.Event = field(default_factory=asyncio.Event, init=False, repr=False)
    _settled: asyncio.Event = field(default_factory=asyncio.Event, init=False, repr=False)

    async def run(self, publish: Callable[[bytes], Awaitable[None]]) -> None:
        """Send for as long as the connection of `publish` lives.

        The newest entry goes once more, even if the city has it: so it hears that we are back and sends its orders.
        """
        loop = asyncio.get_running_loop()
        self.journal.added = lambda: _wake_from_anywhere(loop, self._wake)
        self._due_s.clear()  # of another connection
        self._greet()
        while True:
            self._wake.clear()
            for sequence, encoded in self._next():
                self._due_s[sequence] = time.monotonic() + self._patience_s()
                await publish(self.sign(encoded, self.journal.epoch, sequence))
                stop_if_cancelled()
            await self._wait()

    def _greet(self) -> None:
        try:
            for entry in self.journal.tail(1):
                self.journal.send_again(entry.sequence)
        except JournalBrokenError:
            raise
        except JournalError as error:  # the disk is full: orders come a little later, nothing else suffers
            log.warning("journal.failed", extra={"reason": type(error).__name__})

    def take(self, receipt: Receipt) -> int:
        """Settle what a receipt names, refused or not: the city has it; return how many it refused."""
        named = (*receipt.accepted, *(sequence for sequence, _ in receipt.refused))
        self.journal.settle(named)
        for sequence in named:
            self._due_s.pop(sequence, None)
        self._attempts = 0
        self._wake.set()
        self._settled.set()
        return len(receipt.refused)

    async def drained(self, limit_s: float) -> bool:
        """Wait until every entry is receipted, `limit_s` wall seconds at most; return whether it is so."""
        try:
            async with asyncio.timeout(limit_s):
                while self.journal.unsent(1):
                    self._settled.clear()
                    await self._settled.wait()
        except TimeoutError:
            return False
        return True

    def _next(self) -> list[tuple[int, bytes]]:
        """Return what is to be sent now: the oldest entries, but for those that may still be answered.

        Once an answer failed to come, one at a time until one comes: a city that is late is not helped by more.
        """
        now_s = time.monotonic()
        unsent = self.journal.unsent(MAX_OUTSTANDING)
        if any(self._due_s.get(sequence, now_s + 1) <= now_s for sequence, _ in unsent):
            self._attempts += 1
        chosen: list[tuple[int, bytes]] = []
        octets = 0
        for sequence, encoded in unsent[: self._width()]:
            octets += len(encoded)
            if chosen and octets > MAX_OUTSTANDING_OCTETS:
                break
            if self._due_s.get(sequence, 0.0) <= now_s:
                chosen.append((sequence, encoded))
        return chosen

    def _patience_s(self) -> float:
        return self.timeout_s + (wait_s(self._attempts, most_s=300.0) if self._attempts else 0.0)

    def _width(self) -> int:
        return 1 if self._attempts else MAX_OUTSTANDING

    async def _wait(self) -> None:
        now_s = time.monotonic()
        due_s = self._due_s
        waiting = [due_s[sequence] for sequence, _ in self.journal.unsent(self._width()) if sequence in due_s]
        limit_s = max(0.01, min(waiting) - now_s) if waiting else _LOOK_S
        try:
            async with asyncio.timeout(limit_s):
                await self._wake.wait()
        except TimeoutError:
            pass


def _wake_from_anywhere(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    """Set `event`; the camera writes into the journal from a thread of its own, perhaps after the loop's end."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(event.set)
