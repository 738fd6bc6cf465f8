"""For the operator: is this process well, and what has it counted?"""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Response

from server.api import problems
from server.api.access import PartsNow
from server.api.metrics import CONTENT_TYPE
from server.api.schemas import Health
from server.store.pool import is_up

router = APIRouter(tags=["operation"])
_TEXT: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "Prometheus text format", "content": {"text/plain": {"schema": {"type": "string"}}}}
}


@router.get(
    "/healthz",
    summary="状態 / Health",
    responses={503: {"model": Health, "description": "without its database"}, **problems.documented(problems.INTERNAL)},
)
async def get_health(parts: PartsNow, response: Response) -> Health:
    """Answer 200 while families can be served; without the broker only batches over HTTPS are turned away."""
    database = await is_up(parts.pool)
    broker = parts.bridge.is_up
    if not database:
        response.status_code = 503
    return Health(
        status="down" if not database else "ok" if broker else "degraded",
        database="up" if database else "down",
        broker="up" if broker else "down",
    )


@router.get("/metrics", summary="計数 / Counters", response_class=Response, responses=_TEXT)
async def get_metrics(parts: PartsNow) -> Response:
    """Counters without any personal data, for Prometheus."""
    return Response(parts.metrics.text(), media_type=CONTENT_TYPE)
