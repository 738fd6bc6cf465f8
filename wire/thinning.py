"""What a queue gives up when it is full: by a stated rule, counted, and never the newest first.

The batches are sealed to the city: nobody here can read them, so whole batches go. The rule: a batch may go when the
gap that it leaves between its neighbours is small beside its age, at most `reach` times as long, both in batches.
Sweeps walk from the oldest batch to where no gap is allowed any more, and each gives up by lot every second batch that
may go; `reach` begins with a gap of two at the oldest batch and grows by a quarter with each sweep. So resolution in
time is lost in proportion to age, the newest keep all of it, and nowhere a hole opens: after twice as long without a
network as there is room for, every second of the older batches is there. The lot matters: batches of closed windows and
of first sights may alternate, and every second one would be all of one kind. Urgent batches, which may hold a call for
help, go only when no three others are left, by the same rule among themselves.

Sweeping begins when `SOFT` of the room is used and looks at `MOST_LOOKS` batches at most in the transaction of each
put: the work of a put is bounded, and a kill in between leaves either all of it or nothing.
"""

import secrets
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

MOST_LOOKS: Final = 64
MOST_GONE: Final = 16
SOFT: Final = 31 / 32
"""Batches smaller than a page give their room back only when their neighbours have gone too: the last thirty-second
part is for what comes until a sweep has got that far."""
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS thinning (
    only INTEGER PRIMARY KEY CHECK (only = 1), kind INTEGER NOT NULL, done_to INTEGER NOT NULL,
    newest INTEGER NOT NULL, reach REAL NOT NULL,
    batches INTEGER NOT NULL, rows INTEGER NOT NULL, from_ms INTEGER, to_ms INTEGER);
CREATE INDEX IF NOT EXISTS batch_by_urgency ON batch (urgent);
INSERT OR IGNORE INTO thinning VALUES (1, 0, 0, 0, 0, 0, 0, NULL, NULL);
"""
_THREE: Final = """
SELECT sequence, rows, created_ms FROM batch WHERE urgent = ? AND sequence >= ? ORDER BY sequence LIMIT 3
"""
_BOOK: Final = """
UPDATE thinning SET kind = ?, done_to = ?, newest = ?, reach = ?, batches = batches + ?, rows = rows + ?,
    from_ms = coalesce(min(from_ms, ?), ?), to_ms = coalesce(max(to_ms, ?), ?)
"""
_GROWTH: Final = 1.25
_MOST_REACH: Final = 2.0


@dataclass(frozen=True, slots=True)
class Thinned:
    """What was given up; `from_ms` to `to_ms`: when the oldest and the newest of it were put."""

    batches: int = 0
    rows: int = 0
    from_ms: int | None = None
    to_ms: int | None = None


class Candidate(NamedTuple):
    """A batch that a sweep looks at."""

    sequence: int
    rows: int
    created_ms: int


@dataclass(slots=True)
class Sweep:
    """Where the rule stands in one queue.

    Attributes:
        kind: of the batches, 1 = urgent.
        done_to: sequence that the sweep has got to.
        newest: sequence when the sweep began.
        reach: how long a gap may be, in ages.
        now: sequence of the next batch.
    """

    database: sqlite3.Connection
    kind: int
    done_to: int
    newest: int
    reach: float
    now: int

    @classmethod
    def of(cls, database: sqlite3.Connection) -> Self:
        """Return the sweep that the last put left."""
        row = database.execute("SELECT kind, done_to, newest, reach, next_sequence FROM thinning, state").fetchone()
        sweep = cls(database, *row)
        if sweep.kind and len(sweep._three(0, 0)) == 3:
            sweep.kind, sweep.done_to, sweep.reach = 0, sweep.now, 0.0  # others than urgent ones have come since
        return sweep

    def look(self, lot: Callable[[int], int]) -> Candidate | None:
        """Return the next batch if it is to go, None if it is to stay.

        Raises:
            LookupError: no three batches of a kind are left: nothing can go.
        """
        three = self._three(self.kind, self.done_to)
        if len(three) < 3 or self._may_span(three[1]) < 2:
            self._begin_anew()
            return None
        before, batch, after = three
        if after.sequence - before.sequence > self._may_span(batch) or lot(2):
            self.done_to = batch.sequence
            return None
        return batch

    def _may_span(self, batch: Candidate) -> float:
        return self.reach * (self.now - batch.sequence)

    def _begin_anew(self) -> None:
        three = self._three(self.kind, 0)
        if len(three) < 3 and self.kind == 0:
            self.kind, self.reach = 1, 0.0
            three = self._three(1, 0)
        if len(three) < 3:
            raise LookupError
        first = three[0].sequence
        if first > self.newest:
            self.reach = 0.0  # all that was there when the last sweep began has gone: this is another queue
        self.reach = min(max(self.reach * _GROWTH, 2 / (self.now - three[1].sequence)), _MOST_REACH)
        self.done_to, self.newest = first, self.now

    def _three(self, kind: int, start: int) -> list[Candidate]:
        return [Candidate(*row) for row in self.database.execute(_THREE, (kind, start))]


def thin(
    database: sqlite3.Connection, *, is_full: Callable[[], bool], lot: Callable[[int], int] = secrets.randbelow
) -> Thinned:
    """Give up batches inside the transaction of the caller until there is room, or as many as one put may.

    Args:
        database: in a transaction.
        is_full: asked before each look.
        lot: returns a number below its argument; a batch that may go stays unless it is 0.
    """
    if not is_full():
        return Thinned()
    sweep = Sweep.of(database)
    gone: list[Candidate] = []
    for _ in range(MOST_LOOKS):
        try:
            batch = sweep.look(lot)
        except LookupError:
            break
        if batch is not None:
            database.execute("DELETE FROM batch WHERE sequence = ?", (batch.sequence,))
            gone.append(batch)
            if len(gone) == MOST_GONE or not is_full():
                break
    return _booked(sweep, gone)


def _booked(sweep: Sweep, gone: list[Candidate]) -> Thinned:
    times_ms = [batch.created_ms for batch in gone]
    found = Thinned(
        len(gone), sum(batch.rows for batch in gone), min(times_ms, default=None), max(times_ms, default=None)
    )
    place = (sweep.kind, sweep.done_to, sweep.newest, sweep.reach)
    if gone:
        span = (found.from_ms, found.from_ms, found.to_ms, found.to_ms)
        sweep.database.execute(_BOOK, (*place, found.batches, found.rows, *span))
    else:
        sweep.database.execute("UPDATE thinning SET kind = ?, done_to = ?, newest = ?, reach = ?", place)
    return found


def total(database: sqlite3.Connection) -> Thinned:
    """Return what was given up since the outbox was made."""
    return Thinned(*database.execute("SELECT batches, rows, from_ms, to_ms FROM thinning").fetchone())
