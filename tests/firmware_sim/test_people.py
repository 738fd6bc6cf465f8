import datetime as dt

import numpy as np
import pytest

from firmware_sim import people, vehicles
from firmware_sim.geometry import distance_to_line_m
from firmware_sim.movement import Movement, Positions
from firmware_sim.town import Town

TUESDAY, SATURDAY = dt.date(2026, 11, 24), dt.date(2026, 11, 28)


def _at(town: Town, day: dt.date, hour: float) -> Positions:
    return Movement(people.day_of(town, people.inhabitants(town), day)).at(hour * 3600)


def _pupils_at_school(town: Town, where: Positions) -> int:
    schools = [town.sites["school"].building, town.sites["school-west"].building]
    return int(np.isin(where.buildings[: people.PUPILS], schools).sum())


def test_pupils_walk_to_school_and_home_by_the_timetable(town: Town) -> None:
    assert _pupils_at_school(town, _at(town, TUESDAY, 7.0)) == 0
    assert _pupils_at_school(town, _at(town, TUESDAY, 8.25)) == people.PUPILS
    assert _pupils_at_school(town, _at(town, TUESDAY, 14.9)) == people.PUPILS
    assert _pupils_at_school(town, _at(town, TUESDAY, 16.5)) == 0


def test_many_are_on_their_way_when_the_demonstration_begins(town: Town) -> None:
    moving = _at(town, TUESDAY, 7 + 40 / 60).speeds_mps > 0.5
    assert moving[: people.PUPILS].sum() > 30
    assert moving[people.PUPILS :].sum() > 20


def test_a_weekend_has_no_school_but_people_about(town: Town) -> None:
    assert max(_pupils_at_school(town, _at(town, SATURDAY, hour)) for hour in (8.5, 10, 14)) == 0
    assert (_at(town, SATURDAY, 11).speeds_mps > 0.5).sum() > 5


@pytest.mark.parametrize("seed_day", [TUESDAY, SATURDAY])
def test_everybody_sleeps_at_home(town: Town, seed_day: dt.date) -> None:
    homes = np.array([person.home for person in people.inhabitants(town)])
    assert (_at(town, seed_day, 23.9).buildings == homes).all()
    assert (_at(town, seed_day, 3).buildings == homes).all()


def test_yui_passes_gateways_and_arrives_at_eight(town: Town) -> None:
    day = people.day_of(town, people.inhabitants(town), TUESDAY)[people.YUI]
    movement, school = Movement([day]), town.sites["school"]
    before, after = movement.at(people.YUI_ARRIVES_S - 5), movement.at(people.YUI_ARRIVES_S + 1)
    assert before.buildings[0] == -1
    assert after.buildings[0] == school.building
    gap_m = np.hypot(after.x_m - school.spot.x_m, after.y_m - school.spot.y_m)[0]
    assert gap_m < school.radius_m / 2
    assert movement.at(7 * 3600 + 40 * 60).speeds_mps[0] == pytest.approx(1.15, abs=0.12)
    walk = np.array([point for point, t_s in zip(day.points, day.t_s, strict=True) if t_s <= people.YUI_ARRIVES_S])
    posts = np.array([(gateway.x_m, gateway.y_m) for gateway in town.gateways])
    assert (distance_to_line_m(posts, walk) < 40).sum() >= 5


def test_a_date_gives_the_same_day_every_time_and_another_date_another(town: Town) -> None:
    crowd = people.inhabitants(town)
    assert people.day_of(town, crowd, TUESDAY) == people.day_of(town, crowd, TUESDAY)
    assert people.day_of(town, crowd, TUESDAY) != people.day_of(town, crowd, TUESDAY + dt.timedelta(days=1))


def test_vehicles_drive_all_day_within_the_limit_and_come_back(town: Town) -> None:
    drives = Movement(vehicles.day_of(town, TUESDAY))
    speeds = np.array([drives.at(hour * 3600).speeds_mps for hour in np.linspace(7.1, 18, 200)])
    assert speeds.max() * 3.6 < 30
    assert ((speeds > 1).mean(0) > 0.5).all()
    assert (drives.at(22 * 3600).speeds_mps == 0).all()
    morning, night = drives.at(0), drives.at(86_400)
    assert night.x_m == pytest.approx(morning.x_m)
