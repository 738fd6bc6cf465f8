"""Web Push subscriptions of the guardian's browsers."""

from __future__ import annotations

from fastapi import APIRouter

from server.api import problems
from server.api.access import SIGNED_IN, PartsNow, SessionNow
from server.api.schemas import PushEndpoint, PushSubscription
from server.push_services import is_loopback, is_push_service
from server.store import subscriptions

router = APIRouter(prefix="/api/v1", tags=["notices"])
_PROBLEMS = (*SIGNED_IN, problems.CROSS_SITE, problems.MALFORMED, problems.TOO_LARGE, problems.INVALID)


@router.put(
    "/push-subscription",
    status_code=204,
    summary="通知を受け取る / Receive notices here",
    responses=problems.documented(*_PROBLEMS),
)
async def put_subscription(parts: PartsNow, session: SessionNow, body: PushSubscription) -> None:
    """Send notices to this browser from now on; it replaces what the same endpoint had."""
    if not is_push_service(body.endpoint, allow_loopback=is_loopback(parts.config.http.public_url)):
        raise problems.ProblemError(problems.INVALID)
    async with parts.warden.connection() as conn:
        await subscriptions.put(
            conn, session.account_id, endpoint=body.endpoint, p256dh=body.keys.p256dh, auth=body.keys.auth
        )


@router.delete(
    "/push-subscription",
    status_code=204,
    summary="通知をやめる / No more notices here",
    responses=problems.documented(*_PROBLEMS),
)
async def delete_subscription(parts: PartsNow, session: SessionNow, body: PushEndpoint) -> None:
    """Send no more notices to this browser; nothing happens when it had none."""
    async with parts.warden.connection() as conn:
        await subscriptions.delete(conn, session.account_id, body.endpoint)
