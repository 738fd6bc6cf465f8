from hypothesis import given
from hypothesis import strategies as st

from server.ingest.clocks import BEATS, TOLERANCE_MS, DetectorClock

T0_MS = 1_795_402_800_000
HOUR_MS = 3_600_000


def _beaten(offset_ms: int, *, beats: int = BEATS, pace_ms: int = 30_000, delay_ms: int = 300) -> DetectorClock:
    clock = DetectorClock()
    for n in range(beats):
        at_ms = T0_MS + n * pace_ms
        clock.beat(at_ms - offset_ms, at_ms + delay_ms)
    return clock


@given(st.integers(-TOLERANCE_MS + 1000, TOLERANCE_MS - 1000))
def test_a_clock_within_the_tolerance_is_left_alone(offset_ms: int) -> None:
    assert _beaten(offset_ms).offset_ms == 0


@given(st.integers(TOLERANCE_MS + 1000, 100 * HOUR_MS), st.sampled_from([-1, 1]))
def test_a_wrong_clock_is_measured_by_steady_heartbeats(size_ms: int, sign: int) -> None:
    assert _beaten(sign * size_ms).offset_ms == sign * size_ms + 300


def test_two_heartbeats_prove_nothing() -> None:
    assert _beaten(HOUR_MS, beats=2).offset_ms == 0


@given(st.integers(2, 40))
def test_heartbeats_that_waited_and_came_at_once_prove_nothing(n: int) -> None:
    clock = DetectorClock()
    for k in range(n):
        clock.beat(T0_MS - HOUR_MS + k * 30_000, T0_MS)
    assert clock.offset_ms == 0


def test_a_clock_put_right_is_believed_at_once() -> None:
    clock = _beaten(5 * HOUR_MS)
    clock.beat(T0_MS + HOUR_MS, T0_MS + HOUR_MS + 300)
    assert clock.offset_ms == 0


@given(st.integers(-10 * HOUR_MS, 100 * HOUR_MS), st.integers(0, 72 * HOUR_MS), st.integers(0, HOUR_MS))
def test_no_corrected_time_lies_after_its_arrival(offset_ms: int, queued_ms: int, older_ms: int) -> None:
    clock = DetectorClock(offset_ms if abs(offset_ms) > TOLERANCE_MS else 0)
    sealed_ms = T0_MS - queued_ms - offset_ms
    correction_ms = clock.correction_ms(sealed_ms=sealed_ms, newest_ms=sealed_ms - older_ms, received_ms=T0_MS)
    assert sealed_ms + correction_ms <= T0_MS + TOLERANCE_MS


def test_a_queue_of_days_is_no_reason_to_correct() -> None:
    at_ms = T0_MS - 60 * HOUR_MS
    assert DetectorClock().correction_ms(sealed_ms=at_ms, newest_ms=at_ms, received_ms=T0_MS) == 0


def test_a_heartbeat_is_admitted_once_and_only_forward() -> None:
    clock = DetectorClock()
    said = [clock.admit(sent_ms, T0_MS + 10) for sent_ms in (T0_MS, T0_MS, T0_MS - 1, T0_MS + 1)]
    assert said == [True, False, False, True]


def test_a_clock_that_ran_ahead_may_go_back_to_the_right_time_and_no_further() -> None:
    clock = DetectorClock()
    assert clock.admit(T0_MS + 5 * HOUR_MS, T0_MS)
    assert not clock.admit(T0_MS - HOUR_MS, T0_MS)
    assert clock.admit(T0_MS + 30_000, T0_MS + 30_100)
    assert not clock.admit(T0_MS + 20_000, T0_MS + 30_200)
