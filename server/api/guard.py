"""What stands before every route: same-site requests only, bounded bodies, security headers, no bare exception.

Pure ASGI, so that streams pass through untouched. Fetch Metadata and Origin are checked as in
W3C Fetch Metadata (Sec-Fetch-Site) with Origin (RFC 6454) for older browsers; no token has to be kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.api import problems
from wire import cose

log = logging.getLogger(__name__)

BATCHES_PATH: Final = "/api/v1/batches"
EXPORTS_PATH: Final = "/api/v1/exports/"
MAX_BATCH_BYTES: Final = cose.MAX_OCTETS
"""As over MQTT: what one way takes the other must not refuse, or a phone would send it for ever."""
MAX_BODY_BYTES: Final = 16_384
CASES_PATH: Final = "/api/v1/cases"
MAX_CASE_BYTES: Final = 128 * 1024
"""A request for footage may name a few hundred windows."""
MAX_PAPER_BYTES: Final = 10 * 1024 * 1024
MAX_DRAINED_BYTES: Final = 16 * 1024 * 1024
MAX_DRAIN_S: Final = 5.0

_POLICY: Final = (
    "default-src 'self'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "img-src 'self' data: blob:",
    "media-src 'self' blob:",
    "worker-src 'self' blob:",
    "manifest-src 'self'",
    "font-src 'self'",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
)
CSP: Final = "; ".join(_POLICY)
"""Nothing comes from and nothing goes to another origin: a map tile asked elsewhere would tell where a child is."""

HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": CSP,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=(), bluetooth=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
HSTS: Final = "max-age=63072000; includeSubDomains"


class SecurityHeaders:
    """Adds the security headers to every answer, and `no-store` where a route said nothing about caching."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self.app = app
        self._headers = {**HEADERS, **({"strict-transport-security": HSTS} if https else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                own = headers.get("content-security-policy")  # a page with a style of its own says so, and is stricter
                headers.update({**self._headers, **({"content-security-policy": own} if own else {})})
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)


class SameSite:
    """Refuses what another site made a browser send: unsafe methods that are not same-origin."""

    def __init__(self, app: ASGIApp, *, public_url: str) -> None:
        self.app = app
        parts = urlsplit(public_url)
        self._origin = f"{parts.scheme}://{parts.netloc}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["method"] not in {"GET", "HEAD", "OPTIONS"}:
            headers = Headers(scope=scope)
            if not self._is_ours(headers):
                await problems.answer(problems.CROSS_SITE)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _is_ours(self, headers: Headers) -> bool:
        site = headers.get("sec-fetch-site")
        if site is not None:
            return site == "same-origin"
        origin = headers.get("origin")
        if origin is not None:
            return origin == self._origin or urlsplit(origin).netloc == headers.get("host", "")
        # Neither header: no browser of this decade. A program without our cookie can do no harm in anyone's name.
        return "cookie" not in headers


class BodyLimit:
    """Refuses bodies over the limit of their path with 413, whether or not they say how long they are."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = _limit(scope["path"])
        told = Headers(scope=scope).get("content-length", "")
        if told.isdecimal() and int(told) > limit:
            await _drain(receive)
            await problems.answer(problems.TOO_LARGE, {"connection": "close"})(scope, receive, send)
            return
        received = 0

        async def receive_bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                if message.get("more_body", False):
                    await _drain(receive)
                raise problems.ProblemError(problems.TOO_LARGE, {"connection": "close"})
            return message

        await self.app(scope, receive_bounded, send)


def _limit(path: str) -> int:
    if path == BATCHES_PATH or path.startswith(EXPORTS_PATH):
        return MAX_BATCH_BYTES
    if path == CASES_PATH or path.startswith(f"{CASES_PATH}/"):
        return MAX_PAPER_BYTES if "/papers/" in path else MAX_CASE_BYTES
    return MAX_BODY_BYTES


async def _drain(receive: Receive) -> None:
    """Read on and forget, within bounds: a sender that is cut off in the middle never reads why."""
    left = MAX_DRAINED_BYTES
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(MAX_DRAIN_S):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return


class LastResort:
    """Turns what nobody caught into the 500 problem, and writes it down."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def send_noting(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, send_noting)
        except problems.ProblemError as error:
            await problems.answer(error.problem, error.headers)(scope, receive, send)
        except Exception as error:
            # wire/logs.py writes kinds and lines of an exception, never its text: a database error quotes values.
            log.exception("request.failed", extra={"error": type(error).__name__})
            if not started:
                await problems.answer(problems.INTERNAL)(scope, receive, send)
