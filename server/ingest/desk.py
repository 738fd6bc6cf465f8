"""One micro-batch: what is new in it, what the core makes of it, and the one transaction that keeps all of that."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from server.core.engine import Engine, Outcome
from server.core.places import Event
from server.core.rows import Heard
from server.ingest import rows
from server.ingest.clocks import TOLERANCE_MS, DetectorClock
from server.ingest.gather import gather
from server.ingest.letters import LetterBudget
from server.ingest.open import Beat, Opened, Refused
from server.ingest.roster import Roster
from server.ingest.seen import Seen, key_of
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
    retention,
    sighting,
    tagstate,
    watermark,
)
from server.store import roster as store_roster
from server.store.batch import BatchRows, Key
from server.store.connection import Connection
from server.store.dead_letter import DeadLetter
from server.store.health import Health, KnownClock

MAX_LETTERS = 50


@dataclass(frozen=True, slots=True)
class Work:
    """What was opened of one micro-batch; nothing at all: only time has passed, until `received_ms`."""

    opened: Sequence[Opened]
    beats: Sequence[Beat]
    refused: Sequence[Refused]
    received_ms: int


@dataclass(frozen=True, slots=True)
class Done:
    """What a committed transaction did.

    Attributes:
        accepted: all batches that may be receipted, those known before too.
        fresh: batches that were new.
        rows: their cursor rows.
        corrected: how many of them came from a detector whose clock is wrong.
        outcome: what the core found.
        events: those that were new.
        notices: how many were written.
        stale: heartbeats that were no newer than one before.
    """

    accepted: Sequence[Key]
    fresh: Sequence[Opened]
    rows: BatchRows
    corrected: int
    outcome: Outcome
    events: Sequence[Event]
    notices: int
    stale: int


@dataclass(slots=True)
class Desk:
    """Works off micro-batches over one connection, with one engine. After any error it is to be thrown away.

    Args:
        conn: of the role ingest, which holds the worker's lock.
        roster: what is enrolled.
        engine: made of the same roster.
        tolerance_ms: within which a detector's clock counts as right, town time.
        clocks: of detectors, by id.
        letters: how much of what is refused may be kept.
    """

    conn: Connection
    roster: Roster
    engine: Engine
    tolerance_ms: int = TOLERANCE_MS
    clocks: dict[str, DetectorClock] = field(default_factory=dict)
    letters: LetterBudget = field(default_factory=LetterBudget)
    _seen: Seen = field(init=False)

    def __post_init__(self) -> None:
        self._seen = Seen(self.engine.placing.windows)

    async def close(self) -> None:
        """Let the connection and the engine go."""
        self.engine.close()
        await self.conn.close()

    async def work(self, work: Work) -> Done:
        """Commit what is new in `work`.

        Raises:
            DatabaseError: nothing of it was kept; this desk's engine is ahead of the database.
            StaleRosterError: likewise; the registry has changed meanwhile.
        """
        healths, gone, stale = self._healths(work.beats)
        fresh = await self._seen.fresh(self.conn, work.opened)
        cursors, outcome, corrected = await asyncio.to_thread(self._step, fresh, work.received_ms)
        letters = self.letters.admit(_letter(refused) for refused in work.refused[:MAX_LETTERS])
        async with self.conn.transaction():
            await erasure.share(self.conn)
            await store_roster.check(self.conn, self.roster.version)  # a ward erased just now is written of no more
            await batch.add(self.conn, cursors)
            await sighting.copy(self.conn, rows.sightings(outcome, self.roster))
            await self._save(outcome, work.received_ms)
            events, notices = await event.tell(self.conn, outcome.events, work.received_ms)
            await health.save(self.conn, healths)
            await health.save_offline(self.conn, gone, work.received_ms)
            await dead_letter.add(self.conn, letters)
            await live.announce(self.conn, self._news(outcome, events))
        accepted = [key_of(opened) for opened in work.opened]
        return Done(accepted, fresh, cursors, corrected, outcome, events, notices, stale)

    def _step(self, fresh: Sequence[Opened], received_ms: int) -> tuple[BatchRows, Outcome, int]:
        """Run the core over new batches, in a thread: it holds no lock of the interpreter."""
        every, corrected = self._heard(fresh)
        is_kept = every.last_ms >= retention.first_kept_ms(received_ms)
        outcome = self.engine.step(every if is_kept.all() else every.take(is_kept), received_ms)
        return rows.cursors(fresh, every, is_kept, outcome), outcome, corrected

    async def _save(self, outcome: Outcome, received_ms: int) -> None:
        placed, doubtful = rows.fixes(outcome, self.roster, received_ms)
        await fix.save(self.conn, placed)
        await fix.save_doubtful(self.conn, doubtful)
        await fix.save_last(self.conn, rows.last_places(outcome, self.engine, self.roster, received_ms))
        waiting, released = rows.held(outcome, self.engine, self.roster)
        await held.save(self.conn, waiting)
        await held.delete(self.conn, released)
        await presence.save(self.conn, rows.presences(outcome, self.engine))
        await tagstate.save(self.conn, rows.tag_states(outcome, self.engine, self.roster))
        await watermark.save(self.conn, self.engine.received_ms)

    def _news(self, outcome: Outcome, events: Sequence[Event]) -> list[tuple[str, str]]:
        wards: NDArray[np.object_] = self.roster.city.tags.wards[outcome.moved]
        return [*((ward, "place") for ward in wards.tolist()), *((told.ward, "event") for told in events)]

    def _clock_of(self, detector: str) -> DetectorClock:
        return self.clocks.setdefault(detector, DetectorClock(tolerance_ms=self.tolerance_ms))

    def _heard(self, fresh: Sequence[Opened]) -> tuple[Heard, int]:
        """Return the rows of new batches, and how many of these came from a detector whose clock is wrong."""
        corrections_ms = np.array([self._correction_ms(opened) for opened in fresh], np.int64)
        is_wrong = corrections_ms != 0
        errors_ms = np.where(is_wrong, np.int64(self.tolerance_ms), 0)
        return gather(fresh, corrections_ms, errors_ms), int(is_wrong.sum())

    def _correction_ms(self, opened: Opened) -> int:
        newest_ms = int(opened.batch.last_heard_ms.max()) if len(opened.batch) else 0
        clock, sealed_ms = self._clock_of(opened.detector.id), opened.header.sealed_at_ms
        return clock.correction_ms(sealed_ms=sealed_ms, newest_ms=newest_ms, received_ms=opened.received_ms)

    def _healths(self, beats: Sequence[Beat]) -> tuple[list[Health], set[str], int]:
        """Learn clocks; return the newest state of each detector that spoke, who is gone, and how many were stale."""
        newest: dict[str, Health | None] = {}
        stale = 0
        for beat in beats:
            name = beat.detector.id
            if beat.header is not None and not self._clock_of(name).admit(beat.header.sealed_at_ms, beat.received_ms):
                stale += 1
                continue
            if beat.header is None or beat.heartbeat.state == "offline":
                newest[name] = None
                continue
            clock = self._clock_of(name)
            if not beat.is_retained:
                clock.beat(beat.header.sealed_at_ms, beat.received_ms)
            newest[name] = _health(beat, clock.offset_ms)
        gone = {name for name, state in newest.items() if state is None}
        return [state for state in newest.values() if state is not None], gone, stale


def _health(beat: Beat, clock_offset_ms: int) -> Health:
    said, header = beat.heartbeat, beat.header
    return Health(
        beat.detector.id,
        beat.received_ms,
        clock_offset_ms,
        sent_at_ms=header.sealed_at_ms if header is not None else 0,
        epoch=said.epoch,
        uptime_s=said.uptime_s,
        queued_batches=said.queued_batches,
        oldest_queued_ms=said.oldest_queued_ms,
        heard=said.heard,
        dropped=said.dropped,
        errors=said.errors,
        rows_total=said.rows_total,
        software=said.software.replace("\x00", ""),
    )


def _letter(refused: Refused) -> DeadLetter:
    message = refused.message
    return DeadLetter(refused.detector, refused.reason, message.payload, message.received_ms)


def detector_clocks(known: Mapping[str, KnownClock], tolerance_ms: int) -> dict[str, DetectorClock]:
    """Return clocks as they were known before a stop."""
    return {name: DetectorClock(clock.offset_ms, tolerance_ms, clock.sent_ms) for name, clock in known.items()}
