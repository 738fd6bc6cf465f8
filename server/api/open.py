"""For everybody: where cameras stand and how often they were of use, the town's map, and the policies as they are.

Source: docs/ORDINANCE.md, rules 20 and 21. Nothing here is about a person, and nothing needs a session.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Final, Literal, TypeAlias

from fastapi import APIRouter, Header, Response

from privacy.policy.source import PolicyTexts
from server.api import problems
from server.api.access import PartsNow
from server.api.map import MEDIA_TYPE
from server.api.reports import CACHED
from server.api.schemas import Names
from server.api.schemas_open import OpenCamera, OpenCameras, OpenPolicies, OpenPolicy
from server.store import camera_use, report
from server.store.report import Camera

router = APIRouter(prefix="/api/v1/open", tags=["public"])
Use: TypeAlias = Literal["under_3", "3_to_9", "10_to_29", "from_30"]
_DAY_MS: Final = 86_400_000
_LAG_MS: Final = 30 * _DAY_MS
"""Nobody is to read from the number of today that footage of this corner was asked for yesterday."""
_SPAN_MS: Final = 365 * _DAY_MS
_STEPS: Final[tuple[tuple[int, Use], ...]] = ((30, "from_30"), (10, "10_to_29"), (3, "3_to_9"))
_ALWAYS: Final = (problems.UNAVAILABLE, problems.INTERNAL)


@router.get("/cameras", summary="カメラの一覧 / Cameras", responses=problems.documented(*_ALWAYS))
async def get_open_cameras(parts: PartsNow, response: Response) -> OpenCameras:
    """The ledger of cameras, and in steps how many requests each has served: a year, up to 30 days ago."""
    city = parts.config.city
    to_ms = parts.sessions.now_ms() - _LAG_MS
    async with parts.pool.connection() as conn:
        rows = await report.cameras(conn, city.id)
    async with parts.warden.connection() as conn:
        used = await camera_use.released(conn, city.id, from_ms=to_ms - _SPAN_MS, to_ms=to_ms)
    response.headers["cache-control"] = CACHED
    purposes = sorted(purpose.value for purpose in parts.cases.office.profile.purposes)
    shown = [_camera(row, used, purposes) for row in rows if row.live_ms is not None]
    days = parts.cases.office.profile.number_of("retention_days")
    name = Names(name_ja=city.name_ja, name_en=city.name_en)
    return OpenCameras(city=name, tz=city.tz, retention_days=days, cameras=shown)


@router.get(
    "/map",
    summary="町の地図 / The town",
    response_class=Response,
    responses={
        200: {"description": "GeoJSON (RFC 7946)", "content": {MEDIA_TYPE: {"schema": {"type": "object"}}}},
        304: {"description": "unchanged since `If-None-Match`"},
        **problems.documented(problems.NOT_FOUND, *_ALWAYS),
    },
)
async def get_open_map(parts: PartsNow, if_none_match: Annotated[str | None, Header()] = None) -> Response:
    """Streets, parks and public buildings; the same for everybody."""
    async with parts.pool.connection() as conn:
        now = await parts.town_map.now(conn)
    if not now.geojson:
        raise problems.ProblemError(problems.NOT_FOUND)
    headers = {"etag": now.etag, "cache-control": CACHED}
    if if_none_match == now.etag:
        return Response(status_code=304, headers=headers)
    return Response(now.geojson, media_type=MEDIA_TYPE, headers=headers)


@router.get("/policies", summary="判断の規則 / The policies", responses=problems.documented(problems.INTERNAL))
async def get_open_policies(response: Response) -> OpenPolicies:
    """Every policy that decides here, in words, and the digest that each decision in the log names."""
    response.headers["cache-control"] = CACHED
    return _policies()


@lru_cache(maxsize=1)
def _policies() -> OpenPolicies:
    """Return the policies of this release; they do not change while it runs."""
    texts = PolicyTexts.read()
    shown = [
        OpenPolicy(
            id=policy.reason.policy,
            subject=policy.subject,
            is_permit=policy.is_permit,
            article=policy.reason.article,
            ja=policy.reason.ja,
            en=policy.reason.en,
        )
        for policy in texts.policies
    ]
    return OpenPolicies(digest=texts.digest, policies=shown)


def _camera(row: Camera, used: Mapping[str, int], purposes: list[str]) -> OpenCamera:
    return OpenCamera.model_validate(
        {
            "id": row.id,
            "label_ja": row.label_ja,
            "label_en": row.label_en,
            "place": row.place,
            "lat_deg": row.lat_deg,
            "lon_deg": row.lon_deg,
            "live_from_ms": row.live_ms,
            "sign_on": row.sign_on,
            "noticed_on": row.noticed_on,
            "purposes": purposes if row.purposes is None else sorted(row.purposes),
            "used": use_of(used.get(row.id, 0)),
        }
    )


def use_of(count: int) -> Use:
    """Return the step that a number of requests lies in; one request is not told from none."""
    return next((name for least, name in _STEPS if count >= least), "under_3")
