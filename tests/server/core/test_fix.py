import dataclasses
import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from server.core.fix import (
    EMPTY_TRACK,
    JUMP_HITS,
    MIN_ACCURACY_M,
    Fix,
    Placed,
    advance,
    consolidate,
    range_m,
    smooth,
)
from server.core.geo import Position, apart_m
from server.core.suppress import BUCKET_MS, Contribution, bucket_of, merge

T0_MS = 1_795_402_800_000
M = 1 / 111_195
contributions = st.builds(
    Contribution,
    detector=st.integers(1, 40),
    rssi_dbm=st.integers(-100, -40),
    count=st.integers(1, 50),
    at_ms=st.integers(T0_MS, T0_MS + BUCKET_MS - 1),
    lat_deg=st.floats(34.750, 34.753),
    lon_deg=st.floats(134.840, 134.843),
    accuracy_m=st.floats(1, 50),
    weight=st.sampled_from([0.3, 0.6, 1.0]),
)


def _at(detector: int, north_m: float, rssi_dbm: int = -70, weight: float = 1.0) -> Contribution:
    return Contribution(detector, rssi_dbm, 3, T0_MS, 34.75 + north_m * M, 134.84, 5.0, weight)


def _position(north_m: float, at_ms: int, accuracy_m: float = 20.0) -> Position:
    return Position(at_ms, 34.75 + north_m * M, 134.84, accuracy_m)


def _fix(north_m: float, at_ms: int) -> Fix:
    return Fix(bucket_of(at_ms), _position(north_m, at_ms), 1)


@given(st.lists(contributions, min_size=1, max_size=8, unique_by=lambda c: c.detector), st.randoms())
def test_the_order_of_detectors_does_not_matter(heard: list[Contribution], rng: object) -> None:
    shuffled = sorted(heard, key=lambda c: hash((c.detector, str(rng))))
    assert consolidate(1, heard) == consolidate(1, shuffled)


@given(st.lists(contributions, min_size=1, max_size=8, unique_by=lambda c: c.detector))
def test_a_fix_lies_among_its_detectors(heard: list[Contribution]) -> None:
    position = consolidate(1, heard).position
    assert min(c.lat_deg for c in heard) - 1e-9 <= position.lat_deg <= max(c.lat_deg for c in heard) + 1e-9
    assert position.at_ms == max(c.at_ms for c in heard)
    assert position.accuracy_m >= MIN_ACCURACY_M


@given(st.lists(contributions, min_size=2, max_size=6))
def test_merging_is_the_same_in_any_order(parts: list[Contribution]) -> None:
    same = [dataclasses.replace(part, detector=1, accuracy_m=5.0, weight=1.0) for part in parts]
    forward, backward = None, None
    for part, other in zip(same, reversed(same), strict=True):
        forward, backward = merge(forward, part), merge(backward, other)
    assert forward == backward
    assert forward is not None
    assert forward.count == sum(part.count for part in same)


def test_the_stronger_and_the_more_trusted_detector_weighs_more() -> None:
    north_m = (consolidate(1, [_at(1, 0, -60), _at(2, 100, -85)]).position.lat_deg - 34.75) / M
    assert north_m < 30
    trusted_m = (consolidate(1, [_at(1, 0), _at(2, 100, weight=0.3)]).position.lat_deg - 34.75) / M
    assert trusted_m < 30


@given(st.integers(-110, -20))
def test_weaker_is_farther(rssi_dbm: int) -> None:
    assert range_m(rssi_dbm - 1) >= range_m(rssi_dbm) >= 1


def test_detectors_that_cannot_both_hear_a_tag_are_not_averaged() -> None:
    here, there = [_at(1, 0), _at(2, 30)], [_at(3, 20_000, -50)]
    fix = consolidate(1, here + there, _position(10, T0_MS - 10_000))
    assert fix.far == (3,)
    assert fix.detectors == 2
    assert consolidate(1, here + there).far == (1, 2)  # without a past, the strongest is believed


@given(st.lists(st.tuples(st.integers(-500, 500), st.integers(0, 3_600_000)), min_size=1, max_size=30))
def test_the_newest_place_never_goes_back_in_time(steps: list[tuple[int, int]]) -> None:
    track, newest = EMPTY_TRACK, -1
    for north_m, offset_ms in steps:
        track, _, placed = advance(track, _fix(north_m, T0_MS + offset_ms))
        assert track.bucket >= newest
        if placed is Placed.HISTORY:
            assert bucket_of(T0_MS + offset_ms) < newest
        newest = track.bucket


def test_a_bucket_done_again_is_smoothed_from_where_the_one_before_left_off() -> None:
    track, _, _ = advance(EMPTY_TRACK, _fix(0, T0_MS))
    once, fix, _ = advance(track, _fix(30, T0_MS + BUCKET_MS))
    twice, again, _ = advance(once, _fix(30, T0_MS + BUCKET_MS))
    assert (twice, again) == (once, fix)


def test_an_impossible_jump_is_held_until_it_is_confirmed_at_leisure() -> None:
    track, _, _ = advance(EMPTY_TRACK, _fix(0, T0_MS))
    seen = []
    for n in range(1, JUMP_HITS + 2):
        track, _, placed = advance(track, _fix(50_000, T0_MS + n * BUCKET_MS))
        seen.append(placed)
    assert seen[: JUMP_HITS - 1] == [Placed.DOUBTFUL] * (JUMP_HITS - 1)
    assert seen[-1] is Placed.MOVED


def test_a_relay_far_away_never_wins_while_the_tag_is_heard_where_it_is() -> None:
    track, _, _ = advance(EMPTY_TRACK, _fix(0, T0_MS))
    for n in range(1, 40):
        north_m = 0 if n % 2 else 50_000
        track, _, placed = advance(track, _fix(north_m, T0_MS + n * BUCKET_MS))
        assert placed is (Placed.MOVED if n % 2 else Placed.DOUBTFUL)


def test_a_long_silence_allows_a_long_way() -> None:
    track, _, _ = advance(EMPTY_TRACK, _fix(0, T0_MS))
    assert advance(track, _fix(50_000, T0_MS + 3_600_000))[2] is Placed.MOVED


@given(st.integers(-200, 200), st.integers(1, 59_000), st.floats(10, 200), st.floats(10, 200))
def test_smoothing_stays_between_and_is_never_vaguer(north_m: int, after_ms: int, old_m: float, new_m: float) -> None:
    base, new = _position(0, T0_MS, old_m), _position(north_m, T0_MS + after_ms, new_m)
    smoothed = smooth(base, new)
    assert apart_m(base, smoothed) + apart_m(smoothed, new) <= apart_m(base, new) + 0.01
    assert smoothed.accuracy_m <= max(new_m, MIN_ACCURACY_M)


def test_an_old_place_says_nothing_about_a_new_one() -> None:
    new = _position(100, T0_MS + 61_000)
    assert smooth(_position(0, T0_MS), new) == new


@given(contributions)
def test_one_detector_alone_is_its_own_place(one: Contribution) -> None:
    fix = consolidate(1, [one])
    assume(math.isfinite(fix.position.accuracy_m))
    assert fix.position.lat_deg == pytest.approx(one.lat_deg, abs=1e-9)  # a tenth of a millimetre
    assert (fix.detectors, fix.far) == (1, ())
