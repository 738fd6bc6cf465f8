import time

import pytest

from wire.clock import SYSTEM, Clock


def test_a_clock_without_settings_is_wall_time() -> None:
    before_ms = time.time_ns() // 1_000_000
    now_ms = Clock.from_table({}).now_ms()
    assert before_ms - 1 <= now_ms <= before_ms + 5_000
    assert SYSTEM.is_wall
    assert SYSTEM.wall_s(7.5) == 7.5


def test_a_fast_town_runs_from_its_origin() -> None:
    clock = Clock(origin_wall_ms=1_000, origin_town_ms=500_000, speed=60)
    assert clock.town_ms(1_000) == 500_000
    assert clock.town_ms(2_000) == 560_000
    assert clock.wall_s(60) == 1
    assert not clock.is_wall


def test_a_table_read_back_is_the_same_clock() -> None:
    clock = Clock(1, 2, 3.5)
    assert Clock.from_table(clock.to_table()) == clock


@pytest.mark.parametrize(
    "table",
    [{"sped": 2}, {"speed": 0}, {"speed": -1}, {"speed": "fast"}, {"speed": True}, {"origin_wall_ms": 1.5},
     {"origin_town_ms": None}, {"speed": float("nan")}, {"speed": 1e9}],
)  # fmt: skip
def test_a_table_with_a_mistake_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"clock|speed"):
        Clock.from_table(table)
