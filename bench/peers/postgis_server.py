"""PostGIS: COPY of the bucket, one join and group-by for pairs, one for places with an upsert into a GiST index.

Only the processor time of the server's own process of our connection counts. It is set up to its advantage: nothing is
made durable, tables are not logged, and a whole bucket comes in one statement.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, LiteralString, Self, TypeAlias

import numpy as np
import psycopg
from numpy.typing import NDArray

from bench.job import M_PER_DEG, MIN_ACCURACY_M, AbsentError, Answer, Job
from bench.measure import cpu_ns_of_process
from bench.world import BUCKET_MS

_START_S = 20.0
Column: TypeAlias = tuple[NDArray[np.signedinteger] | NDArray[np.floating], str]
_OPTIONS: Final = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "8GB",
    "shared_buffers": "1GB",
    "work_mem": "256MB",
    "maintenance_work_mem": "512MB",
    "jit": "off",
    "autovacuum": "off",
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
}
_SCHEMA: LiteralString = """
create unlogged table id_tag (id bigint, tag int);
create unlogged table detector (detector int primary key, lat float8, lon float8);
create unlogged table weight (rssi smallint primary key, w float8);
create unlogged table heard (id bigint, detector int, rssi smallint, at_ms bigint);
create unlogged table pair (tag int, detector int, bucket bigint, rssi smallint, at_ms bigint);
create unlogged table home (tag int, lat float8, lon float8);
create unlogged table place (tag int primary key, at geography(point), accuracy real, heard_at_ms bigint)
  with (fillfactor = 70);
"""
_FILL: LiteralString = """
insert into place select tag, st_makepoint(lon, lat)::geography, 100, 0 from home;
create index on place using gist (at);
create index on id_tag (id) include (tag);
"""
_PAIRS: LiteralString = """
insert into pair
select tag, detector, at_ms / %s, max(rssi), max(at_ms) from heard join id_tag using (id) group by 1, 2, 3
"""
_FIXES: LiteralString = """
create temporary table fix as
select tag, lat, lon, at_ms, greatest(%s::float8, sqrt((n / total
    + (lat2 - lat * lat + (lon2 - lon * lon) * cos(radians(lat)) ^ 2) * %s::float8 ^ 2) / sqrt(n))) as accuracy
from (
  select tag, sum(w * lat) / sum(w) as lat, sum(w * lon) / sum(w) as lon, sum(w * lat * lat) / sum(w) as lat2,
    sum(w * lon * lon) / sum(w) as lon2, sum(w) as total, count(*) as n, max(at_ms) as at_ms
  from pair join detector using (detector) join weight using (rssi) group by tag, bucket
) as middle
"""
_UPSERT: LiteralString = """
insert into place select tag, st_makepoint(lon, lat)::geography, accuracy, at_ms from fix
on conflict (tag) do update set at = excluded.at, accuracy = excluded.accuracy, heard_at_ms = excluded.heard_at_ms
"""

_KEPT: LiteralString = "select tag::bigint << 32 | detector from pair"
_PLACED: LiteralString = """
select tag, st_y(place.at::geometry), st_x(place.at::geometry), place.accuracy, heard_at_ms
from fix join place using (tag)
"""


class Cluster:
    """A PostgreSQL with PostGIS of its own on a socket in a temporary folder; gone with the `with`."""

    def __init__(self) -> None:
        extensions = sorted(Path("/usr/share/postgresql").glob("*/extension/postgis.control"))
        if not extensions:
            raise AbsentError("postgis", "make bench-peers (Debian: postgresql-15-postgis-3)")
        version = extensions[-1].parts[4]
        self._bin = Path(f"/usr/lib/postgresql/{version}/bin")
        self._user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
        self._folder = tempfile.mkdtemp(prefix="mimamori-postgis-")
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        shutil.chown(self._folder, self._user)
        self._run("initdb", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C", f"{self._folder}/data")
        options = [f"--{name}={value}" for name, value in _OPTIONS.items()]
        self._server = subprocess.Popen(
            [
                self._bin / "postgres",
                "-D",
                f"{self._folder}/data",
                f"--unix_socket_directories={self._folder}",
                *options,
            ],
            user=self._user,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline_s = time.monotonic() + _START_S
        while True:
            try:
                self.connect().close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline_s or self._server.poll() is not None:
                    self.__exit__()
                    raise AbsentError("postgis", "PostgreSQL did not start") from None
                time.sleep(0.05)
            else:
                return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.send_signal(signal.SIGINT)  # fast shutdown
            self._server.wait(30)
        shutil.rmtree(self._folder, ignore_errors=True)

    def connect(self) -> psycopg.Connection:
        """Return a connection that commits by itself."""
        return psycopg.connect(host=self._folder, dbname="postgres", user=self._user, autocommit=True)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run([self._bin / program, *arguments], user=self._user, check=True, stdout=subprocess.DEVNULL)


class PostGis:
    """All that is known beforehand is in tables with their indexes; the bucket comes by binary COPY, timed too."""

    name = "postgis"

    def __init__(self, job: Job) -> None:
        self._job = job
        self._cluster = Cluster()
        self.steps: dict[str, float] = {}
        self.title = "PostGIS, its server"

    def __enter__(self) -> Self:
        self._cluster.__enter__()
        try:
            self._fill()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _fill(self) -> None:
        self._connection = self._cluster.connect()
        world, n = self._job.world, self._job.world.size.n_detectors
        self._connection.execute("create extension postgis")
        self._connection.execute(_SCHEMA)
        row = self._connection.execute("select postgis_lib_version(), current_setting('server_version')").fetchone()
        self.title = f"PostGIS {row[0]} on PostgreSQL {row[1].split(' ')[0]}, its server" if row else self.title
        ids: dict[str, Column] = {"id": (world.ids.ravel().view(np.int64), ">i8"), "tag": (world.id_tags(), ">i4")}
        copy(self._connection, "copy id_tag from stdin (format binary)", ids)
        detectors: dict[str, Column] = {
            "detector": (np.arange(n), ">i4"),
            "lat": (world.lat_deg, ">f8"),
            "lon": (world.lon_deg, ">f8"),
        }
        copy(self._connection, "copy detector from stdin (format binary)", detectors)
        weights: dict[str, Column] = {"rssi": (np.arange(-128, 128), ">i2"), "w": (self._job.weights, ">f8")}
        copy(self._connection, "copy weight from stdin (format binary)", weights)
        homes: dict[str, Column] = {
            "tag": (np.arange(world.size.n_tags), ">i4"),
            "lat": (world.lat_deg[world.home], ">f8"),
            "lon": (world.lon_deg[world.home], ">f8"),
        }
        copy(self._connection, "copy home from stdin (format binary)", homes)
        self._connection.execute(_FILL)
        self._connection.execute("vacuum analyze")

    def __exit__(self, *_: object) -> None:
        if hasattr(self, "_connection"):
            self._connection.close()
        self._cluster.__exit__()

    def run(self) -> float:
        """See `Peer`. All tags have a place beforehand, so that this is an update, as it nearly always is."""
        self._connection.execute("truncate heard, pair")
        self._connection.execute("drop table if exists fix")
        self._connection.execute("vacuum place")
        heard = self._job.sightings
        rows: dict[str, Column] = {
            "id": (heard.ids.view(np.int64), ">i8"),
            "detector": (heard.detectors, ">i4"),
            "rssi": (heard.rssi_dbm, ">i2"),
            "at_ms": (heard.heard_at_ms, ">i8"),
        }
        start_ns = self._spent_ns()
        copy(self._connection, "copy heard from stdin (format binary)", rows)
        self.steps["copy"] = self._spent_ns() - start_ns
        self._connection.execute("analyze heard")
        values = {_PAIRS: (BUCKET_MS,), _FIXES: (MIN_ACCURACY_M, M_PER_DEG), _UPSERT: ()}
        for step, statement in (("suppress", _PAIRS), ("fix", _FIXES), ("place", _UPSERT)):
            start_ns = self._spent_ns()
            self._connection.execute(statement, values[statement])
            self.steps[step] = self._spent_ns() - start_ns
        return sum(self.steps.values())

    def answer(self) -> Answer:
        """See `Peer`."""
        pairs: NDArray[np.int64] = np.array(
            self._connection.execute("select tag::bigint << 32 | detector from pair").fetchall()
        )
        places: NDArray[np.float64] = np.array(self._connection.execute(_PLACED).fetchall())
        return Answer.of(pairs.ravel(), places[:, 0].astype(np.int64), *places.T[1:])

    def _spent_ns(self) -> float:
        return float(cpu_ns_of_process(self._connection.info.backend_pid))


def copy(connection: psycopg.Connection, statement: LiteralString, columns: Mapping[str, Column]) -> None:
    """Write columns by binary COPY, from one buffer."""
    n = len(next(iter(columns.values()))[0])
    fields: list[tuple[str, str]] = [("width", ">i2")]
    for name, (_, kind) in columns.items():
        fields += [(f"{name}_octets", ">i4"), (name, kind)]
    buffer = np.empty(n, dtype=fields)
    buffer["width"] = len(columns)
    for name, (values, kind) in columns.items():
        buffer[f"{name}_octets"] = np.dtype(kind).itemsize
        buffer[name] = values
    with connection.cursor().copy(statement) as stream:
        stream.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
        stream.write(buffer.tobytes())
        stream.write(b"\xff\xff")
