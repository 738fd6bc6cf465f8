"""One measurement of ingest: find out what it bears, prepare so much, saturate it, then send at half that load."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psycopg

from bench import ledger
from bench.crowd import ROWS, Plan, Timetable, Town, speed_for
from bench.firehose import Firehose
from bench.ledger import Account
from bench.pipeline import Generator, Run, Site
from bench.uplink import Order

_GUESS_ROWS_PER_S = 300_000
_QUIET_S = 3.0
"""Wall time between saturating and pacing: the last receipts, what was sent twice, counting rows."""
_MORE = 1.6
"""Times as many batches are prepared as the first look says: it is short, and other things may have run beside it."""
_WARM_BATCHES = 300
"""Sent before anything is measured: a process loads its kernels and learns its detectors with the first of them."""
_MOST_BATCHES = 40_000
_LEAST_BATCHES = 200
_WARM = Order(0, _WARM_BATCHES, limit=150.0)


@dataclass(frozen=True, slots=True)
class Length:
    """How long it is looked at.

    Attributes:
        trial_batches: at most so many to find out what it bears; peers get the same.
        trial_s: likewise, wall time.
        saturate_s: about so long at full load.
        pace_s: so long at half load; 0: not at all.
    """

    trial_batches: int
    trial_s: float
    saturate_s: float
    pace_s: float


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found.

    Attributes:
        town: whose.
        speed: town seconds in a wall second.
        full: as fast as receipts came.
        half: at half that load, None where that was not asked for.
        stored: rows that table sighting gained at full load.
        account: of all that was sent.
        duplicates: batches that ingest says it saw before.
        forged: receipts that the city has not signed.
    """

    town: Town
    speed: float
    full: Run
    half: Run | None
    stored: int
    account: Account
    duplicates: int
    forged: int

    @property
    def rows_per_s(self) -> float:
        """Rows that table sighting gained in a second at full load."""
        return self.stored / self.full.sent.took_s


class Trial:
    """A site with its sealing processes, measured once.

    Args:
        site: with a town that has sent nothing yet.
        hose: seals for it.
        length: how long to look.
    """

    def __init__(self, site: Site, hose: Firehose, length: Length) -> None:
        self._site, self._hose, self._length = site, hose, length
        self._timetable = Timetable(site.town)
        self._sent: list[tuple[Plan, Path]] = []
        self._forged = self._duplicates = 0

    @property
    def trial_spool(self) -> Path:
        """The batches of the first look, for peers."""
        return self._sent[0][1]

    @property
    def until_ms(self) -> int:
        """Town time up to which has been sent."""
        return self._timetable.now_ms

    def measure(self) -> Measured:
        """Return the figures.

        Raises:
            PipelineError: a program did not do its part.
        """
        found = self._look()
        town, length = self._site.town, self._length
        batches = min(max(round(_MORE * found.rows_per_s * length.saturate_s / ROWS), _LEAST_BATCHES), _MOST_BATCHES)
        speed, start_ms = speed_for(town, found.rows_per_s), self._timetable.now_ms
        full_plan = self._timetable.draw(_WARM_BATCHES + batches, rows_per_s=found.rows_per_s, speed=speed)
        self._timetable.now_ms = start_ms  # what is not sent in time is never sent
        self._timetable.pause(length.saturate_s + _QUIET_S, speed=speed)
        half_batches = min(round(found.rows_per_s / 2 * length.pace_s / ROWS), _MOST_BATCHES)
        plan = full_plan + self._timetable.draw(half_batches, rows_per_s=found.rows_per_s / 2, speed=speed)
        with Generator(self._site, self._spool(plan)) as load:
            full, half, stored = self._both(load, plan, len(full_plan), (speed, found.sent.limit))
        return Measured(town, speed, full, half, stored, self._settle(), self._duplicates, self._forged)

    def _look(self) -> Run:
        """Return what comes of a first run, in which everything warms up too."""
        town, length = self._site.town, self._length
        start_ms, speed = self._timetable.now_ms, speed_for(town, _GUESS_ROWS_PER_S)
        batches = _WARM_BATCHES + length.trial_batches
        plan = self._timetable.draw(batches, rows_per_s=_GUESS_ROWS_PER_S, speed=speed)
        self._timetable.pause(60, speed=1)
        with Generator(self._site, self._spool(plan)) as load, self._site.ingest(town_ms=start_ms, speed=speed) as now:
            self._run(load, _WARM, now.pid)
            return self._run(load, replace(_WARM, first=_WARM.stop, stop=len(plan), most_s=length.trial_s), now.pid)

    def _both(
        self, load: Generator, plan: Plan, n_full: int, guess: tuple[float, float]
    ) -> tuple[Run, Run | None, int]:
        """Return the runs at full and at half load, and the rows stored in the first."""
        speed, limit = guess
        with self._site.ingest(town_ms=int(plan.due_ms[0]), speed=speed) as now:
            self._run(load, _WARM, now.pid)
            before = self._site.count("sighting")
            order = Order(_WARM.stop, n_full, limit=limit, most_s=self._length.saturate_s)
            full = self._run(load, order, now.pid)
            stored = self._site.count("sighting") - before
            if not self._length.pace_s:
                return full, None, stored
            now.wait_for(int(plan.due_ms[n_full]))
            pace = Order(n_full, len(plan), rows_per_s=full.rows_per_s / 2, most_s=2 * self._length.pace_s + 10)
            return full, self._run(load, pace, now.pid), stored

    def _run(self, load: Generator, order: Order, pid: int) -> Run:
        before = self._seen_before()
        done = load.run(order, {"ingest": pid, **self._site.pids()})
        self._site.wait_until_quiet()
        self._duplicates += self._seen_before() - before
        self._forged += done.forged
        return done

    def _seen_before(self) -> int:
        return int(self._site.metrics().get('mimamori_ingest_batches_total{result="duplicate"}', 0))

    def _spool(self, plan: Plan) -> Path:
        folder = self._site.folder / f"spool-{len(self._sent)}"
        self._hose.spool(plan, folder)
        self._sent.append((plan, folder))
        return folder

    def _settle(self) -> Account:
        sent = [(plan, np.load(folder / "settled.npy")) for plan, folder in self._sent]
        with psycopg.connect(self._site.settings.dsn()) as conn:
            return ledger.settle(conn, self._site.town, sent)
