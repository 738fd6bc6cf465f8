"""One micro-batch: what is new in it, what the core makes of it, and the one transaction that keeps all of that."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from server.core.engine import Engine, Outcome
from server.core.flags import SUSPICIOUS
from server.core.places import Event
from server.core.rows import Heard
from server.ingest.clocks import TOLERANCE_MS, DetectorClock
from server.ingest.letters import LetterBudget
from server.ingest.open import Beat, Opened, Refused, heard
from server.ingest.roster import Roster
from server.store import batch, dead_letter, erasure, event, fix, health, live, presence, retention, sighting, tagstate
from server.store import roster as store_roster
from server.store.batch import BatchRow, Key
from server.store.connection import Connection
from server.store.dead_letter import DeadLetter
from server.store.health import Health, KnownClock
from server.store.sighting import Sightings
from server.store.tagstate import TagState

MAX_LETTERS = 50


@dataclass(frozen=True, slots=True)
class Work:
    """What was opened of one micro-batch."""

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
    rows: Sequence[BatchRow]
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

    async def work(self, work: Work) -> Done:
        """Commit what is new in `work`.

        Raises:
            DatabaseError: nothing of it was kept; this desk's engine is ahead of the database.
            StaleRosterError: likewise; the registry has changed meanwhile.
        """
        healths, gone, stale = self._healths(work.beats)
        keys = {_key(opened): opened for opened in work.opened}
        known = await batch.known(self.conn, list(keys))
        fresh = [opened for key, opened in keys.items() if key not in known]
        parts, corrected = self._heard(fresh)
        every = Heard.concat(parts)
        is_kept = every.last_ms >= retention.first_kept_ms(work.received_ms)
        kept = every.take(is_kept)
        outcome = await asyncio.to_thread(self.engine.step, kept, work.received_ms)
        rows = _cursor_rows(fresh, every, kept, outcome)
        letters = self.letters.admit(_letter(refused) for refused in work.refused[:MAX_LETTERS])
        async with self.conn.transaction():
            await erasure.share(self.conn)
            await store_roster.check(self.conn, self.roster.version)  # a ward erased just now is written of no more
            await batch.add(self.conn, rows)
            await sighting.copy(self.conn, _sightings(kept, outcome, self.roster))
            await self._save(outcome)
            events, notices = await event.tell(self.conn, outcome.events, work.received_ms)
            await health.save(self.conn, healths)
            await health.save_offline(self.conn, gone, work.received_ms)
            await dead_letter.add(self.conn, letters)
            await live.announce(
                self.conn,
                [*((ward, "place") for ward in outcome.last_places), *((told.ward, "event") for told in events)],
            )
        return Done(list(keys), fresh, rows, corrected, outcome, events, notices, stale)

    async def _save(self, outcome: Outcome) -> None:
        await fix.save(self.conn, outcome.fixes)
        await fix.save_doubtful(self.conn, outcome.doubtful)
        await fix.save_last(self.conn, outcome.last_places.values())
        await presence.save(self.conn, outcome.presences)
        states = [
            TagState(self.roster.tag_ids[tag], self.engine.clock(tag), outcome.presses.get(tag))
            for tag in sorted({*outcome.clocks, *outcome.presses})
        ]
        await tagstate.save(self.conn, states)

    def _clock_of(self, detector: str) -> DetectorClock:
        return self.clocks.setdefault(detector, DetectorClock(tolerance_ms=self.tolerance_ms))

    def _heard(self, fresh: Sequence[Opened]) -> tuple[list[Heard], int]:
        parts, corrected = [], 0
        for number, opened in enumerate(fresh):
            clock = self._clock_of(opened.detector.id)
            newest_ms = int(opened.batch.last_heard_ms.max()) if len(opened.batch) else 0
            correction_ms = clock.correction_ms(
                sealed_ms=opened.header.sealed_at_ms, newest_ms=newest_ms, received_ms=opened.received_ms
            )
            error_ms = self.tolerance_ms if correction_ms else 0
            corrected += correction_ms != 0
            parts.append(heard(opened, number=number, correction_ms=correction_ms, clock_error_ms=error_ms))
        return parts, corrected

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


def _key(opened: Opened) -> Key:
    return opened.detector.id, opened.header.epoch, opened.header.sequence


def _cursor_rows(fresh: Sequence[Opened], every: Heard, kept: Heard, outcome: Outcome) -> list[BatchRow]:
    n = len(fresh)
    is_ours = outcome.resolved.tags >= 0
    is_doubted = is_ours & (outcome.resolved.flags & SUSPICIOUS != 0)
    rows = np.bincount(every.batches, minlength=n)
    counted = np.bincount(kept.batches, minlength=n)
    stored = np.bincount(kept.batches[is_ours], minlength=n)
    suspicious = np.bincount(kept.batches[is_doubted], minlength=n)
    return [
        BatchRow(
            _key(opened),
            opened.received_ms,
            rows=int(rows[number]),
            stored=int(stored[number]),
            unknown=int(counted[number] - stored[number]),
            suspicious=int(suspicious[number]),
            expired=int(rows[number] - counted[number]),
        )
        for number, opened in enumerate(fresh)
    ]


def _sightings(kept: Heard, outcome: Outcome, roster: Roster) -> Sightings:
    """Return the rows of tags of ours as they are stored, those of one tag together."""
    ours = np.flatnonzero(outcome.resolved.tags >= 0)
    order = ours[np.lexsort((kept.last_ms[ours], outcome.resolved.tags[ours]))]
    rows, tags = kept.take(order), roster.city.tags
    who = outcome.resolved.tags[order].tolist()
    return Sightings(
        rows.last_ms,
        rows.first_ms,
        np.array([tags[tag].index for tag in who], np.int32),
        rows.detectors,
        rows.counts,
        rows.rssi_best_dbm,
        rows.rssi_mean_dbm,
        outcome.resolved.flags[order],
        np.array([tags[tag].shard for tag in who], np.int16),
        rows.lat_deg,
        rows.lon_deg,
        rows.accuracy_m,
    )


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
