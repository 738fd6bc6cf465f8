import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_sim.movement import OUTSIDE, Itinerary, Movement, leave_s

WAY = np.array([(0.0, 0.0), (30.0, 0.0), (30.0, 40.0)])


def _day() -> Itinerary:
    day = Itinerary(0.0, 0.0, building=5)
    day.stay(100)
    day.walk(WAY, 2.0, building=9)
    day.stay(500)
    return day


@pytest.mark.parametrize(
    ("t_s", "x_m", "y_m", "speed_mps", "building"),
    [(0, 0, 0, 0, 5), (99, 0, 0, 0, 5), (105, 10, 0, 2, -1), (125, 30, 20, 2, -1), (135, 30, 40, 0, 9)],
)
def test_a_person_is_where_the_itinerary_says(
    t_s: float, x_m: float, y_m: float, speed_mps: float, building: int
) -> None:
    where = Movement([_day(), _day()]).at(t_s)
    assert (where.x_m[1], where.y_m[1]) == pytest.approx((x_m, y_m))
    assert where.speeds_mps.tolist() == pytest.approx([speed_mps, speed_mps])
    assert where.buildings[0] == building


@given(st.lists(st.floats(0, 86_400), min_size=1, max_size=20))
def test_nobody_jumps(times_s: list[float]) -> None:
    movement = Movement([_day()])
    for t_s in times_s:
        here, soon = movement.at(t_s), movement.at(min(t_s + 1, 86_400))
        assert np.hypot(soon.x_m - here.x_m, soon.y_m - here.y_m)[0] <= 2.0 + 1e-6


def test_who_leaves_in_time_arrives_in_time() -> None:
    day = Itinerary(0.0, 0.0, OUTSIDE)
    day.stay(leave_s(1000, WAY, 1.4))
    day.walk(WAY, 1.4)
    assert day.now_s == pytest.approx(1000)
