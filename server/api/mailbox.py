"""What waits for one live stream: bounded, newest place of each ward, events in order, gone when the right is gone."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from server.api.schemas import LiveEvent, LivePlace

MAX_EVENTS: Final = 256
"""What is over waits in the database until the stream has read these."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One message of the stream.

    Attributes:
        kind: `place` or `event`.
        body: its JSON.
        cursor: what the client has to say to go on after this message.
    """

    kind: str
    body: LivePlace | LiveEvent
    cursor: str


def encode_cursor(cursor: Mapping[str, int]) -> str:
    """Return the newest event seen of each ward as an SSE id: `ward=event,ward=event`."""
    return ",".join(f"{ward_id}={event_id}" for ward_id, event_id in sorted(cursor.items()))


def decode_cursor(text: str) -> dict[str, int]:
    """Return what `encode_cursor` was given; nothing for what it never wrote."""
    cursor = {}
    for pair in text.split(",") if len(text) <= 4096 else ():
        ward_id, _, event_id = pair.rpartition("=")
        if ward_id and event_id.isascii() and event_id.isdecimal() and len(event_id) < 19:
            cursor[ward_id] = int(event_id)
    return cursor


@dataclass(slots=True, eq=False)
class Mailbox:
    """The queue of one stream.

    Attributes:
        token_hash: its session.
        guardian_id: whose session.
        ward_ids: whom the stream is about; any change of them ends it.
        cursor: newest event already put in, by ward; a ward that is missing starts from now.
        behind: wards with events that found no room; nothing newer of them is put in before those.
        closed: why the server ended the stream; None while it is open.
    """

    token_hash: bytes
    guardian_id: str
    ward_ids: frozenset[str]
    cursor: dict[str, int] = field(default_factory=dict)
    behind: set[str] = field(default_factory=set)
    closed: str | None = None
    _places: dict[str, LivePlace] = field(default_factory=dict)
    _shown: dict[str, LivePlace] = field(default_factory=dict)
    _events: deque[LiveEvent] = field(default_factory=deque)
    _told: dict[str, int] = field(default_factory=dict)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def start(self, newest: Mapping[str, int]) -> None:
        """Set the cursor of wards that have none to `newest`; no cursor is ahead of it, whatever the client said."""
        for ward_id in self.ward_ids & newest.keys():
            self.cursor[ward_id] = min(self.cursor.get(ward_id, newest[ward_id]), newest[ward_id])
            self._told.setdefault(ward_id, self.cursor[ward_id])

    def put_place(self, place: LivePlace) -> None:
        """Replace the waiting place of its ward; the one that was shown last is not shown again."""
        shown = self._shown.get(place.ward_id)
        if place == shown or (shown and place.heard_at_ms < shown.heard_at_ms):
            return
        self._places[place.ward_id] = place
        self._wake.set()

    def put_event(self, event: LiveEvent) -> None:
        """Append an event, once; what finds a full queue is left to be read again from `cursor`."""
        if int(event.id) <= self.cursor.get(event.ward_id, 0) or self.closed or event.ward_id in self.behind:
            return
        if len(self._events) >= MAX_EVENTS:
            self.behind.add(event.ward_id)
            return
        self.cursor[event.ward_id] = int(event.id)
        self._events.append(event)
        self._wake.set()

    @property
    def is_hungry(self) -> bool:
        """Whether all was read and more is known to be there."""
        return bool(self.behind) and not self._events

    def catch_up(self) -> None:
        """Take all wards' events again, once there is room; to be called before those after `cursor` are read."""
        if self.is_hungry:
            self.behind.clear()

    def close(self, reason: str) -> None:
        """End the stream; what still waits is forgotten, not sent."""
        self.closed = self.closed or reason
        self._places.clear()
        self._events.clear()
        self._wake.set()

    def next(self) -> Letter | None:
        """Return the oldest message, events before places; None: nothing waits."""
        if self._events:
            event = self._events.popleft()
            self._told[event.ward_id] = int(event.id)
            return Letter("event", event, encode_cursor(self._told))
        if self._places:
            ward_id = next(iter(self._places))
            place = self._shown[ward_id] = self._places.pop(ward_id)
            return Letter("place", place, encode_cursor(self._told))
        self._wake.clear()
        return None

    async def wait(self, timeout_s: float) -> bool:
        """Return whether something came within `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):  # not wait_for: that of Python 3.11 may swallow a cancellation
                await self._wake.wait()
        except TimeoutError:
            return False
        return True
