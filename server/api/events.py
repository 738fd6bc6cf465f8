"""What happened to a ward: arrivals, departures, SOS."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query

from server.api import problems
from server.api.access import OF_A_WARD, EventsPermit, WardNow
from server.api.schemas import Events
from server.api.show import show_event
from server.store import family

router = APIRouter(prefix="/api/v1/wards/{ward_id}", tags=["family"])
_MAX_ID: Final = 2**63 - 1

_Limit = Annotated[int, Query(ge=1, le=200, description="how many at most")]
_Before = Annotated[int | None, Query(ge=1, le=_MAX_ID, description="`next` of the page before", examples=[42])]


@router.get("/events", summary="できごと / Events", responses=problems.documented(*OF_A_WARD))
async def get_events(permit: EventsPermit, ward_id: WardNow, limit: _Limit = 50, before: _Before = None) -> Events:
    """Arrivals, departures and SOS, newest first; `next` is null on the last page."""
    async with permit.reading() as conn:
        rows = await family.events(conn, ward_id, before=before, limit=limit + 1)
    shown = [show_event(row) for row in rows[:limit]]
    return Events(events=shown, next=shown[-1].id if len(rows) > limit else None)
