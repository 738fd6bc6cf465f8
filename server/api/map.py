"""The town's map, from this server: nobody else learns which part of it a family looks at."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Response

from server.api import problems
from server.api.access import SIGNED_IN, PartsNow, SessionNow

router = APIRouter(prefix="/api/v1", tags=["map"])
MEDIA_TYPE = "application/geo+json"
_EXAMPLE = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "properties": {"kind": "poi", "name_ja": "図書館", "name_en": "Library"},
            "geometry": {"type": "Point", "coordinates": [134.8418, 34.7612]},
        }
    ],
}
_COLLECTION = {
    "type": "object",
    "required": ["type", "features"],
    "properties": {"type": {"const": "FeatureCollection"}, "features": {"type": "array", "items": {"type": "object"}}},
}


@router.get(
    "/map",
    summary="地図 / The map",
    response_class=Response,
    responses={
        200: {
            "description": "GeoJSON (RFC 7946)",
            "content": {MEDIA_TYPE: {"schema": _COLLECTION, "example": _EXAMPLE}},
        },
        304: {"description": "unchanged since `If-None-Match`"},
        **problems.documented(*SIGNED_IN, problems.NOT_FOUND),
    },
)
async def get_map(parts: PartsNow, _: SessionNow, if_none_match: Annotated[str | None, Header()] = None) -> Response:
    """The whole town at once, so that what is asked for does not depend on where a ward is."""
    async with parts.pool.connection() as conn:
        now = await parts.town_map.now(conn)
    if not now.geojson:
        raise problems.ProblemError(problems.NOT_FOUND)
    headers = {"etag": now.etag, "cache-control": "private, no-cache", "vary": "cookie"}
    if if_none_match == now.etag:
        return Response(status_code=304, headers=headers)
    return Response(now.geojson, media_type=MEDIA_TYPE, headers=headers)
