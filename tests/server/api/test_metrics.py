import asyncio
import logging

import pytest
from starlette.types import Message, Receive, Scope, Send

from server.api import metrics
from server.api.metrics import AccessLog, Metrics


@pytest.mark.parametrize(
    ("status", "takes_s", "level"),
    [(200, 0.0, logging.DEBUG), (404, 0.0, logging.DEBUG), (503, 0.0, logging.WARNING), (200, 0.6, logging.WARNING)],
)
async def test_only_failed_and_slow_answers_are_warned_of(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, status: int, takes_s: float, level: int
) -> None:
    monkeypatch.setattr(metrics, "_SLOW_S", 0.5)

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await asyncio.sleep(takes_s)
        await send({"type": "http.response.start", "status": status, "headers": []})

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def sent(_: Message) -> None: ...

    with caplog.at_level(logging.DEBUG, logger=metrics.__name__):
        await AccessLog(app, metrics=Metrics())({"type": "http", "method": "GET", "path": "/"}, receive, sent)
    assert [(line.levelno, line.message) for line in caplog.records] == [(level, "request.answered")]
