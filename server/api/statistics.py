"""For everybody: anonymous statistics as published, for ever the same. Public, cacheable, without a session."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Response

from server.api import problems
from server.api.access import PartsNow
from server.api.reports import CACHED, PUBLIC
from server.api.schemas import StatisticRelease, StatisticReleases
from server.statistics.sheets import LICENCE, LICENCE_URL, csv_of, geojson_of, metadata
from server.store import statistic

router = APIRouter(prefix="/api/v1", tags=["public"])

_FOR_EVER: Final = "public, max-age=86400, immutable"


class Form(StrEnum):
    """Forms of a published day."""

    CSV = "csv"
    GEOJSON = "geojson"


_TYPES: Final = {Form.CSV: "text/csv; charset=utf-8; header=present", Form.GEOJSON: "application/geo+json"}
_FILES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "the file; how the numbers were made stands in it",
        "content": {"text/csv": {"schema": {"type": "string"}}, "application/geo+json": {"schema": {"type": "object"}}},
    },
    **problems.documented(*PUBLIC),
}


@router.get(
    "/statistics/releases",
    summary="公表した統計の一覧 / Published statistics",
    responses=problems.documented(problems.INVALID, problems.UNAVAILABLE, problems.INTERNAL),
)
async def get_releases(
    parts: PartsNow,
    response: Response,
    limit: Annotated[int, Query(ge=1, le=400, description="newest days first")] = 31,
) -> StatisticReleases:
    """The days that were published, also those of which nothing could be told, each with the reason."""
    async with parts.pool.connection() as conn:
        rows = await statistic.releases(conn, limit)
    response.headers["cache-control"] = CACHED
    city = (parts.config.city.name_ja, parts.config.city.name_en)
    releases = [StatisticRelease.model_validate(metadata(row, city)) for row in rows]
    return StatisticReleases(releases=releases, licence=LICENCE, licence_url=LICENCE_URL)


@router.get(
    "/statistics/{day}.{form}", summary="公表した統計 / A published day", response_class=Response, responses=_FILES
)
async def get_release(
    parts: PartsNow, day: Annotated[dt.date, Path(description="of the city", examples=["2026-11-24"])], form: Form
) -> Response:
    """People by mesh and hour: at least ten, with noise. A day is published once and never changes."""
    async with parts.pool.connection() as conn:
        found = await statistic.release(conn, day)
    if found is None:
        raise problems.ProblemError(problems.NOT_FOUND)
    city = (parts.config.city.name_ja, parts.config.city.name_en)
    octets = csv_of(*found) if form is Form.CSV else geojson_of(*found, city)
    name = f"people-{day.isoformat()}.{form.value}"
    headers = {"cache-control": _FOR_EVER, "content-disposition": f'attachment; filename="{name}"'}
    return Response(octets, media_type=_TYPES[form], headers=headers)
