"""When the demonstration's town wakes: a school-day morning, never before what was already lived through."""

import datetime as dt
import json
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import jpholiday

START: Final = dt.time(7, 40)
"""Five minutes before the first children leave home."""


def next_school_morning(after_ms: int, tz: str = "Asia/Tokyo") -> int:
    """Return the first 07:40 of a school day after `after_ms`, Unix milliseconds both.

    A school day is a weekday that is no public holiday (jpholiday); holidays of the schools themselves are not known.
    """
    zone = ZoneInfo(tz)
    after = dt.datetime.fromtimestamp(after_ms / 1000, zone)
    day = after.date()
    while not (_is_school_day(day) and _start_of(day, zone) > after):
        day += dt.timedelta(days=1)
    return round(_start_of(day, zone).timestamp() * 1000)


def last_lived_ms(file: Path) -> int | None:
    """Return the latest town time that was noted, None when there is none."""
    try:
        return int(json.loads(file.read_text("utf-8"))["town_ms"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def note(file: Path, town_ms: int) -> None:
    """Write down the town time, so that the next start does not go back behind it."""
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps({"town_ms": town_ms}), "utf-8")
    fresh.replace(file)


def _start_of(day: dt.date, zone: ZoneInfo) -> dt.datetime:
    return dt.datetime.combine(day, START, zone)


def _is_school_day(day: dt.date) -> bool:
    return day.weekday() < 5 and not jpholiday.is_holiday(day)
