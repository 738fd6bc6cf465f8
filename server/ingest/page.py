"""What one micro-batch comes to, all of it worked out, and the one transaction that writes it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from server.core.engine import Engine, Outcome
from server.core.places import Event
from server.ingest import rows
from server.ingest.open import Opened
from server.ingest.parcel import Work
from server.ingest.roster import Roster
from server.ingest.seen import key_of
from server.store import (
    batch,
    dead_letter,
    erasure,
    event,
    fix,
    health,
    held,
    live,
    presence,
    sighting,
    tagstate,
    watermark,
)
from server.store import roster as store_roster
from server.store.batch import BatchRows, Key
from server.store.connection import Connection
from server.store.dead_letter import DeadLetter
from server.store.fix import FixRows, LastRows
from server.store.health import Health
from server.store.held import HeldRows
from server.store.presence import PresenceRows
from server.store.sighting import Sightings
from server.store.tagstate import TagStates


@dataclass(frozen=True, slots=True)
class Found:
    """Rows for the tables, taken from the engine as it stood after the step: the next step may change it.

    Attributes:
        sightings: what was heard.
        placed: places for the track.
        doubtful: places that nobody could have reached.
        last: newest places.
        held: places held apart that changed.
        released: wards that have none any more.
        presences: watches that changed.
        tags: clocks that were learnt, presses that are new.
        received_ms: UTC up to which the engine knows.
    """

    sightings: Sightings
    placed: FixRows
    doubtful: FixRows
    last: LastRows
    held: HeldRows
    released: list[str]
    presences: PresenceRows
    tags: TagStates
    received_ms: int

    @classmethod
    def of(cls, outcome: Outcome, engine: Engine, roster: Roster, received_ms: int) -> Self:
        """Return the rows of a step that was just taken."""
        placed, doubtful = rows.fixes(outcome, roster, received_ms)
        waiting, released = rows.held(outcome, engine, roster)
        return cls(
            rows.sightings(outcome, roster),
            placed,
            doubtful,
            rows.last_places(outcome, engine, roster, received_ms),
            waiting,
            released,
            rows.presences(outcome, engine),
            rows.tag_states(outcome, engine, roster),
            engine.received_ms,
        )


@dataclass(frozen=True, slots=True)
class Page:
    """One micro-batch, ready to be written.

    Attributes:
        work: what was opened.
        fresh: its batches that are new.
        cursors: their rows.
        corrected: how many of them came from a detector whose clock is wrong.
        outcome: what the core found.
        found: the rows of that.
        healths: of detectors that spoke.
        gone: ids of detectors that are gone.
        stale: heartbeats that were no newer than one before.
        letters: what is kept of what was refused.
    """

    work: Work
    fresh: Sequence[Opened]
    cursors: BatchRows
    corrected: int
    outcome: Outcome
    found: Found
    healths: Sequence[Health]
    gone: set[str]
    stale: int
    letters: Sequence[DeadLetter]

    @property
    def accepted(self) -> list[Key]:
        """All batches that may be receipted once this is written, those known before too."""
        return [key_of(opened) for opened in self.work.opened]


@dataclass(frozen=True, slots=True)
class Done:
    """What a committed page told.

    Attributes:
        page: that was written.
        events: those that were new.
        notices: how many were written.
    """

    page: Page
    events: Sequence[Event]
    notices: int


async def write(conn: Connection, page: Page, roster: Roster) -> Done:
    """Commit a page that was worked out by a roster.

    Raises:
        DatabaseError: nothing of it was kept.
        StaleRosterError: likewise; the registry has changed meanwhile.
    """
    found, received_ms = page.found, page.work.received_ms
    async with conn.transaction():
        await erasure.share(conn)
        await store_roster.check(conn, roster.version)  # a ward erased just now is written of no more
        await batch.add(conn, page.cursors)
        await sighting.copy(conn, found.sightings)
        await fix.save(conn, found.placed)
        await fix.save_doubtful(conn, found.doubtful)
        await fix.save_last(conn, found.last)
        await held.save(conn, found.held)
        await held.delete(conn, found.released)
        await presence.save(conn, found.presences)
        await tagstate.save(conn, found.tags)
        await watermark.save(conn, found.received_ms)
        events, notices = await event.tell(conn, page.outcome.events, received_ms)
        await health.save(conn, page.healths)
        await health.save_offline(conn, page.gone, received_ms)
        await dead_letter.add(conn, page.letters)
        await live.announce(conn, _news(page.outcome, roster, events))
    return Done(page, events, notices)


def _news(outcome: Outcome, roster: Roster, events: Sequence[Event]) -> list[tuple[str, str]]:
    wards: NDArray[np.object_] = roster.city.tags.wards[outcome.moved]
    return [*((ward, "place") for ward in wards.tolist()), *((told.ward, "event") for told in events)]
