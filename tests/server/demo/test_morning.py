import datetime as dt
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.demo import morning

TOKYO = ZoneInfo("Asia/Tokyo")


def _ms(text: str) -> int:
    return round(dt.datetime.fromisoformat(text).replace(tzinfo=TOKYO).timestamp() * 1000)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-11-24T07:39:59", "2026-11-24T07:40:00"),
        ("2026-11-24T07:40:00", "2026-11-25T07:40:00"),  # never the same morning twice
        ("2026-11-20T12:00:00", "2026-11-24T07:40:00"),  # over a weekend and Labour Thanksgiving Day
        ("2026-05-01T12:00:00", "2026-05-07T07:40:00"),  # over Golden Week
    ],
)
def test_the_town_wakes_on_the_next_school_day(now: str, expected: str) -> None:
    assert morning.next_school_morning(_ms(now)) == _ms(expected)


@given(st.integers(0, 4_000_000_000_000))
def test_it_is_always_later_and_a_weekday_at_0740(now_ms: int) -> None:
    start_ms = morning.next_school_morning(now_ms)
    start = dt.datetime.fromtimestamp(start_ms / 1000, TOKYO)
    assert start_ms > now_ms
    assert start.weekday() < 5
    assert start.time() == dt.time(7, 40)


def test_the_noted_time_is_read_back(tmp_path: Path) -> None:
    assert morning.last_lived_ms(tmp_path / "t.json") is None
    morning.note(tmp_path / "t.json", 123)
    assert morning.last_lived_ms(tmp_path / "t.json") == 123


def test_a_broken_note_is_no_note(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text("{")
    assert morning.last_lived_ms(tmp_path / "t.json") is None
