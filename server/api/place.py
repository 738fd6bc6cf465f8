"""Where a ward was heard last, and the places that are watched for them."""

from __future__ import annotations

from fastapi import APIRouter

from server.api import problems
from server.api.access import OF_A_WARD, PartsNow, PlacePermit, WardNow
from server.api.near import of_places
from server.api.schemas import Place, Places, WatchedPlace
from server.api.show import show_place
from server.store import family, streams

router = APIRouter(prefix="/api/v1/wards/{ward_id}", tags=["family"])


@router.get(
    "/place",
    summary="最後に検知された場所 / The last place",
    responses=problems.documented(*OF_A_WARD, problems.NOT_SEEN_YET),
)
async def get_place(parts: PartsNow, permit: PlacePermit, ward_id: WardNow) -> Place:
    """Where the ward's tag was heard last, when, and when the server got to know."""
    async with permit.reading() as conn:
        row = await family.last_place(conn, ward_id)
        if row is None:
            raise problems.ProblemError(problems.NOT_SEEN_YET)
        own = of_places(await streams.own_places(conn, [ward_id]))
        landmarks = (await parts.town_map.now(conn)).landmarks
    return show_place(row, (*own, *landmarks))


@router.get("/places", summary="見守る場所 / Watched places", responses=problems.documented(*OF_A_WARD))
async def get_places(permit: PlacePermit, ward_id: WardNow) -> Places:
    """The ward's own places and those that are watched for them."""
    async with permit.reading() as conn:
        rows = await family.places(conn, ward_id)
    return Places(places=[WatchedPlace.model_validate(row) for row in rows])
