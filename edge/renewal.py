"""Keeps a gateway's certificate in force: renewed after two thirds of its life, tried for as long as it takes."""

import asyncio
import datetime as dt
import logging
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from edge.credentials import Identity
from edge.enrol import Enroller
from edge.errors import EnrolError
from wire.retry import wait_s

log = logging.getLogger(__name__)

DUE_SHARE: Final = 2 / 3
SPREAD_SHARE: Final = 0.05
"""Gateways that were put up on one day do not all renew in one minute."""
LOOK_S: Final = 60.0
MOST_WAIT_S: Final = 3_600.0


@dataclass(slots=True)
class Renewal:
    """Renews the certificate of one gateway.

    Args:
        enroller: asks the city.
        counts: of the gateway's health.
        renewed: told of a new certificate for the same keys and the same city: reconnect with it.
        changed: told of new keys or another city.json: whoever holds a key has to be made anew.
        look_s: wall seconds between two looks at the clock; it may jump, so that no long sleep is trusted.
    """

    enroller: Enroller
    counts: Counter[str]
    renewed: Callable[[], None]
    changed: Callable[[], None]
    look_s: float = LOOK_S
    _spread: float = field(default_factory=lambda: random.uniform(0, SPREAD_SHARE), init=False)  # noqa: S311 -- spreads load
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock, init=False, repr=False)

    async def run(self) -> None:
        """Renew whenever it is due, for ever."""
        failures = 0
        while True:
            if not self.is_due():
                await asyncio.sleep(self.look_s)
                continue
            try:
                await self._renew(is_rotation=False)
                failures = 0
            except (EnrolError, OSError) as error:
                failures += 1
                self._failed(error, failures)
                await asyncio.sleep(wait_s(failures, most_s=MOST_WAIT_S))

    def is_due(self) -> bool:
        """Return whether it is time to renew, or an answer was lost."""
        credentials = self.enroller.credentials
        return credentials.has_draft("renew") or self.enroller.now() >= credentials.load().due_at(
            DUE_SHARE + self._spread
        )

    async def rotate(self) -> Identity:
        """Replace both keys now, and return the new identity; `changed` has been told.

        Raises:
            EnrolError: the city did not answer or refuses. Where it may have taken the new keys all the same, `run`
                goes on asking.
        """
        try:
            return await self._renew(is_rotation=True)
        except EnrolError as error:
            self._failed(error, 1)
            raise

    async def _renew(self, *, is_rotation: bool) -> Identity:
        async with self._lock:
            before = self.enroller.credentials.load()
            identity = await self.enroller.renew(is_rotation=is_rotation)
        self.counts["certificates_renewed"] += 1
        is_rotated = identity.pair.signing.public_key() != before.pair.signing.public_key()
        until = identity.certificate.not_valid_after_utc - self.enroller.now()
        log.info(
            "certificate.renewed",
            extra={
                "detector": self.enroller.config.detector,
                "kind": "new-keys" if is_rotated else "same-keys",
                "seconds": round(until / dt.timedelta(seconds=1)),
            },
        )
        tell = self.changed if is_rotated or identity.city != before.city else self.renewed
        tell()
        return identity

    def _failed(self, error: Exception, attempt: int) -> None:
        self.counts["renewal_failures"] += 1
        extra = {"detector": self.enroller.config.detector, "reason": type(error).__name__, "attempt": attempt}
        log.warning("certificate.unrenewed", extra=extra)
