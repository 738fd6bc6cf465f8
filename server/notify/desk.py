"""One desk for each channel: takes what is due, sends it in a few threads, notes how it went."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from server.notify.metrics import NotifyMetrics
from server.notify.outcome import Backoff, Outcome, Result
from server.store.notices import ERRORS, DueNotice, NoticeStore
from wire.clock import Clock

log = logging.getLogger(__name__)

LEASE_S: Final = 40.0
"""Longer than any attempt takes (connect, answer, a thread that is busy), as short as a crash may delay a notice."""
LOOK_S: Final = 5.0
"""Look for due notices at least this often, should a wake-up get lost."""
FAREWELL_S: Final = 4.0
"""How long what is on its way may take when the process is told to stop."""

_LEAST_REST_S: Final = 0.05
"""What is due may be locked by another notify process: do not spin on it."""

Send = Callable[[DueNotice], Outcome]


@dataclass(frozen=True, slots=True)
class Pace:
    """How a desk works; wall seconds.

    Args:
        at_once: notices on their way at a time, each in a thread.
        lease_s: see `LEASE_S`.
        look_s: see `LOOK_S`.
        backoff: when to try again what was refused.
    """

    at_once: int = 4
    lease_s: float = LEASE_S
    look_s: float = LOOK_S
    backoff: Backoff = field(default_factory=Backoff)


@dataclass(slots=True)
class Desk:
    """Works off the notices of one channel.

    Args:
        channel: "push" or "mail".
        send: blocking; called in a thread.
        dsn: of the database, role notify.
        clock: the town's, for who may know and for how long it took.
    """

    channel: str
    send: Send
    dsn: str
    clock: Clock
    metrics: NotifyMetrics
    pace: Pace = field(default_factory=Pace)
    rng: random.Random = field(default_factory=random.SystemRandom)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    _busy: set[asyncio.Task[None]] = field(default_factory=set)
    _unsettled: list[tuple[DueNotice, Outcome]] = field(default_factory=list)

    async def run(self) -> None:
        """Work until cancelled; what is on its way then is waited for and settled."""
        pool = ThreadPoolExecutor(self.pace.at_once, thread_name_prefix=f"notify-{self.channel}")
        try:
            while True:
                try:
                    await self._open(pool)
                except ERRORS as error:
                    self.metrics.database_errors.inc()
                    log.warning("database.away", extra={"channel": self.channel, "reason": type(error).__name__})
                await asyncio.sleep(self.rng.uniform(0.5, 2.0))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    async def _open(self, pool: ThreadPoolExecutor) -> None:
        store = await NoticeStore.connect(self.dsn)
        try:
            while True:
                self.wake.clear()
                await self._settle(store)
                await self._take(store, pool)
                await self._rest(store)
        except asyncio.CancelledError:
            if self._busy:
                await asyncio.wait(self._busy, timeout=FAREWELL_S)
            with contextlib.suppress(*ERRORS):  # then the lease runs out and the notice is sent again
                await self._settle(store)
            raise
        finally:
            await store.close()

    async def _take(self, store: NoticeStore, pool: ThreadPoolExecutor) -> None:
        free = self.pace.at_once - len(self._busy)
        if free <= 0:
            return
        now_ms = self.clock.now_ms()
        for notice in await store.claim(self.channel, free, lease_s=self.pace.lease_s, town_now_ms=now_ms):
            if notice.is_repeat:
                self.metrics.repeated.labels(self.channel).inc()
            task = asyncio.create_task(self._attempt(notice, pool))
            self._busy.add(task)
            self.metrics.in_flight.labels(self.channel).inc()

    async def _rest(self, store: NoticeStore) -> None:
        """Wait for a wake-up, but not past the next notice that is due."""
        rest_s = self.pace.look_s
        if len(self._busy) < self.pace.at_once:
            due_s = await store.next_due_s(self.channel)
            rest_s = rest_s if due_s is None else max(_LEAST_REST_S, min(rest_s, due_s))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(rest_s):
                await self.wake.wait()

    async def _attempt(self, notice: DueNotice, pool: ThreadPoolExecutor) -> None:
        try:
            outcome = await asyncio.get_running_loop().run_in_executor(pool, self._guarded, notice)
            self._unsettled.append((notice, outcome))
        finally:
            task = asyncio.current_task()
            if task:
                self._busy.discard(task)
            self.metrics.in_flight.labels(self.channel).dec()
            self.wake.set()

    def _guarded(self, notice: DueNotice) -> Outcome:
        if not notice.may_know:
            return Outcome(Result.REFUSED, "no-right")
        try:
            return self.send(notice)
        except Exception:  # the loop of this task: one notice that we cannot send must not stop the others
            log.exception("notice.broke", extra={"channel": self.channel})
            return Outcome(Result.RETRY, "broke")

    async def _settle(self, store: NoticeStore) -> None:
        """Write down how attempts ended; what the database does not take is kept for the next connection."""
        while self._unsettled:
            await self._note(store, *self._unsettled[0])
            del self._unsettled[0]

    async def _note(self, store: NoticeStore, notice: DueNotice, outcome: Outcome) -> None:
        wait_s = None
        if outcome.result is Result.RETRY:
            wait_s = self.pace.backoff.wait_s(notice.attempts, self.rng, outcome.retry_after_s)
        if outcome.result is Result.GONE and notice.subscription_id is not None:
            await store.drop_subscription(notice.subscription_id)
            self.metrics.gone.inc()
        is_sent = outcome.result is Result.SENT
        state = "sent" if is_sent else "failed" if wait_s is None else "pending"
        if not await store.settle(notice, state, retry_in_s=wait_s or 0.0):
            log.warning("lease.lost", extra={"channel": self.channel, "attempts": notice.attempts})
            return
        self._count(notice, outcome, state)

    def _count(self, notice: DueNotice, outcome: Outcome, state: str) -> None:
        facts = {"channel": self.channel, "reason": outcome.reason, "attempts": notice.attempts}
        if state == "sent":
            self.metrics.sent.labels(self.channel).inc()
            waited_s = self.clock.wall_s((self.clock.now_ms() - notice.received_at_ms) / 1000)
            self.metrics.latency_s.labels(self.channel).observe(max(0.0, waited_s))
        elif state == "failed":
            self.metrics.failed.labels(self.channel, outcome.reason).inc()
            log.warning("notice.failed", extra=facts)
        else:
            self.metrics.retried.labels(self.channel, outcome.reason).inc()
            log.info("notice.retried", extra=facts)
