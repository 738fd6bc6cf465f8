import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.retry import stop_if_cancelled, wait_s


@given(st.integers(0, 10**9), st.floats(0.5, 600))
def test_waits_double_up_to_a_limit_and_are_never_none(failures: int, most_s: float) -> None:
    longest_s = min(most_s, 0.5 * 2.0 ** min(failures, 16))
    assert longest_s / 2 <= wait_s(failures, most_s) <= longest_s


def test_many_do_not_knock_as_one() -> None:
    assert len({wait_s(3) for _ in range(100)}) > 90


async def test_a_cancellation_that_got_lost_is_found() -> None:
    async def stubborn() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            stop_if_cancelled()

    stop_if_cancelled()
    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
