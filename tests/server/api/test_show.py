"""What a battery's voltage tells a family."""

import pytest

from server.api.show import battery_pct


@pytest.mark.parametrize(
    ("battery_dv", "pct"), [(None, None), (20, 0), (21, 0), (24, 5), (27, 16), (29, 42), (30, 100), (35, 100)]
)
def test_a_coin_cell_is_judged_by_its_curve(battery_dv: int | None, pct: int | None) -> None:
    assert battery_pct(battery_dv) == pct


def test_more_volts_are_never_less_battery() -> None:
    shown = [battery_pct(dv) or 0 for dv in range(20, 36)]
    assert shown == sorted(shown)
