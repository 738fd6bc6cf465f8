"""A day's track of a ward."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query
from pydantic import BeforeValidator

from privacy.terms import Action
from server.api import problems
from server.api.access import OF_A_WARD, AskerNow, PartsNow, Permit, WardNow, permit
from server.api.schemas import Track
from server.api.show import show_fix
from server.history import track as history
from server.permit.permits import wish

router = APIRouter(prefix="/api/v1/wards/{ward_id}", tags=["family"])
_ISO: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
MAX_FIXES: Final = 8_640
"""One in ten seconds, all day."""


def _iso(text: object) -> object:
    # pydantic would take "0" for 1970, and Python "20261124".
    if isinstance(text, str) and not _ISO.fullmatch(text):
        raise ValueError("a date is YYYY-MM-DD")
    return text


_Day = Annotated[
    dt.date | None,
    BeforeValidator(_iso),
    Query(
        alias="date",
        description="a day in the city's time zone; today when left out",
        examples=["2026-11-24"],
    ),
]


def day_ms(day: dt.date, zone: ZoneInfo) -> tuple[int, int]:
    """Return the first millisecond of `day` in `zone` and of the day after, UTC."""
    after = day + dt.timedelta(days=1) if day < dt.date.max else day
    first_s, after_s = (dt.datetime.combine(one, dt.time(), zone).timestamp() for one in (day, after))
    return round(first_s * 1000), round(after_s * 1000)


@dataclass(frozen=True, slots=True)
class DayPermit:
    """The right to see one day of a ward's way."""

    permit: Permit
    span_ms: tuple[int, int]


async def _day_permit(parts: PartsNow, asker: AskerNow, ward_id: WardNow, day: _Day = None) -> DayPermit:
    zone = ZoneInfo(parts.config.city.tz)
    asked = day or dt.datetime.fromtimestamp(parts.config.clock.now_ms() / 1000, zone).date()
    span_ms = day_ms(asked, zone)
    wanted = wish(Action.VIEW_TRACK, ward_id, span_ms=history.whole_hours(span_ms))
    return DayPermit(await permit(parts, asker, wanted), span_ms)


@router.get("/track", summary="その日の移動 / A day's track", responses=problems.documented(*OF_A_WARD))
async def get_track(parts: PartsNow, ward_id: WardNow, day: Annotated[DayPermit, Depends(_day_permit)]) -> Track:
    """The fixes of one day, oldest first, at most 8,640; late ones are marked."""
    async with day.permit.reading() as conn:
        rows = await history.track(conn, parts.keys, ward_id, span_ms=day.span_ms, limit=MAX_FIXES)
    return Track(fixes=[show_fix(row) for row in rows])
