"""Places and events as they happen: Server-Sent Events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header
from starlette.responses import StreamingResponse

from server.api import problems
from server.api.access import SIGNED_IN, PartsNow, StreamPermit
from server.api.hub import Hub
from server.api.mailbox import Letter, decode_cursor
from server.permit.ask import Asker
from server.store.grant import Grant

router = APIRouter(prefix="/api/v1", tags=["live"])
HEARTBEAT_S: Final = 15.0
_RETRY_MS: Final = 2000
_EXAMPLE: Final = (
    "retry: 2000\n\n"
    "event: place\nid: ward-001=41\n"
    'data: {"lat_deg":34.7612,"lon_deg":134.8418,"accuracy_m":35.0,"heard_at_ms":1795416300000,'
    '"received_at_ms":1795416301800,"late":false,"near":{"name_ja":"図書館","name_en":"Library"},"battery_pct":87,'
    '"sos":false,"traceable":false,"ward_id":"ward-001"}\n\n'
    "event: event\nid: ward-001=42\n"
    'data: {"id":"42","kind":"arrived","place":{"name_ja":"小学校","name_en":"School"},"at_ms":1795416300000,'
    '"received_at_ms":1795416301800,"ward_id":"ward-001"}\n\n'
    ": ping\n\n"
)
_STREAM: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": (
            "`place` (schema LivePlace) and `event` (schema LiveEvent) messages; a comment every 15 s. "
            "The stream ends when the session or a guardianship does, or begins: connect again."
        ),
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}},
    }
}


def _frame(letter: Letter) -> bytes:
    return f"event: {letter.kind}\nid: {letter.cursor}\ndata: {letter.body.model_dump_json()}\n\n".encode()


async def stream(
    hub: Hub, asker: Asker, grant: Grant, *, cursor: dict[str, int], heartbeat_s: float = HEARTBEAT_S
) -> AsyncIterator[bytes]:
    """Yield a stream until the server closes it or the client goes away."""
    # Joined here and not by the caller: of a response that never starts, nobody would take the mailbox away.
    box = hub.join(asker, grant, cursor)
    try:
        yield f"retry: {_RETRY_MS}\n\n".encode()
        while not box.closed:
            letter = box.next()
            if box.is_hungry:
                hub.resume(box)
            if letter:
                yield _frame(letter)
            elif not await box.wait(heartbeat_s):
                yield b": ping\n\n"
    finally:
        hub.leave(box)


@router.get(
    "/live",
    summary="ライブ / Live places and events",
    response_class=StreamingResponse,
    responses={**_STREAM, **problems.documented(*SIGNED_IN)},
)
async def get_live(
    parts: PartsNow, permit: StreamPermit, last_event_id: Annotated[str | None, Header()] = None
) -> StreamingResponse:
    """First the current place of every ward and the events since `Last-Event-ID`, then each as it happens."""
    cursor = decode_cursor(last_event_id or "")
    return StreamingResponse(
        stream(parts.hub, permit.asker, permit.grant, cursor=cursor),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )
