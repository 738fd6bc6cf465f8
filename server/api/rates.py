"""How many batches may be posted and certificates asked for: of one detector or sender, and of all together."""

from __future__ import annotations

import time
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter

from server.errors import ServerError

_ALL: Final = "all"


class TooManyError(ServerError):
    """Too many of this detector or sender, or in all. May be tried again.

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
            TooManyError: it is over a limit; a detector that is over its own uses up nobody else's.
        """
        if not await self._limiter.hit(self._per_detector, "detector", detector):
            raise TooManyError(await _wait_s(self._limiter, self._per_detector, "detector", detector))
        if not await self._limiter.hit(self._overall, _ALL):
            raise TooManyError(await _wait_s(self._limiter, self._overall, _ALL))


@dataclass(frozen=True, slots=True)
class EnrolmentLimits:
    """How often gateways may ask for a certificate, in the notation of `limits`.

    Attributes:
        per_detector: for one detector, as the request claims, from one client: nobody uses up another's.
        per_client: from one address, or one IPv6 network of 64 bits; a city's gateways may share one.
        overall: of everybody.
    """

    per_detector: str = "10 per minute"
    per_client: str = "120 per minute"
    overall: str = "600 per minute"


class EnrolmentRates:
    """Counts requests for certificates against the limits; addresses are forgotten with their minute."""

    def __init__(self, limits: EnrolmentLimits) -> None:
        self._limits = {
            "client": parse(limits.per_client),
            "detector": parse(limits.per_detector),
            "all": parse(limits.overall),
        }
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    async def spend(self, detector: str, address: str) -> None:
        """Count one request.

        Raises:
            TooManyError: it is over a limit.
        """
        network = _network(address)
        keys = {"client": network, "detector": f"{detector} {network}", "all": _ALL}
        for name, limit in self._limits.items():
            if not await self._limiter.hit(limit, "enrolment", name, keys[name]):
                raise TooManyError(await _wait_s(self._limiter, limit, "enrolment", name, keys[name]))


def _network(address: str) -> str:
    """Return what one sender cannot leave: its address, or with IPv6 the 64 bits that it was given."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:  # a test's, or a Unix socket's
        return address
    return parsed.exploded[:19] if isinstance(parsed, IPv6Address) else address


async def _wait_s(limiter: FixedWindowRateLimiter, limit: RateLimitItem, *key: str) -> int:
    stats = await limiter.get_window_stats(limit, *key)
    return max(1, round(stats.reset_time - time.time()))
