"""The store alone: our packing and COPY of sightings beside that of psql, which reads the same octets from a file."""

import asyncio
import subprocess
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import psycopg

from bench.crowd import START_MS
from bench.measure import Race, alternate
from bench.pipeline import PipelineError, Site
from server.embedded import place
from server.store import sighting
from server.store.connection import connect
from server.store.sighting import Sightings

TABLE: Final = """sighting (ts, first_at, tag_index, detector_index, count, rssi_best_dbm, rssi_mean_dbm, flags,
    shard, lat_deg, lon_deg, accuracy_m, battery_dv)"""
_SPAN_MS: Final = 600_000


@dataclass(frozen=True, slots=True)
class Copied:
    """What was measured.

    Attributes:
        rows: of one COPY.
        race: ns by who copied, by the clock: the database's time is what counts.
    """

    rows: int
    race: Race

    @property
    def ratio(self) -> float:
        """Our rows a second over psql's: the median over runs that followed each other."""
        return self.race.ratio("psql", "ours")

    def rows_per_s(self, name: str) -> float:
        """Return the rows that one of them writes in a second."""
        return self.rows / self.race.median(name) * 1e9


def measure(site: Site, rows: int, runs: int) -> Copied:
    """Let both write the same rows into the empty table, in turn."""
    made = sightings(rows)
    file = site.folder / "sightings.pgcopy"
    file.write_bytes(b"".join(sighting.pack(made)))
    race = alternate({"ours": lambda: _ours(site, made), "psql": lambda: _psql(site, file)}, runs)
    _empty(site)
    return Copied(rows, race)


def sightings(n: int) -> Sightings:
    """Return rows of ten minutes as ingest writes them: those of fixed detectors, in order of time."""
    rng = np.random.default_rng(5)
    last_ms = START_MS + np.sort(rng.integers(0, _SPAN_MS, n))
    nowhere = np.full(n, np.nan)
    return Sightings(
        last_ms,
        last_ms - rng.integers(0, 9_000, n),
        rng.integers(1, 20_000, n).astype(np.int32),
        rng.integers(1, 1_500, n).astype(np.int32),
        np.full(n, 10, np.int32),
        rng.integers(-90, -50, n).astype(np.int16),
        rng.integers(-90, -50, n).astype(np.int16),
        np.full(n, 10, np.int16),
        rng.integers(0, 256, n).astype(np.int16),
        nowhere,
        nowhere,
        nowhere.astype(np.float32),
        np.full(n, -1, np.int16),
    )


def _ours(site: Site, rows: Sightings) -> float:
    _empty(site)
    return asyncio.run(_timed(site, lambda conn: sighting.copy(conn, rows)))


async def _timed(site: Site, work: Callable[[psycopg.AsyncConnection], Awaitable[None]]) -> float:
    conn = await connect(site.settings.dsn())
    try:
        start_ns = time.perf_counter_ns()
        async with conn.transaction():
            await work(conn)
        return float(time.perf_counter_ns() - start_ns)
    finally:
        await conn.close()


def _psql(site: Site, file: Path) -> float:
    """Return psql's own timing, so that its start does not count."""
    _empty(site)
    program = place.of(site.settings.state_dir).bin_dir / "psql"
    script = f"\\timing on\n\\copy {' '.join(TABLE.split())} FROM '{file}' (FORMAT BINARY)\n"
    command = [str(program), "--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1", site.settings.dsn()]
    done = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
    times = [line for line in done.stdout.splitlines() if line.startswith("Time:")]
    if done.returncode != 0 or not times:
        raise PipelineError(f"psql: {done.stderr.strip()}")
    return float(times[-1].split()[1]) * 1e6


def _empty(site: Site) -> None:
    with psycopg.connect(site.settings.dsn(), autocommit=True) as conn:
        conn.execute("TRUNCATE sighting")
        conn.execute("CHECKPOINT")
