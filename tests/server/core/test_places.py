import itertools

from hypothesis import given
from hypothesis import strategies as st

from server.core import places, press
from server.core.fences import Fence, side_of
from server.core.geo import Position
from server.core.places import MIN_HITS, SILENCE_MS, Event, Kind, Presence

T0_MS = 1_795_402_800_000
M = 1 / 111_195
FENCE = Fence("w", "school", 34.75, 134.84, 60.0, 60_000)
sides = st.lists(st.tuples(st.integers(1, 120), st.sampled_from([True, False, None])), max_size=60)


def _walk(steps: list[tuple[int, bool | None]]) -> tuple[Presence | None, list[Event]]:
    presence, events, at_ms = None, [], T0_MS
    for gap_s, is_inside in steps:
        at_ms += gap_s * 1000
        presence, event = places.step(presence, FENCE, is_inside=is_inside, at_ms=at_ms)
        events += [event] if event else []
    return presence, events


def _slow(steps: list[tuple[int, bool | None]]) -> list[tuple[Kind, int]]:
    """The obvious way: a run of equal sides that differs from the known one and spans the dwell is told, once."""
    known, told, at_ms = None, [], T0_MS
    run: list[int] = []
    for gap_s, side in steps:
        at_ms += gap_s * 1000
        if side is None:
            continue
        if known is None:
            known = side
        elif side == known:
            run = []
        else:
            run.append(at_ms)
            if len(set(run)) >= MIN_HITS and run[-1] - run[0] >= FENCE.dwell_ms:
                told.append((Kind.ARRIVED if side else Kind.DEPARTED, run[0]))
                known, run = side, []
    return told


@given(sides)
def test_events_are_those_of_the_obvious_reference(steps: list[tuple[int, bool | None]]) -> None:
    assert [(event.kind, event.at_ms) for event in _walk(steps)[1]] == _slow(steps)


@given(sides)
def test_arrivals_and_departures_alternate(steps: list[tuple[int, bool | None]]) -> None:
    kinds = [event.kind for event in _walk(steps)[1]]
    assert all(a is not b for a, b in itertools.pairwise(kinds))


def test_standing_at_the_gate_tells_nothing() -> None:
    flapping: list[tuple[int, bool | None]] = [(10, n % 2 == 0) for n in range(200)]
    assert _walk(flapping)[1] == []


def test_passing_by_is_not_arriving() -> None:
    assert _walk([(10, False), (10, True), (10, True), (10, False), (10, False)])[1] == []


def test_the_first_side_is_taken_without_a_word() -> None:
    assert _walk([(10, True)] * 50)[1] == []


@given(sides, st.integers(0, 59))
def test_the_same_moment_again_changes_nothing(steps: list[tuple[int, bool | None]], which: int) -> None:
    again = [*steps[: which + 1], *((0, side) for _, side in steps[which : which + 1]), *steps[which + 1 :]]
    assert _walk(again) == _walk(steps)


def test_heard_twice_inside_then_silence_is_an_arrival() -> None:
    presence, events = _walk([(10, False), (10, True), (10, True)])
    assert events == []
    assert presence is not None
    last_ms = T0_MS + 30_000
    assert places.sweep(presence, FENCE, last_ms + SILENCE_MS - 1)[1] is None
    after, event = places.sweep(presence, FENCE, last_ms + SILENCE_MS)
    assert event == Event("w", "school", Kind.ARRIVED, T0_MS + 20_000)
    assert after.is_inside


def test_heard_once_inside_then_silence_says_nothing() -> None:
    presence, _ = _walk([(10, False), (10, True)])
    assert presence is not None
    assert places.sweep(presence, FENCE, T0_MS + 10**9)[1] is None


def test_silence_is_never_a_departure() -> None:
    presence, _ = _walk([(10, True), (10, False), (10, False)])
    assert presence is not None
    assert places.sweep(presence, FENCE, T0_MS + 10**9)[1] is None


@given(st.floats(0, 500), st.floats(10, 400))
def test_a_side_is_only_told_when_it_is_clear(north_m: float, accuracy_m: float) -> None:
    side = side_of(FENCE, Position(T0_MS, 34.75 + north_m * M, 134.84, accuracy_m))
    if side:
        assert north_m <= 61
    if side is False:
        assert north_m > 74
    if accuracy_m > 300:
        assert side is not True


@given(st.lists(st.integers(0, 600_000), min_size=1, max_size=30))
def test_one_press_is_one_call_whatever_the_order(offsets_ms: list[int]) -> None:
    state, calls = None, 0
    for offset_ms in offsets_ms:
        state, is_new = press.step(state, T0_MS + offset_ms)
        calls += is_new
    assert calls == 1


def test_another_press_later_or_an_earlier_one_heard_late_calls_again() -> None:
    state, _ = press.step(None, T0_MS)
    state, is_new = press.step(state, T0_MS + 3_600_000)
    assert is_new
    assert press.step(state, T0_MS)[1]
    assert press.step(state, T0_MS)[0] == state
