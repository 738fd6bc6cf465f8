"""Ingest end to end: sealed MQTT batches in, rows committed, signed receipts out, everything on this machine.

make bench-ingest                     # three sizes of a city, peers, about eight minutes
make bench-ingest JSON=1 SMALL=1      # one size, under a minute; the last line is JSON
"""

import argparse
import contextlib
import math
import os
import signal
import sys
import time
from dataclasses import dataclass
from typing import Final

import psycopg

from bench import plain, store_copy
from bench.crowd import FOREIGN, HEARERS, ROWS, Town
from bench.firehose import Firehose
from bench.job import AbsentError
from bench.measure import slope
from bench.pipeline import Run, Site
from bench.plain import TITLES, Match
from bench.report import Report
from bench.trial import Length, Measured, Trial

DSN: Final = "MIMAMORI_BENCH_DSN"
"""Environment variable: a PostgreSQL with TimescaleDB, to run there too."""
PROCESSES: Final = ("ingest", "database", "broker", "load")


@dataclass(frozen=True, slots=True)
class Scope:
    """How much is measured.

    Attributes:
        towns: from the smallest to the largest.
        reference: of the figures and the peers.
        length: there.
        growth: at the other sizes.
        peer_s: how long peers are sent to.
        copy_rows: of one COPY.
        copy_runs: of each.
    """

    towns: tuple[Town, ...]
    reference: Town
    length: Length
    growth: Length
    peer_s: float
    copy_rows: int
    copy_runs: int


_TOWN: Final = Town(20_000, 1_500)
FULL: Final = Scope(
    towns=(Town(2_000, 150), _TOWN, Town(200_000, 15_000)),
    reference=_TOWN,
    length=Length(4_000, 4.0, saturate_s=15.0, pace_s=20.0),
    growth=Length(4_000, 4.0, saturate_s=10.0, pace_s=0.0),
    peer_s=8.0,
    copy_rows=50_000,
    copy_runs=15,
)
_SMALL_TOWN: Final = Town(5_000, 200)
SMALL: Final = Scope(
    towns=(_SMALL_TOWN,),
    reference=_SMALL_TOWN,
    length=Length(1_200, 0.7, saturate_s=4.0, pace_s=4.0),
    growth=Length(1_200, 0.7, saturate_s=4.0, pace_s=0.0),
    peer_s=1.5,
    copy_rows=50_000,
    copy_runs=5,
)


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure and what it should be.

    Attributes:
        figure: its name among the figures.
        title: for people.
        least: it should be at least so much, if not None.
        below: it should be below that, if not None.
    """

    figure: str
    title: str
    least: float | None = None
    below: float | None = None

    @property
    def text(self) -> str:
        """The goal, for people."""
        return f"≥ {self.least:,.6g}" if self.least is not None else f"< {self.below:,.6g}"

    def is_met(self, figures: dict[str, object]) -> bool | None:
        """Return whether it is met, None where there is no figure."""
        found = figures.get(self.figure)
        if not isinstance(found, int | float) or math.isnan(found):
            return None
        return (self.least is None or found >= self.least) and (self.below is None or found < self.below)


GOALS: Final = (
    Goal("sightings_per_s", "raw sightings a second, in committed batches", least=1_000_000),
    Goal("rows_per_s", "rows of table sighting a second"),
    Goal("p50_ms", "half load: due → receipt, median, ms"),
    Goal("p99_ms", "half load: due → receipt, 99th of a hundred, ms", below=1_000),
    Goal("rss_mb", "most memory of the ingest process, MB"),
    Goal("vs_plain", "× plain program", least=30),
    Goal("vs_redis", "× plain program with Redis"),
    Goal("copy_ratio", "our COPY × psql's", least=0.9),
    Goal("lost", "sightings lost", below=1),
    Goal("doubled", "sightings doubled", below=1),
)


def main() -> None:
    """Measure, show and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--small", action="store_true", help="one small city, a few seconds each")
    options = parser.parse_args()
    # What was started is stopped by the contexts that started it, on SIGTERM as on Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    scope, report, start_s = SMALL if options.small else FULL, Report("ingest"), time.monotonic()
    from bench.machine import processor_name  # noqa: PLC0415 - brings numba, which the processes that seal do without

    found = processor_name(), len(os.sched_getaffinity(0)), os.getloadavg()[0]
    report.say(f"{found[0]}, {found[1]} cores, load {found[2]:.1f}")
    report.figures |= {"processor": found[0], "cores": found[1], "load": found[2], "is_small": options.small}
    report.figures["absent"] = absent = dict[str, str]()
    growth = {town: show_town(report, scope, town, absent) for town in scope.towns}
    show_growth(report, growth)
    show_timescale(report, scope, absent)
    show_goals(report)
    report.figures |= {"load_after": os.getloadavg()[0], "took_s": time.monotonic() - start_s}
    report.finish(as_json=options.json)


def show_town(report: Report, scope: Scope, town: Town, absent: dict[str, str]) -> Measured:
    """Measure a city; at the reference show all there is to it, with peers and the store alone."""
    is_reference = town == scope.reference
    report.say(f"a city of {town.n_tags:,} tags and {town.n_detectors:,} detectors …")
    with Site(town) as site, Firehose(town, site.city_file) as hose:
        length = scope.length if is_reference else scope.growth
        trial = Trial(site, hose, length)
        found = trial.measure()
        if is_reference:
            show_load(report, found)
            match = Match(site, trial.trial_spool, length.trial_batches, trial.until_ms, scope.peer_s)
            show_peers(report, found.full, match, absent)
            show_copy(report, store_copy.measure(site, scope.copy_rows, scope.copy_runs))
    return found


def show_load(report: Report, found: Measured) -> None:
    """Show what ingest bears, what it costs whom, and whether all is there."""
    full, half, account = found.full, found.half, found.account
    runs = {"full load": full} | ({} if half is None else {"half load": half})
    report.table(
        f"Ingest, {found.town.n_tags:,} tags, {found.town.n_detectors:,} detectors, batches of {ROWS} "
        f"({FOREIGN} foreign), each tag heard 10 times by {HEARERS} detectors; the town runs {found.speed:.1f} ×",
        [
            "",
            "sightings/s",
            "batches",
            "seconds",
            "p50 ms",
            "p99 ms",
            "worst ms",
            "on their way",
            "again",
            "twice",
            "RSS MB",
        ],
        [[name, *_figures(run)] for name, run in runs.items()],
    )
    report.say(
        "ms until the receipt is here, from when the batch was due (full load: was sent). The commit is before the "
        "receipt, so these are upper bounds of publish → commit too."
    )
    report.table(
        "Processor seconds for a million raw sightings: what bounds it",
        ["", *PROCESSES, "together", "cores kept busy"],
        [_costs(name, run) for name, run in runs.items()],
    )
    report.table(
        "Account of all batches with a receipt, by tag and detector",
        ["sightings of ours sent", "stored", "lost", "doubled", "batches miscounted", "seen before", "forged receipts"],
        [
            [
                f"{account.sent:,}",
                account.stored,
                account.lost,
                account.doubled,
                account.miscounted,
                found.duplicates,
                found.forged,
            ]
        ],
    )
    report.figures |= {
        "tags": found.town.n_tags,
        "detectors": found.town.n_detectors,
        "town_speed": found.speed,
        "sightings_per_s": full.rows_per_s,
        "rows_per_s": found.rows_per_s,
        "p50_ms": half.sent.p50_ms if half else None,
        "p99_ms": half.sent.p99_ms if half else None,
        "full_load_p50_ms": full.sent.p50_ms,
        "full_load_p99_ms": full.sent.p99_ms,
        "half_load_sightings_per_s": half.rows_per_s if half else None,
        "rss_mb": max(run.rss_mb for run in runs.values()),
        "cpu_s_per_million": full.cpu_s_per_million,
        "cpu_s_per_million_at_half_load": half.cpu_s_per_million if half else None,
        "sent": account.sent,
        "lost": account.lost,
        "doubled": account.doubled,
        "miscounted_batches": account.miscounted,
        "unreceipted_batches": sum(run.sent.unreceipted for run in runs.values()),
        "refused_batches": sum(run.sent.refused for run in runs.values()),
        "sent_again": sum(run.sent.again for run in runs.values()),
        "sent_twice": sum(run.sent.twice for run in runs.values()),
        "duplicates_seen": found.duplicates,
        "forged_receipts": found.forged,
    }


def _figures(run: Run) -> list[object]:
    sent = run.sent
    waits = [sent.p50_ms, sent.p99_ms, sent.max_ms]
    return [run.rows_per_s, sent.batches, sent.took_s, *waits, round(sent.limit), sent.again, sent.twice, run.rss_mb]


def _costs(name: str, run: Run) -> list[object]:
    spent = run.cpu_s_per_million
    busy = sum(run.cpu_s.values()) / run.sent.took_s if run.sent.took_s else math.nan
    return [name, *(spent.get(process, "–") for process in PROCESSES), sum(spent.values()), busy]


def show_peers(report: Report, ours: Run, match: Match, absent: dict[str, str]) -> None:
    """Show the plain program under the same load, with either store."""
    found: dict[str, Run] = {}
    for name, against in (("plain", plain.against_postgres), ("redis", plain.against_redis)):
        try:
            found[name] = against(match)
        except AbsentError as error:
            absent[name] = error.how
    rows = [["ingest", 1, *_peer(ours)]]
    rows += [[TITLES[name], ours.rows_per_s / run.rows_per_s, *_peer(run)] for name, run in found.items()]
    rows += [[f"{name}: ABSENT, {absent[name]}", *[""] * 6] for name in TITLES if name in absent]
    report.table(
        "The same load on others; processor seconds for a million raw sightings",
        ["", "× slower", "sightings/s", *PROCESSES],
        rows,
    )
    bars = {"ingest": ours.rows_per_s} | {TITLES[name].partition(":")[0]: run.rows_per_s for name, run in found.items()}
    report.bars("peers", "Sealed batches to committed rows and receipts", bars, "raw sightings per second")
    report.figures |= {
        f"vs_{name}": ours.rows_per_s / found[name].rows_per_s if name in found else None for name in TITLES
    }
    report.figures |= {
        "peers_sightings_per_s": {name: run.rows_per_s for name, run in found.items()},
        "peers_cpu_s_per_million": {name: run.cpu_s_per_million for name, run in found.items()},
    }


def _peer(run: Run) -> list[object]:
    spent = run.cpu_s_per_million
    return [run.rows_per_s, *(spent.get(process, "–") for process in PROCESSES)]


def show_copy(report: Report, found: store_copy.Copied) -> None:
    """Show the store alone."""
    report.table(
        f"COPY of {found.rows:,} rows into the same empty table, by the clock",
        ["", "rows/s", "× psql"],
        [
            ["server.store.sighting: pack and copy", found.rows_per_s("ours"), found.ratio],
            ["psql \\copy of the same octets in a file", found.rows_per_s("psql"), 1],
        ],
    )
    report.figures |= {
        "copy_ratio": found.ratio,
        "copy_rows_per_s": {name: found.rows_per_s(name) for name in ("ours", "psql")},
    }


def show_growth(report: Report, found: dict[Town, Measured]) -> None:
    """Show how throughput changes with the size of the city."""
    by_tags = {town.n_tags: one.full.rows_per_s for town, one in found.items()}
    spent = {town.n_tags: one.full.cpu_s_per_million for town, one in found.items()}
    report.figures |= {
        "sightings_per_s_by_tags": by_tags,
        "cpu_s_per_million_by_tags": spent,
        "lost_by_tags": {town.n_tags: one.account.lost for town, one in found.items()},
        "doubled_by_tags": {town.n_tags: one.account.doubled for town, one in found.items()},
        "slope_per_decade": None,
    }
    if len(found) < 2:
        return
    grows = slope(by_tags)
    report.table(
        f"By size; ten times the tags and detectors: {grows:.2f} × the sightings a second",
        ["tags", "detectors", "sightings/s", *PROCESSES, "lost", "doubled", "RSS MB"],
        [
            [
                f"{town.n_tags:,}",
                town.n_detectors,
                one.full.rows_per_s,
                *(spent[town.n_tags].get(process, "–") for process in PROCESSES),
                one.account.lost,
                one.account.doubled,
                one.full.rss_mb,
            ]
            for town, one in found.items()
        ],
    )
    report.growth("growth", "Ingest, end to end", {"ingest": by_tags}, ("registered tags", "raw sightings per second"))
    report.figures["slope_per_decade"] = grows


def show_timescale(report: Report, scope: Scope, absent: dict[str, str]) -> None:
    """Run on TimescaleDB too, where there is one."""
    dsn = os.environ.get(DSN, "")
    how = "" if dsn else f"{DSN} names no database that has it"
    if dsn and not _has_timescale(dsn):
        how = f"the server that {DSN} names has no TimescaleDB"
    if how:
        absent["timescale"] = how
        report.figures["timescale"] = f"absent: {how}"
        report.say(f"TimescaleDB: ABSENT, {how}")
        return
    with Site(scope.reference, dsn) as site, Firehose(site.town, site.city_file) as hose:
        found = Trial(site, hose, scope.growth).measure()
    report.say(f"on TimescaleDB: {found.full.rows_per_s:,.0f} sightings/s, lost {found.account.lost}")
    report.figures["timescale"] = {
        "sightings_per_s": found.full.rows_per_s,
        "rows_per_s": found.rows_per_s,
        "cpu_s_per_million": found.full.cpu_s_per_million,
        "lost": found.account.lost,
        "doubled": found.account.doubled,
    }


def _has_timescale(dsn: str) -> bool:
    with contextlib.suppress(psycopg.Error), psycopg.connect(dsn, connect_timeout=5) as conn:
        return conn.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'timescaledb'").fetchone() is not None
    return False


def show_goals(report: Report) -> None:
    """Show the figures beside their goals."""
    said = {True: "met", False: "NOT MET", None: "not measured"}
    rows = []
    for goal in GOALS:
        has_goal = goal.least is not None or goal.below is not None
        is_met = goal.is_met(report.figures)
        value = report.figures.get(goal.figure)
        rows.append(
            [
                goal.title,
                "–" if value is None else value,
                goal.text if has_goal else "",
                said[is_met] if has_goal else "",
            ]
        )
    report.table("Figures and goals", ["", "figure", "goal", ""], rows)
    goals = [goal for goal in GOALS if goal.least is not None or goal.below is not None]
    report.figures["goals_met"] = {goal.figure: goal.is_met(report.figures) for goal in goals}


if __name__ == "__main__":
    main()
