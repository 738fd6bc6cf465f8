"""A drive through the simulated town with the simulated receiver, and what goes wrong with receivers."""

import datetime as dt
import math
from collections.abc import Iterable

import numpy as np
import pytest

from edge import position
from edge.parked import BEST_ACCURACY_M, SPREAD_M, STILL_S, UNSEEN_ACCURACY_M, Whereabouts
from firmware_sim.geometry import Plane
from firmware_sim.gps import Gps
from firmware_sim.movement import OUTSIDE, Itinerary, Movement, Positions
from wire import gpsd
from wire.gpsd import Position

START_MS = 1_800_000_000_000
NIGHT_S = 28_800.0
HOME = (34.76, 134.84)
PLANE = Plane()


def at(second: float, north_m: float = 0.0, *, speed_mps: float = 0.0, accuracy_m: float = 5.0) -> Position:
    return Position(START_MS + round(second * 1000), HOME[0] + north_m / 111_320, HOME[1], accuracy_m, speed_mps)


def fed(reports: Iterable[Position], made: Whereabouts | None = None) -> Whereabouts:
    made = made or position.whereabouts(60.0, NIGHT_S)
    for report in reports:
        made.add(report)
    return made


def is_parked(made: Whereabouts) -> bool:
    return made.is_parked


def parked() -> Whereabouts:
    made = fed(at(second) for second in range(int(STILL_S) + 6))
    assert is_parked(made)
    return made


def off_m(found: Position | None, x_m: float, y_m: float) -> float:
    assert found is not None
    east_m, north_m = PLANE.to_plane(found.lat_deg, found.lon_deg)
    return math.hypot(float(east_m) - x_m, float(north_m) - y_m)


def drive(seed: int, building: int = OUTSIDE) -> Iterable[tuple[Position, float, float, float]]:
    """Yield each second's report of a car that drives for 5 min, stands for 20 and drives again, and the truth."""
    way = Itinerary(0.0, 0.0, OUTSIDE)
    way.walk(np.array([[0.0, 0.0], [2_400.0, 0.0]]), 8.0, building=building)
    way.stay(1_500.0)
    way.walk(np.array([[2_400.0, 0.0], [2_400.0, 2_000.0]]), 8.0)
    movement, receiver = Movement([way]), Gps(PLANE, np.array([0]), seed)
    for second in range(1_700):
        where: Positions = movement.at(float(second))
        tpv = receiver.fixes(where)[0].tpv(
            "car-1", dt.datetime.fromtimestamp(START_MS / 1000 + second, dt.UTC).isoformat()
        )
        report = gpsd.read_tpv(repr(tpv).replace("'", '"').encode(), lambda: 0)
        assert report is not None
        yield report, float(where.x_m[0]), float(where.y_m[0]), float(where.speeds_mps[0])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("building", [OUTSIDE, 3])
def test_a_drive_is_followed_and_its_stop_is_one_better_place(seed: int, building: int) -> None:
    made = position.whereabouts(60.0, NIGHT_S)
    parked_at_s = []
    for second, (report, x_m, y_m, speed_mps) in enumerate(drive(seed, building)):
        made.add(report)
        made.forget(report.at_ms - 10_000)
        found = made.at(report.at_ms)
        if made.is_parked:
            parked_at_s.append(second)
            assert len(made) <= 3
        assert off_m(found, x_m, y_m) < (25.0 if speed_mps else 60.0 if building > OUTSIDE else 20.0)
    assert 300 + STILL_S <= parked_at_s[0] <= 300 + STILL_S + (15 if building == OUTSIDE else 400)
    assert parked_at_s[-1] <= 1_502
    if building == OUTSIDE:
        assert len(parked_at_s) == parked_at_s[-1] - parked_at_s[0] + 1


def test_the_place_grows_better_the_longer_it_is_stood_at() -> None:
    reports = [report for report, *_ in drive(1)][:1_490]
    made = fed(reports)
    place = made.at(reports[-1].at_ms)
    assert place is not None
    assert place.accuracy_m == max(BEST_ACCURACY_M, place.accuracy_m)
    assert place.accuracy_m < 0.7 * reports[-1].accuracy_m
    assert off_m(place, 2_400.0, 0.0) < 2.0


def test_a_car_that_waits_at_a_light_is_not_parked() -> None:
    made = position.whereabouts(60.0, NIGHT_S)
    for turn in range(10):
        fed((at(turn * 130 + second) for second in range(110)), made)
        fed((at(turn * 130 + 110 + second, speed_mps=6.0) for second in range(20)), made)
        assert not is_parked(made)


def test_one_that_creeps_is_not_parked() -> None:
    assert not fed(at(second, second * 0.4, speed_mps=0.4) for second in range(600)).is_parked


def test_single_outliers_neither_hinder_nor_end_a_stay() -> None:
    jumps = (at(second, 5_000.0 if second % 20 == 7 else 0.0) for second in range(600))
    spikes = (at(600 + second, speed_mps=9.0 if second % 20 == 7 else 0.0) for second in range(600))
    made = fed(jumps)
    assert is_parked(made)
    assert fed(spikes, made).is_parked
    place = made.at(START_MS + 1_200_000)
    assert place is not None
    assert abs(place.lat_deg - HOME[0]) * 111_320 < 1.0


def test_it_leaves_with_the_second_report_that_moves_and_both_are_its_track() -> None:
    made = parked()
    fed([at(200, 4.0, speed_mps=4.0)], made)
    assert is_parked(made)
    fed([at(201, 10.0, speed_mps=6.0)], made)
    assert not is_parked(made)
    first, before = made.at(START_MS + 200_000), made.at(START_MS + 190_000)
    assert first is not None
    assert before is not None
    assert first.speed_mps == 4.0
    assert before.lat_deg == pytest.approx(HOME[0])
    assert before.age_ms == 65_000
    made.forget(START_MS + 200_000)
    assert made.at(START_MS + 100_000) is None


def test_one_that_is_carried_away_without_a_speed_leaves_too() -> None:
    made = parked()
    fed((at(200 + second, 100.0) for second in range(2)), made)
    assert not is_parked(made)


def test_in_a_garage_the_place_is_kept_up_to_the_limit_with_its_age_and_less_sure() -> None:
    made = parked()
    last_ms = START_MS + int(STILL_S + 5) * 1000
    soon, late = made.at(last_ms + 30_000), made.at(last_ms + 3_600_000)
    assert soon is not None
    assert late is not None
    assert soon.age_s == 30
    assert soon.accuracy_m == pytest.approx(5.0, abs=0.2)
    assert (late.age_s, late.accuracy_m) == (3_600, UNSEEN_ACCURACY_M)
    assert made.at(last_ms + round(NIGHT_S * 1000) + 1) is None
    moving = fed([at(0, speed_mps=8.0)])
    assert moving.at(START_MS + 61_000) is None


def test_sightings_from_before_the_stop_was_known_are_placed_too() -> None:
    made = parked()
    assert len(made) == 2
    before = made.at(START_MS - 2_000)
    assert before is not None
    assert before.accuracy_m <= 5.0 + 2 * position.UNKNOWN_SPEED_MPS


def test_a_restart_of_gpsd_and_a_gap_at_the_same_place_leave_it_parked() -> None:
    made = parked()
    fed([at(20_000), at(20_001)], made)
    assert is_parked(made)
    assert made.at(START_MS + 20_001_000) is not None


def test_a_gap_before_it_was_parked_begins_the_wait_anew() -> None:
    made = fed(at(second) for second in range(100))
    assert not fed((at(200 + second) for second in range(100)), made).is_parked


def test_a_clock_that_leaps_back_starts_anew_and_forward_changes_nothing() -> None:
    made = parked()
    fed([at(86_400)], made)
    assert is_parked(made)
    fed([at(300)], made)
    assert not is_parked(made)
    assert made.at(START_MS + 86_400_000) is None
    assert made.at(START_MS + 300_000) is not None


def test_reports_too_vague_and_reports_that_come_ten_a_second_do_no_harm() -> None:
    assert not fed(at(second, accuracy_m=200.0) for second in range(400)).is_parked
    made = fed(at(second / 10) for second in range(1_250))
    assert is_parked(made)
    assert not fed(at(second, second % 2 * 4 * SPREAD_M) for second in range(400)).is_parked


def test_no_report_that_is_no_number_gets_this_far() -> None:
    line = b'{"class":"TPV","mode":3,"lat":NaN,"lon":134.8,"speed":0,"eph":5}'
    assert gpsd.read_tpv(line, lambda: START_MS) is None


def test_across_the_date_line_a_place_is_one_place() -> None:
    reports = [Position(START_MS + 1000 * n, 0.0, (180.0 if n % 2 else -180.0), 5.0) for n in range(140)]
    made = fed(reports)
    assert is_parked(made)
