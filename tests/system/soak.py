"""The soak: the whole chain for minutes, kill -9 at random moments, and at the end nothing lost and nothing twice.

make soak                            # ten minutes
make soak MINUTES=60 SEED=7 JSON=1   # an hour, the same choices each time; the last line is JSON
make soak SPARE=ingest               # never kills ingest: its memory over the whole time

What left the radio is the simulator's truth, counted by detector and tag; what arrived is asked of the store.
"""

import argparse
import contextlib
import json
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil
import psycopg
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from server.demo.options import DemoOptions
from server.store.totals import read as read_totals
from tests.system.deaths import VICTIMS, Deaths
from tests.system.village import Village, founded
from wire import logs

SPEED = 20.0
LONGEST_S = 48 * 3600.0
"""Town time that a soak may take: sightings are kept for 72 hours, and what is gone could not be counted."""
MEASURED = ("ingest", "api", "notify", "edge", "phones")
"""Our own programs that last, each one process."""
LOADED_S = 5.0
"""After so long a program has loaded what it needs, and its memory can be compared."""
WIDTH = 130
"""Of the table where nobody watches."""
MIB = 1024 * 1024


@dataclass
class Memory:
    """Resident memory of the programs, MiB, sampled; a killed one goes on with its successor.

    Attributes:
        start: when first seen, by part.
        end: when last seen.
        most: ever seen.
    """

    start: dict[str, float] = field(default_factory=dict)
    end: dict[str, float] = field(default_factory=dict)
    most: dict[str, float] = field(default_factory=dict)

    def sample(self, village: Village) -> None:
        """Look once at every program that has lived long enough to have loaded what it needs."""
        for name, pid in village.supervisor.pids().items():
            with contextlib.suppress(psutil.NoSuchProcess):  # it may end at any moment
                process = psutil.Process(pid)
                if name in MEASURED and time.time() - process.create_time() > LOADED_S:
                    self.note(name, process.memory_info().rss / MIB)

    def note(self, name: str, mib: float) -> None:
        """Take one sample."""
        self.start.setdefault(name, mib)
        self.end[name] = mib
        self.most[name] = max(mib, self.most.get(name, 0.0))

    def by_part(self) -> dict[str, dict[str, float]]:
        """Return the figures part by part."""
        return {part: {what: round(mib[part], 1) for what, mib in asdict(self).items()} for part in self.start}


@dataclass(frozen=True, slots=True)
class Sum:
    """What a soak found.

    Attributes:
        sent: packets that left the radio for a detector.
        stored: packets in the store.
        lost: packets missing in the store, over detectors and tags.
        doubled: packets too many there, likewise.
        said_twice: events that were told again.
        rows: of sightings that were stored.
        events: arrivals, departures and SOS.
    """

    sent: int
    stored: int
    lost: int
    doubled: int
    said_twice: int
    rows: int
    events: int

    @property
    def is_good(self) -> bool:
        """Whether all that was sent is there once. Nothing sent proves nothing."""
        return self.sent > 0 and not (self.lost or self.doubled or self.said_twice)


def main() -> int:
    """Soak, show and tell; 1 if anything was lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long programs are killed")
    parser.add_argument("--seed", type=int, help="of the choices whom to kill when; without it another each time")
    parser.add_argument("--spare", action="append", default=[], choices=VICTIMS, help="never kill this one")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    asked = parser.parse_args()
    seed = secrets.randbelow(10**6) if asked.seed is None else asked.seed
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no program outlives the soak
    console = Console(highlight=False) if sys.stdout.isatty() else Console(width=WIDTH, highlight=False)
    started_s = time.monotonic()
    found, facts = run(asked.minutes, seed, [name for name in VICTIMS if name not in asked.spare], console)
    if asked.json:
        facts |= {"seed": seed, "seconds": round(time.monotonic() - started_s, 1)}
        print(json.dumps({"minutes": asked.minutes, **facts}), flush=True)  # noqa: T201 - the line that scripts read
    return 0 if found.is_good else 1


def run(minutes: float, seed: int, victims: Sequence[str], console: Console) -> tuple[Sum, dict[str, object]]:
    """Found a village, soak it and print what came out; its state stays only if that is wrong or it got stuck."""
    place = Path(tempfile.mkdtemp(prefix="mms-"))
    place.chmod(0o755)  # PostgreSQL's own account has to get in
    console.print(f"seed {seed}, state and logs in {place}", soft_wrap=True)
    logs.configure(stream=(place / "soak.log").open("a"))  # the supervisor's lines, open as long as the process
    options = DemoOptions(state_dir=place / "v", speed=min(SPEED, LONGEST_S / (minutes * 60 + 600)), has_camera=False)
    with founded(Village(options, "nats")) as village:
        deaths = Deaths(village, seed, victims)
        memory = soak(deaths, minutes * 60, console)
        found = sum_up(village)
        show(console, deaths, memory, found)
        if not found.is_good:
            console.print(f"wrong, by detector and tag, as sent and as stored: {village.wrong()}", soft_wrap=True)
    if found.is_good:
        shutil.rmtree(place, ignore_errors=True)
    return found, {"kills": dict(deaths.kills), **asdict(found), "rss_mib": memory.by_part()}


def soak(deaths: Deaths, seconds: float, console: Console) -> Memory:
    """Kill for so long, then deliver all that is still on its way; return what memory that took."""
    village, memory, rows = deaths.village, Memory(), 0

    def told() -> str:
        killed = ", ".join(f"{name} {deaths.kills[name]}" for name in deaths.victims)
        return f"killed: {killed}; rows stored: {rows:,}"

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.fields[told]}"))
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("soaking", total=seconds, told="")
        started_s = time.monotonic()
        while (passed_s := time.monotonic() - started_s) < seconds:
            memory.sample(village)
            rows = rows_so_far(village, rows)
            progress.update(task, completed=passed_s, told=told())
            deaths.strike()
        memory.sample(village)
        progress.update(task, completed=seconds, description="delivering", told=told())
        village.deliver_all()
        village.until(lambda: read_totals(village.settings.dsn()).notices_waiting == 0)
        memory.sample(village)
        rows = rows_so_far(village, rows)
        progress.update(task, description="delivered", told=told())
    return memory


def rows_so_far(village: Village, before: int) -> int:
    """Return how many rows are stored, `before` where the database is just dead."""
    try:
        return read_totals(village.settings.dsn()).stored
    except psycopg.Error:
        return before


def sum_up(village: Village) -> Sum:
    """Compare the simulator's truth with the store."""
    wrong, totals = village.wrong().values(), read_totals(village.settings.dsn())
    return Sum(
        sent=sum(village.truth().values()),
        stored=sum(village.stored().values()),
        lost=sum(max(0, sent - stored) for sent, stored in wrong),
        doubled=sum(max(0, stored - sent) for sent, stored in wrong),
        said_twice=village.said_twice(),
        rows=totals.stored,
        events=totals.events,
    )


def show(console: Console, deaths: Deaths, memory: Memory, found: Sum) -> None:
    """Print a table of the parts and one of the sum."""
    parts = Table(title="parts", title_justify="left")
    for column in ("part", "kills", "MiB at the start", "at the end", "at most"):
        parts.add_column(column, justify="left" if column == "part" else "right")
    for name in (*VICTIMS, *(name for name in MEASURED if name not in VICTIMS)):
        sampled = (one.get(name) for one in (memory.start, memory.end, memory.most))
        parts.add_row(name, str(deaths.kills[name]), *("" if mib is None else f"{mib:.0f}" for mib in sampled))
    console.print(parts)
    counts = Table(title="nothing lost, nothing twice" if found.is_good else "WRONG", title_justify="left")
    for name in asdict(found):
        counts.add_column(name.replace("_", " "), justify="right")
    counts.add_row(*(f"{count:,}" for count in asdict(found).values()))
    console.print(counts)


if __name__ == "__main__":
    sys.exit(main())
