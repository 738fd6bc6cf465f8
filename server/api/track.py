"""A day's track of a ward."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query

from server.api import problems
from server.api.access import OF_A_WARD, GrantNow, PartsNow
from server.api.schemas import Fix, Track
from server.store import family

router = APIRouter(prefix="/api/v1/wards/{ward_id}", tags=["family"])
MAX_FIXES: Final = 8_640
"""One in ten seconds, all day."""

# Any day a ward could have lived; the ends of the calendar have no midnight in some time zones.
_Day = Annotated[
    dt.date,
    Query(
        alias="date",
        ge=dt.date(2000, 1, 1),
        le=dt.date(2200, 1, 1),
        description="a day in the city's time zone; today when left out",
        examples=["2026-11-24"],
    ),
]


def day_ms(day: dt.date, zone: ZoneInfo) -> tuple[int, int]:
    """Return the first millisecond of `day` in `zone` and of the day after, UTC."""
    first, after = (dt.datetime.combine(d, dt.time(), zone) for d in (day, day + dt.timedelta(days=1)))
    return round(first.timestamp() * 1000), round(after.timestamp() * 1000)


@router.get("/track", summary="その日の移動 / A day's track", responses=problems.documented(*OF_A_WARD))
async def get_track(parts: PartsNow, grant: GrantNow, day: _Day | None = None) -> Track:
    """The fixes of one day, oldest first, at most 8,640; late ones are marked."""
    zone = ZoneInfo(parts.config.city.tz)
    asked = day or dt.datetime.fromtimestamp(grant.at_ms / 1000, zone).date()
    from_ms, to_ms = day_ms(asked, zone)
    async with parts.pool.connection() as conn:
        rows = await family.track(conn, grant, from_ms=from_ms, to_ms=to_ms, limit=MAX_FIXES)
    return Track(fixes=[Fix.model_validate(row) for row in rows])
