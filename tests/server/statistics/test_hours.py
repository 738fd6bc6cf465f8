"""Which hours may be counted when."""

import datetime as dt

import pytest

from server.statistics.hours import countable, today
from tests.server.statistics.conftest import ZONE, at_ms


def _hours(when: str) -> list[int]:
    return [hour for _, hour, _ in countable(at_ms(when), ZONE)]


@pytest.mark.parametrize(
    ("when", "hours"),
    [
        ("2026-11-24T08:29", []),  # half an hour is left for what comes late
        ("2026-11-24T08:30", [7]),
        ("2026-11-24T09:29", [7]),
        ("2026-11-24T09:30", [7, 8]),
        ("2026-11-24T09:55", [8]),  # sealing begins at ten
        ("2026-11-24T23:00", [21]),
        ("2026-11-25T05:00", []),
    ],
)
def test_an_hour_is_counted_after_late_data_and_before_it_is_sealed(when: str, hours: list[int]) -> None:
    assert [hour for hour in _hours(when) if hour >= 7] == hours


def test_days_are_the_citys() -> None:
    assert today(at_ms("2026-11-25T00:00"), ZONE) == dt.date(2026, 11, 25)
    assert today(at_ms("2026-11-25T00:00") - 1, ZONE) == dt.date(2026, 11, 24)
