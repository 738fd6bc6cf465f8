"""How many batches may be posted: of one detector, and of all together."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter

from server.errors import ServerError

_ALL: Final = "all"


class TooManyBatchesError(ServerError):
    """Too many batches of this detector, or in all. May be tried again.

    Attributes:
        retry_after_s: seconds until the next one is taken.
    """

    def __init__(self, retry_after_s: int) -> None:
        super().__init__()
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How often batches may be posted, in the notation of `limits`.

    A phone posts one every few seconds, and one after the other while it catches up.

    Attributes:
        per_detector: of one detector, as its envelope claims: nothing is verified yet.
        overall: of everybody.
    """

    per_detector: str = "1200 per minute"
    overall: str = "30000 per minute"


class BatchRates:
    """Counts batches against the limits."""

    def __init__(self, limits: BatchLimits) -> None:
        self._per_detector = parse(limits.per_detector)
        self._overall = parse(limits.overall)
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    async def spend(self, detector: str) -> None:
        """Count one batch of a detector.

        Raises:
            TooManyBatchesError: it is over a limit; a detector that is over its own uses up nobody else's.
        """
        if not await self._limiter.hit(self._per_detector, "detector", detector):
            raise TooManyBatchesError(await self._wait_s(self._per_detector, "detector", detector))
        if not await self._limiter.hit(self._overall, _ALL):
            raise TooManyBatchesError(await self._wait_s(self._overall, _ALL))

    async def _wait_s(self, limit: RateLimitItem, *key: str) -> int:
        stats = await self._limiter.get_window_stats(limit, *key)
        return max(1, round(stats.reset_time - time.time()))
