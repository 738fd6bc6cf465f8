"""How long to wait before the next attempt."""

import random
from typing import Final

FIRST_S: Final = 0.5


def wait_s(failures: int, most_s: float = 30.0) -> float:
    """Return a random wait after so many failures in a row: doubling, so that a town's phones do not knock as one.

    Source: full jitter with a floor of half, after Brooker, Exponential Backoff And Jitter (AWS, 2015).
    """
    longest_s = min(most_s, FIRST_S * 2.0 ** min(failures, 16))
    return longest_s * random.uniform(0.5, 1.0)  # noqa: S311 -- spreads load, keeps no secret
