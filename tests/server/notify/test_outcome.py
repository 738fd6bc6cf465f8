import random

from hypothesis import given
from hypothesis import strategies as st

from server.notify.outcome import MAX_RETRY_AFTER_S, Backoff


@given(attempts=st.integers(1, 200), seed=st.integers(0, 1000), asked_s=st.none() | st.floats(0, 1e9))
def test_waits_stay_between_half_and_all_of_the_doubled_time(attempts: int, seed: int, asked_s: float | None) -> None:
    wait_s = Backoff(first_s=1.0, most_s=60.0, tries=100).wait_s(attempts, random.Random(seed), asked_s)
    if attempts >= 100:
        assert wait_s is None
        return
    assert wait_s is not None
    doubled_s = min(60.0, 2.0 ** (attempts - 1))
    asked = min(asked_s or 0.0, MAX_RETRY_AFTER_S)
    assert max(asked, doubled_s / 2) <= wait_s <= max(asked, doubled_s)


def test_two_who_failed_together_do_not_come_back_together() -> None:
    backoff = Backoff()
    waits = {backoff.wait_s(3, random.Random(seed)) for seed in range(50)}
    assert len(waits) == 50
