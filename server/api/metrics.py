"""Counters of the API for Prometheus, and its access log: route templates only, never a path, an address or an id."""

from __future__ import annotations

import logging
import time
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
_SLOW_S: Final = 1.0
_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """The counters of one API process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "mimamori_api_requests", "answered requests", ["method", "route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "mimamori_api_request_seconds",
            "until the answer began",
            ["route"],
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self.signins = Counter("mimamori_api_signins", "tries to sign in", ["outcome"], registry=self.registry)
        self.streams = Gauge("mimamori_api_live_streams", "open live streams", registry=self.registry)
        self.messages = Counter(
            "mimamori_api_live_messages", "messages put into streams", ["kind"], registry=self.registry
        )
        self.ended = Counter(
            "mimamori_api_live_ended", "streams ended by the server", ["reason"], registry=self.registry
        )
        self.batches = Counter("mimamori_api_batches", "batches posted over HTTPS", ["outcome"], registry=self.registry)
        self.enrolments = Counter(
            "mimamori_api_enrolments",
            "gateways that asked for a certificate",
            ["kind", "outcome"],
            registry=self.registry,
        )
        self.attention = Gauge(
            "mimamori_gateways_needing_attention",
            "gateways, by why they need somebody",
            ["reason"],
            registry=self.registry,
        )
        self.uploads = Counter(
            "mimamori_api_uploads", "parts of exports and questions about them", ["outcome"], registry=self.registry
        )
        self.broker = Gauge("mimamori_api_broker_up", "1 while the broker is connected", registry=self.registry)

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)


def route_of(scope: Scope) -> str:
    """Return the template of the route that answered, such as `/api/v1/wards/{ward_id}/place`."""
    route = scope.get("route")
    if isinstance(route, BaseRoute):
        return str(getattr(route, "path", "other"))
    return "other" if scope["path"].startswith("/api/") else "web"


class AccessLog:
    """Counts every answer and writes a line about it, a warning when it failed or was slow, else for debugging."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self.app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()

        async def send_noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._note(scope, message["status"], time.perf_counter() - began)
            await send(message)

        await self.app(scope, receive, send_noting)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = route_of(scope)
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.requests.labels(method, route, status).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        is_remarkable = status >= 500 or seconds > _SLOW_S
        log.log(
            logging.WARNING if is_remarkable else logging.DEBUG,
            "request.answered",
            extra={"method": method, "route": route, "status": status, "duration_ms": round(seconds * 1000, 1)},
        )
