"""What is new in one micro-batch, and what the core makes of it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from server.core.engine import Engine, Outcome
from server.core.rows import Heard
from server.ingest import rows
from server.ingest.clocks import TOLERANCE_MS, DetectorClock
from server.ingest.gather import gather
from server.ingest.letters import LetterBudget
from server.ingest.open import Beat, Opened, Refused
from server.ingest.page import Found, Page
from server.ingest.parcel import Work
from server.ingest.roster import Roster
from server.ingest.seen import Seen
from server.store import retention
from server.store.batch import BatchRows
from server.store.connection import Connection
from server.store.dead_letter import DeadLetter
from server.store.health import Health, KnownClock
from wire.condition import Condition

MAX_LETTERS = 50


@dataclass(slots=True)
class Desk:
    """Thinks micro-batches through with one engine. After any error, of a page's writing too, it is to be thrown away.

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

    async def think(self, work: Work, before_asking: Callable[[], Awaitable[None]]) -> Page:
        """Return what is to be written of `work`.

        Args:
            work: what was opened.
            before_asking: awaited before the database is asked, which is seldom: nothing else may use it meanwhile.

        Raises:
            DatabaseError: this desk's engine may be ahead of the database.
        """
        healths, gone, stale = self._healths(work.beats)
        fresh = await self._seen.fresh(self.conn, work.opened, before_asking)
        cursors, outcome, corrected, found = await asyncio.to_thread(self._step, fresh, work.received_ms)
        letters = self.letters.admit(_letter(refused) for refused in work.refused[:MAX_LETTERS])
        return Page(work, fresh, cursors, corrected, outcome, found, healths, gone, stale, letters)

    def _step(self, fresh: Sequence[Opened], received_ms: int) -> tuple[BatchRows, Outcome, int, Found]:
        """Run the core over new batches, in a thread: it holds no lock of the interpreter."""
        every, corrected = self._heard(fresh)
        is_kept = every.last_ms >= retention.first_kept_ms(received_ms)
        outcome = self.engine.step(every if is_kept.all() else every.take(is_kept), received_ms)
        found = Found.of(outcome, self.engine, self.roster, received_ms)
        return rows.cursors(fresh, every, is_kept, outcome), outcome, corrected, found

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
        condition=said.condition or Condition(),
    )


def _letter(refused: Refused) -> DeadLetter:
    message = refused.message
    return DeadLetter(refused.detector, refused.reason, message.payload, message.received_ms)


def detector_clocks(known: Mapping[str, KnownClock], tolerance_ms: int) -> dict[str, DetectorClock]:
    """Return clocks as they were known before a stop."""
    return {name: DetectorClock(clock.offset_ms, tolerance_ms, clock.sent_ms) for name, clock in known.items()}
