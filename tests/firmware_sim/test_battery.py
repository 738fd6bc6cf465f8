import pytest

from firmware_sim import battery


@pytest.mark.parametrize(("interval_s", "days"), [(0.5, 371), (1.0, 669), (1.28, 812), (2.0, 1118)])
def test_a_cell_lasts_as_long_as_the_study_says(interval_s: float, days: int) -> None:
    assert battery.life_days(interval_s) == pytest.approx(days, rel=0.01)


def test_the_voltage_only_falls_and_collapses_at_the_end() -> None:
    volts = [float(battery.voltage_v(depth / 100)) for depth in range(101)]
    assert volts == sorted(volts, reverse=True)
    assert (volts[0], volts[50], volts[100]) == (3.05, 2.88, 2.0)


def test_a_day_at_one_second_draws_the_average_current() -> None:
    assert battery.used_uc(86_400, 86_400) / 86_400 == pytest.approx(battery.EVENT_UC + battery.SLEEP_UA)
