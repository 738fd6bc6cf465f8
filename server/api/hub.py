"""From the database's notices to the live streams: one listener a process, one look-up for all who watch a ward.

A notice only says that something changed. What changed is read once, then who may see it, in that order: a right that
was withdrawn before the look-up is never answered. Streams of a session or guardianship that ended are closed as soon
as the database tells (triggers of 0003_access.sql), and by a sweep for what ends by the clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final

from server.accounts.sessions import Session, wall_ms
from server.api.mailbox import Mailbox
from server.api.metrics import Metrics
from server.api.near import of_places
from server.api.schemas import LiveEvent, LivePlace
from server.api.show import show_event, show_place
from server.api.townmap import TownMap
from server.store import streams
from server.store.connection import Connection
from server.store.pool import Pool
from wire.clock import Clock

log = logging.getLogger(__name__)

SWEEP_S: Final = 5.0
MAX_STREAMS_PER_SESSION: Final = 6
_PAGE: Final = 200
_RETRY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class HubSettings:
    """What a hub needs besides connections.

    Attributes:
        dsn: of the role `api`, for the listening connection.
        warden: pool of that role, which knows sessions.
        clock: of the town, for guardianships.
        now_ms: the wall clock, for sessions.
    """

    dsn: str
    warden: Pool
    clock: Clock
    now_ms: Callable[[], int] = wall_ms


class Hub:
    """Keeps the mailboxes of all live streams of this process and fills them."""

    def __init__(self, settings: HubSettings, pool: Pool, *, town_map: TownMap, metrics: Metrics) -> None:
        self._settings = settings
        self._pool = pool
        self._town_map = town_map
        self._metrics = metrics
        self._boxes: dict[bytes, list[Mailbox]] = {}
        self._by_ward: dict[str, set[Mailbox]] = {}
        self._dirty: set[str] = set()
        self._doubted: set[bytes] = set()
        self._wake = asyncio.Event()

    def join(self, session: Session, ward_ids: Collection[str], cursor: dict[str, int]) -> Mailbox:
        """Return a new mailbox, soon filled with the current places and the events after `cursor`."""
        boxes = self._boxes.setdefault(session.token_hash, [])
        while len(boxes) >= MAX_STREAMS_PER_SESSION:
            self._close(boxes[0], "crowded")
        wards = frozenset(ward_ids)
        known = {ward_id: event_id for ward_id, event_id in cursor.items() if ward_id in wards}
        box = Mailbox(session.token_hash, session.account_id, wards, known)
        self._boxes.setdefault(session.token_hash, []).append(box)
        for ward_id in wards:
            self._by_ward.setdefault(ward_id, set()).add(box)
        self._metrics.streams.inc()
        self._dirty |= wards
        self._doubted.add(session.token_hash)
        self._wake.set()
        return box

    def leave(self, box: Mailbox) -> None:
        """Forget a mailbox; twice is once."""
        boxes = self._boxes.get(box.token_hash, [])
        if box not in boxes:
            return
        boxes.remove(box)
        if not boxes:
            del self._boxes[box.token_hash]
        for ward_id in box.ward_ids:
            watchers = self._by_ward[ward_id]
            watchers.discard(box)
            if not watchers:
                del self._by_ward[ward_id]
        self._metrics.streams.dec()

    def resume(self, box: Mailbox) -> None:
        """Read on for a mailbox that is hungry."""
        self._dirty |= box.behind
        self._wake.set()

    def close_all(self, reason: str) -> None:
        """End every stream; the server is about to stop."""
        for box in self._all():
            self._close(box, reason)

    async def run(self) -> None:
        """Listen, deliver and sweep until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            tasks.create_task(self._deliver())
            tasks.create_task(self._sweep())

    async def _listen(self) -> None:
        deaf = False
        while True:
            try:
                async with contextlib.aclosing(streams.listen(self._settings.dsn)) as notices:
                    async for heard in notices:
                        deaf = False
                        self._note(heard)
            except Exception as error:
                if not deaf:  # once an outage, not once a second
                    log.exception("live.deaf", extra={"error": type(error).__name__})
                deaf = True
            await asyncio.sleep(_RETRY_S)

    def _note(self, heard: streams.Heard) -> None:
        match heard:
            case streams.Listening():
                log.info("live.listening")
                self._dirty |= self._by_ward.keys()
                self._doubted |= self._boxes.keys()
            case streams.WardsChanged(ward_ids) if not self._by_ward.keys().isdisjoint(ward_ids):
                self._dirty |= self._by_ward.keys() & ward_ids
            case streams.AccessChanged(guardian_id):
                self._doubted |= {box.token_hash for box in self._all() if box.guardian_id == guardian_id}
            case _:
                return
        self._wake.set()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            if self._boxes:
                self._doubted |= self._boxes.keys()
                self._wake.set()

    async def _deliver(self) -> None:
        late = False
        while True:
            await self._wake.wait()
            self._wake.clear()
            dirty, self._dirty = self._dirty & self._by_ward.keys(), set()
            doubted, self._doubted = self._doubted & self._boxes.keys(), set()
            try:
                await self._refresh(dirty, doubted)
                late = False
            except Exception as error:
                if not late:
                    log.exception("live.delayed", extra={"error": type(error).__name__})
                late = True
                self._dirty |= dirty
                self._doubted |= doubted
                await asyncio.sleep(_RETRY_S)
                self._wake.set()

    async def _refresh(self, ward_ids: set[str], doubted: set[bytes]) -> None:
        """Read what is new of some wards, check every mailbox concerned, then fill those that still may see it."""
        boxes = self._watching(ward_ids)  # who joins meanwhile was not checked, and gets the next round
        async with self._pool.connection() as conn:
            places, events = await self._news(conn, ward_ids, boxes) if ward_ids else ([], [])
        await self._check(doubted | {box.token_hash for box in boxes})
        for place in places:
            for box in boxes & self._by_ward.get(place.ward_id, set()):
                box.put_place(place)
        self._hand_out(events, boxes)

    async def _news(
        self, conn: Connection, ward_ids: set[str], boxes: set[Mailbox]
    ) -> tuple[list[LivePlace], list[LiveEvent]]:
        newest = await streams.newest_events(conn, ward_ids)
        for box in boxes:
            box.start(newest)
            box.catch_up()
        after = {
            ward_id: min((box.cursor[ward_id] for box in boxes if _takes(box, ward_id)), default=newest[ward_id])
            for ward_id in ward_ids
        }
        behind = {ward_id: event_id for ward_id, event_id in after.items() if event_id < newest[ward_id]}
        rows = await streams.events_after(conn, behind, limit=_PAGE) if behind else []
        if len(rows) >= _PAGE:
            self._dirty |= behind.keys()
            self._wake.set()
        landmarks = (await self._town_map.now(conn)).landmarks
        homes = await streams.own_places(conn, ward_ids)
        shown = []
        for row in await streams.places(conn, ward_ids):
            own = of_places(place for place in homes if place.ward_id == row.ward_id)
            shown.append(LivePlace(ward_id=row.ward_id, **dict(show_place(row, (*own, *landmarks)))))
        return shown, [LiveEvent(ward_id=row.ward_id, **dict(show_event(row))) for row in rows]

    async def _check(self, token_hashes: set[bytes]) -> None:
        """Close the mailboxes of sessions that ended or whose wards are no longer the same."""
        async with self._settings.warden.connection() as conn:
            wall_ms, town_ms = self._settings.now_ms(), self._settings.clock.now_ms()
            rows = await streams.access(conn, token_hashes, wall_ms=wall_ms, town_ms=town_ms)
        allowed: dict[bytes, set[str]] = {}
        for row in rows:
            allowed.setdefault(row.token_hash, set()).update([row.ward_id] if row.ward_id else [])
        for token_hash in token_hashes:
            for box in list(self._boxes.get(token_hash, ())):
                if token_hash not in allowed:
                    self._close(box, "session")
                elif box.ward_ids != allowed[token_hash]:
                    self._close(box, "guardianship")

    def _hand_out(self, events: Iterable[LiveEvent], boxes: set[Mailbox]) -> None:
        for event in events:
            for box in boxes & self._by_ward.get(event.ward_id, set()):
                box.put_event(event)

    def _close(self, box: Mailbox, reason: str) -> None:
        box.close(reason)
        self.leave(box)
        self._metrics.ended.labels(reason).inc()

    def _all(self) -> list[Mailbox]:
        return [box for boxes in self._boxes.values() for box in boxes]

    def _watching(self, ward_ids: Collection[str]) -> set[Mailbox]:
        return {box for ward_id in ward_ids for box in self._by_ward.get(ward_id, ())}


def _takes(box: Mailbox, ward_id: str) -> bool:
    return ward_id in box.ward_ids and ward_id not in box.behind
