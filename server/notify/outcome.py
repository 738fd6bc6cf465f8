"""How an attempt to send ended, and when to try again."""

import enum
import random
from dataclasses import dataclass
from typing import Final

MAX_RETRY_AFTER_S: Final = 3600.0
"""A service that asks for a longer rest is asked again after this."""


class Result(enum.Enum):
    """How one attempt ended."""

    SENT = "sent"
    RETRY = "retry"
    """Refused or out of reach, for now."""
    GONE = "gone"
    """The other side says that this subscription is no more."""
    REFUSED = "refused"
    """It cannot ever be sent: no address, broken keys, no right to know any more."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attempt ended.

    Attributes:
        result: what to do next.
        reason: a word for logs and metrics; never an address.
        retry_after_s: what the service asked for, wall seconds; None = it did not say.
    """

    result: Result
    reason: str = ""
    retry_after_s: float | None = None


SENT: Final = Outcome(Result.SENT)


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waiting times that double, with jitter; wall seconds.

    Args:
        first_s: before the second attempt.
        most_s: never longer.
        tries: attempts in all; after the last the notice has failed.
    """

    first_s: float = 1.0
    most_s: float = 300.0
    tries: int = 10

    def wait_s(self, attempts: int, rng: random.Random, retry_after_s: float | None = None) -> float | None:
        """Return how long to wait after the `attempts`-th attempt, None when that was the last.

        The wait is drawn from the upper half of the doubled time, so that a service that was down is not met by
        everyone at once; what the service asks for is a lower bound.
        """
        if attempts >= self.tries:
            return None
        doubled_s = min(self.most_s, self.first_s * 2.0 ** min(attempts - 1, 40))
        asked_s = min(retry_after_s or 0.0, MAX_RETRY_AFTER_S)
        return max(asked_s, doubled_s * rng.uniform(0.5, 1.0))
