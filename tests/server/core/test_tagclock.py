import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from server.core.tagclock import (
    DETECTOR_ERROR_MS,
    FIRST_CONTACT_MS,
    MAX_DRIFT_PPM,
    TagClock,
    found,
    judge,
    learn,
    step_beacon_ms,
)
from wire.status import step_of

T0_MS = 1_795_402_800_000
OFFSET_MS = 1_700_000_000_000.0


def _beacon_ms(at_ms: int, offset_ms: float, ppm: float = 0.0) -> int:
    return round((at_ms - offset_ms) + (at_ms - T0_MS) * ppm / 1e6)


def _told_ms(beacon_ms: int) -> int:
    """What a status tells: the middle of the 4 s step."""
    return beacon_ms // 4000 * 4000 + 2000


@given(st.integers(0, 2**31), st.integers(0, 15))
def test_a_step_within_its_quantum_tells_the_time_to_two_seconds(beacon_s: int, exponent: int) -> None:
    told_ms = step_beacon_ms(beacon_s >> exponent, exponent, step_of(beacon_s), beacon_s * 1000)
    assert abs(told_ms - (beacon_s * 1000 + 500)) <= 2000


@given(st.integers(0, 2**31), st.integers(-400_000, 400_000))
def test_a_long_quantum_is_told_apart_by_the_prediction(beacon_s: int, wrong_ms: int) -> None:
    told_ms = step_beacon_ms(beacon_s >> 15, 15, step_of(beacon_s), beacon_s * 1000 + wrong_ms)
    start_ms = (beacon_s >> 15 << 15) * 1000
    if start_ms + 912_000 < beacon_s * 1000 < start_ms + 2**15 * 1000 - 912_000:
        assert abs(told_ms - (beacon_s * 1000 + 500)) <= 2000


@given(st.floats(-100, 100), st.lists(st.integers(1_000, 7_200_000), min_size=5, max_size=60))
def test_a_drifting_clock_is_followed_and_never_rejected(ppm: float, gaps_ms: list[int]) -> None:
    clock, at_ms = TagClock(OFFSET_MS + 30_000), T0_MS
    for gap_ms in gaps_ms:
        at_ms += gap_ms
        told_ms = _told_ms(_beacon_ms(at_ms, OFFSET_MS, ppm))
        judged = judge(clock, at_ms=at_ms, beacon_ms=told_ms)
        assert judged.is_of_its_time
        clock = learn(clock, judged, at_ms=at_ms)
    assert abs(clock.rate_ppm) <= MAX_DRIFT_PPM


def test_the_rate_of_a_clock_is_learnt_over_days() -> None:
    clock, at_ms = found(at_ms=T0_MS, beacon_ms=_told_ms(_beacon_ms(T0_MS, OFFSET_MS))), T0_MS
    for _ in range(5_000):
        at_ms += 61_000
        told_ms = _told_ms(_beacon_ms(at_ms, OFFSET_MS, -80.0))
        clock = learn(clock, judge(clock, at_ms=at_ms, beacon_ms=told_ms), at_ms=at_ms)
    assert 60 < clock.rate_ppm < 100  # a tag that runs slow: the offset grows
    day_ms = at_ms + 86_400_000
    assert abs(clock.beacon_ms(day_ms) - _beacon_ms(day_ms, OFFSET_MS, -80.0)) < 5_000


@given(st.integers(60_000, 10**9), st.integers(0, 10**6))
def test_a_replay_is_rejected_once_it_is_older_than_the_tolerance(late_ms: int, heard_ago_ms: int) -> None:
    clock = found(at_ms=T0_MS - heard_ago_ms, beacon_ms=_beacon_ms(T0_MS - heard_ago_ms, OFFSET_MS))
    old_ms = _told_ms(_beacon_ms(T0_MS, OFFSET_MS) - late_ms)
    assert not judge(clock, at_ms=T0_MS, beacon_ms=old_ms).is_of_its_time


def test_time_does_not_go_back_for_a_tag() -> None:
    clock = dataclasses.replace(
        found(at_ms=T0_MS, beacon_ms=_beacon_ms(T0_MS, OFFSET_MS)),
        accepted_beacon_ms=_beacon_ms(T0_MS, OFFSET_MS) + 60_000,
    )
    assert not judge(clock, at_ms=T0_MS + 100, beacon_ms=_beacon_ms(T0_MS, OFFSET_MS)).is_of_its_time


@given(st.integers(0, 86_400_000))
def test_what_comes_late_is_judged_by_its_own_time_and_teaches_nothing(ago_ms: int) -> None:
    clock = found(at_ms=T0_MS, beacon_ms=_beacon_ms(T0_MS, OFFSET_MS))
    at_ms = T0_MS - 1 - ago_ms
    judged = judge(clock, at_ms=at_ms, beacon_ms=_told_ms(_beacon_ms(at_ms, OFFSET_MS)))
    assert judged.is_of_its_time
    assert learn(clock, judged, at_ms=at_ms) is clock


def test_a_tag_never_heard_may_be_minutes_off_and_a_known_one_seconds() -> None:
    assert TagClock(OFFSET_MS).tolerance_ms(T0_MS) == FIRST_CONTACT_MS
    known = found(at_ms=T0_MS, beacon_ms=_beacon_ms(T0_MS, OFFSET_MS))
    assert known.tolerance_ms(T0_MS) == DETECTOR_ERROR_MS + 2000
    assert known.tolerance_ms(T0_MS + 86_400_000) == DETECTOR_ERROR_MS + 2000 + 12_960
