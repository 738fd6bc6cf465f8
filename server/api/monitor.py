"""For the operator: is this process well, and what has it counted?"""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Response

from server import attention
from server.api import problems
from server.api.access import Parts, PartsNow
from server.api.metrics import CONTENT_TYPE
from server.api.schemas import Health
from server.attention import Limits, Moment
from server.store import health
from server.store.pool import DOWN, is_up
from wire.clock import SYSTEM

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
    """Counters without any personal data, for Prometheus; of gateways how many need somebody, never which."""
    await _count_calls(parts)
    return Response(parts.metrics.text(), media_type=CONTENT_TYPE)


async def _count_calls(parts: Parts) -> None:
    """Count the gateways that need somebody; without a database nothing is said of them."""
    gauge, clock = parts.metrics.attention, parts.config.clock
    try:
        async with parts.pool.connection(timeout=1.0) as conn:
            standings = await health.standings(conn)
    except DOWN:
        gauge.clear()
        return
    found = attention.calls(standings, Moment(clock.now_ms(), SYSTEM.now_ms()), Limits().at_speed(clock.speed))
    for reason, count in attention.counted(found).items():
        gauge.labels(reason.value).set(count)
