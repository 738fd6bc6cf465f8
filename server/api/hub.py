"""From the database's notices to the live streams: one listener a process, one look-up for all who watch a ward.

A notice only says that something changed. What changed is read once, by the purpose tokens of all who watch, in one
snapshot with which of these tokens are in force: a right that was withdrawn before it is never answered. A token that
is no longer in force is renewed if the policies say so for the same wards; else the stream is closed. The database
tells at once of what ends sessions and guardianships (0003_access.sql), a sweep finds what ends by the clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final

from server.accounts.sessions import wall_ms
from server.api.mailbox import Mailbox
from server.api.metrics import Metrics
from server.api.near import of_places
from server.api.schemas import LiveEvent, LivePlace
from server.api.show import show_event, show_place
from server.api.townmap import TownMap
from server.permit.ask import Asker
from server.permit.permits import Permits, SessionEndedError
from server.store import streams
from server.store.grant import Grant, GrantedConnection, holding
from server.store.pool import Pool

log = logging.getLogger(__name__)

SWEEP_S: Final = 5.0
MAX_STREAMS_PER_SESSION: Final = 6
_PAGE: Final = 200
_RETRY_S: Final = 1.0
_EARLY_MS: Final = 60_000
"""Tokens are renewed so long before they expire, so that nobody waits for it."""


@dataclass(frozen=True, slots=True)
class HubSettings:
    """What a hub needs besides connections.

    Attributes:
        dsn: of the role `api`, for the listening connection.
        permits: what renews tokens.
        now_ms: the wall clock.
    """

    dsn: str
    permits: Permits
    now_ms: Callable[[], int] = wall_ms


@dataclass(frozen=True, slots=True)
class _Right:
    """By which right a mailbox is filled."""

    asker: Asker
    grant: Grant


class Hub:
    """Keeps the mailboxes of all live streams of this process and fills them."""

    def __init__(self, settings: HubSettings, pool: Pool, *, town_map: TownMap, metrics: Metrics) -> None:
        self._settings = settings
        self._pool = pool
        self._town_map = town_map
        self._metrics = metrics
        self._boxes: dict[bytes, list[Mailbox]] = {}
        self._by_ward: dict[str, set[Mailbox]] = {}
        self._rights: dict[Mailbox, _Right] = {}
        self._lapsed: set[Mailbox] = set()
        self._renew = asyncio.Event()
        self._dirty: set[str] = set()
        self._doubted: set[bytes] = set()
        self._wake = asyncio.Event()

    def join(self, asker: Asker, grant: Grant, cursor: dict[str, int]) -> Mailbox:
        """Return a new mailbox for the wards of `grant`, soon filled with places and the events after `cursor`."""
        session = asker.session or b""
        boxes = self._boxes.setdefault(session, [])
        while len(boxes) >= MAX_STREAMS_PER_SESSION:
            self._close(boxes[0], "crowded")
        wards = frozenset(grant.wards)
        known = {ward_id: event_id for ward_id, event_id in cursor.items() if ward_id in wards}
        box = Mailbox(session, asker.account, wards, known)
        self._boxes.setdefault(session, []).append(box)
        self._rights[box] = _Right(asker, grant)
        for ward_id in wards:
            self._by_ward.setdefault(ward_id, set()).add(box)
        self._metrics.streams.inc()
        self._dirty |= wards
        self._doubted.add(session)
        self._wake.set()
        return box

    def leave(self, box: Mailbox) -> None:
        """Forget a mailbox; twice is once."""
        boxes = self._boxes.get(box.token_hash, [])
        if box not in boxes:
            return
        boxes.remove(box)
        del self._rights[box]
        self._lapsed.discard(box)
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
            tasks.create_task(self._renewals())
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
            soon_ms = self._settings.now_ms() + _EARLY_MS
            if soon := {box for box, right in self._rights.items() if right.grant.expires_ms <= soon_ms}:
                self._lapsed |= soon
                self._renew.set()

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
        """Read what is new of some wards, and fill the mailboxes concerned whose tokens are in force."""
        boxes = self._watching(ward_ids)  # who joins meanwhile was not checked, and gets the next round
        rights = {box: self._rights[box] for box in boxes | {box for one in doubted for box in self._boxes[one]}}
        places: list[LivePlace] = []
        events: list[LiveEvent] = []
        async with holding(self._pool, [right.grant for right in rights.values()]) as held:
            good = {box for box, right in rights.items() if right.grant.token_id in held.in_force}
            good -= {box for box in good if rights[box].grant.expires_ms <= self._settings.now_ms()}
            seen = ward_ids & {ward_id for box in good for ward_id in box.ward_ids}
            if seen:
                places, events = await self._news(held.conn, seen, boxes & good)
        for place in places:
            for box in boxes & good & self._by_ward.get(place.ward_id, set()):
                box.put_place(place)
        self._hand_out(events, boxes & good)
        if late := (rights.keys() - good) & self._rights.keys():
            self._lapsed |= late
            self._renew.set()

    async def _news(
        self, conn: GrantedConnection, ward_ids: set[str], boxes: set[Mailbox]
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

    async def _renewals(self) -> None:
        """Ask the policies anew for mailboxes whose tokens are no longer in force; beside the deliveries to others."""
        late = False
        while True:
            await self._renew.wait()
            self._renew.clear()
            for box in list(self._lapsed):
                try:
                    await self._renew_one(box)
                    late = False
                except Exception as error:
                    if not late:
                        log.exception("live.unrenewed", extra={"error": type(error).__name__})
                    late = True
                    await asyncio.sleep(_RETRY_S)
                    self._renew.set()

    async def _renew_one(self, box: Mailbox) -> None:
        """Give a mailbox a new token for the same wards, or close it."""
        right = self._rights.get(box)
        if right is None:
            return
        try:
            grant = await self._settings.permits.again(right.asker, right.grant)
        except SessionEndedError:
            self._close(box, "session")
            return
        if box not in self._rights:
            return
        if box.ward_ids != frozenset(grant.wards):
            self._close(box, "guardianship")
            return
        self._rights[box] = _Right(right.asker, grant)
        self._lapsed.discard(box)
        self._dirty |= box.ward_ids
        self._wake.set()

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
