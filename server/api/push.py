"""Web Push subscriptions of the guardian's browsers."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from fastapi import APIRouter

from server.api import problems
from server.api.access import SIGNED_IN, PartsNow, SessionNow
from server.api.schemas import PushEndpoint, PushSubscription
from server.store import subscriptions

router = APIRouter(prefix="/api/v1", tags=["notices"])
_PROBLEMS = (*SIGNED_IN, problems.CROSS_SITE, problems.MALFORMED, problems.TOO_LARGE, problems.INVALID)


def is_push_service(endpoint: str, *, public_url: str) -> bool:
    """Return whether our notifier may be told to send to `endpoint`.

    A guardian must not make it knock at doors inside the city's network: https to a named host alone. On a machine
    whose own address is loopback, so may the push service be: that is a demo or a test.
    """
    try:
        parts = urlsplit(endpoint)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    if _is_loopback(host):
        return _is_loopback(urlsplit(public_url).hostname or "")
    return parts.scheme == "https" and "." in host and not _is_address(host) and not parts.username


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host.rpartition(".")[2].isdecimal()
    return True


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


@router.put(
    "/push-subscription",
    status_code=204,
    summary="通知を受け取る / Receive notices here",
    responses=problems.documented(*_PROBLEMS),
)
async def put_subscription(parts: PartsNow, session: SessionNow, body: PushSubscription) -> None:
    """Send notices to this browser from now on; it replaces what the same endpoint had."""
    if not is_push_service(body.endpoint, public_url=parts.config.http.public_url):
        raise problems.ProblemError(problems.INVALID)
    async with parts.pool.connection() as conn:
        await subscriptions.put(
            conn, session.guardian_id, endpoint=body.endpoint, p256dh=body.keys.p256dh, auth=body.keys.auth
        )


@router.delete(
    "/push-subscription",
    status_code=204,
    summary="通知をやめる / No more notices here",
    responses=problems.documented(*_PROBLEMS),
)
async def delete_subscription(parts: PartsNow, session: SessionNow, body: PushEndpoint) -> None:
    """Send no more notices to this browser; nothing happens when it had none."""
    async with parts.pool.connection() as conn:
        await subscriptions.delete(conn, session.guardian_id, body.endpoint)
