from hypothesis import given
from hypothesis import strategies as st

from edge.camera.anchor import Anchor, Thinner
from tests.edge.camera.conftest import START_MS, SetClock


def test_pictures_keep_the_steady_distance_of_the_stream() -> None:
    clock = SetClock()
    anchor, times = Anchor(clock), []
    for number in range(50):
        clock.passed_ms = 40 * number + (number * 7 % 30)  # the network jitters
        times.append(anchor.at_ms(1000 + 40 * number)[0] - START_MS)
    assert times == [40 * number for number in range(50)]


def test_a_stream_that_drifts_is_tied_anew_after_half_a_second() -> None:
    clock, off = SetClock(), []
    anchor = Anchor(clock)
    for number in range(3000):
        clock.passed_ms = 44 * number  # ten per cent slow
        at_ms, is_jump = anchor.at_ms(40 * number)
        assert not is_jump
        off.append(abs(at_ms - clock.now_ms()))
    assert 400 < max(off) <= 500


def test_a_clock_that_is_set_is_followed_at_once_and_told() -> None:
    for set_ms in (-3_600_000, 3_600_000):
        clock = SetClock()
        anchor = Anchor(clock)
        assert anchor.at_ms(0) == (START_MS, False)
        clock.set_ms, clock.passed_ms = set_ms, 40
        assert anchor.at_ms(40) == (START_MS + 40 + set_ms, True)
        clock.passed_ms = 80
        assert anchor.at_ms(80) == (START_MS + 80 + set_ms, False)


def test_another_connection_is_tied_anew() -> None:
    clock = SetClock()
    anchor = Anchor(clock)
    anchor.at_ms(5_000)
    anchor.loosen()
    clock.passed_ms = 300
    assert anchor.at_ms(0) == (START_MS + 300, False)


@given(st.lists(st.tuples(st.integers(0, 3_000), st.none() | st.integers(-10_000, 10_000)), max_size=50))
def test_time_never_goes_back_unless_the_clock_was_set(steps: list[tuple[int, int | None]]) -> None:
    clock, last_ms = SetClock(), -1
    anchor = Anchor(clock)
    for passed_ms, stream_ms in steps:
        clock.passed_ms += passed_ms
        at_ms, is_jump = anchor.at_ms(stream_ms)
        assert at_ms > last_ms
        assert not is_jump
        last_ms = at_ms


def test_the_thinner_lets_an_even_share_through() -> None:
    for fps, expected in ((25, 250), (15, 150), (10, 100), (1, 10), (60, 250)):
        thinner = Thinner(lambda fps=fps: fps)  # type: ignore[misc]
        kept = [at_ms for at_ms in range(START_MS, START_MS + 10_000, 40) if thinner.is_kept(at_ms)]
        assert abs(len(kept) - expected) <= 1


def test_the_thinner_lives_through_a_clock_that_is_set() -> None:
    thinner = Thinner(lambda: 10)
    assert thinner.is_kept(START_MS)
    assert thinner.is_kept(START_MS - 3_600_000)
    assert not thinner.is_kept(START_MS - 3_600_000 + 40)
    assert thinner.is_kept(START_MS + 3_600_000)
