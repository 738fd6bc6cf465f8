"""When to try again, and when not to."""

import asyncio
import random
from typing import Final

FIRST_S: Final = 0.5


def wait_s(failures: int, most_s: float = 30.0) -> float:
    """Return a random wait after so many failures in a row: doubling, so that a thousand detectors do not knock as one.

    Source: full jitter with a floor of half, after Brooker, Exponential Backoff And Jitter (AWS, 2015).
    """
    longest_s = min(most_s, FIRST_S * 2.0 ** min(failures, 16))
    return longest_s * random.uniform(0.5, 1.0)  # noqa: S311 -- spreads load, keeps no secret


def stop_if_cancelled() -> None:
    """End the current task if somebody has asked for it.

    A cancellation can get lost: `asyncio.wait_for` of Python 3.11 drops it when its future is done at the same moment,
    and aiomqtt raises its own error over it when a connection breaks while it is being closed. A loop that lives on
    after either would never end, so it asks here.

    Raises:
        CancelledError: somebody has.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
