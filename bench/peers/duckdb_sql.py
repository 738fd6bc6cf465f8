"""DuckDB: tables in memory, a join for the ids, group-bys for pairs and places, on one thread."""

from typing import Self

import numpy as np

from bench.job import M_PER_DEG, MIN_ACCURACY_M, AbsentError, Answer, Job
from bench.measure import cpu_ns_of
from bench.world import BUCKET_MS

try:
    import duckdb
    import pyarrow as pa
except ImportError:  # pragma: no cover - reported by __init__
    duckdb = None  # type: ignore[assignment]

_PAIRS = f"""
create or replace table pair as
select tag, detector, at_ms // {BUCKET_MS} as bucket, max(rssi) as rssi, max(at_ms) as at_ms
from heard join id_tag using (id) group by all
"""
_PLACES = f"""
create or replace table place as
select tag, lat, lon, at_ms, greatest({MIN_ACCURACY_M}, sqrt((n / total
    + (lat2 - lat * lat + (lon2 - lon * lon) * cos(radians(lat)) ^ 2) * {M_PER_DEG**2}) / sqrt(n))) as accuracy,
  ((lat + 90) * 480)::bigint * 4294967296 + ((lon + 180) * 320)::bigint as cell
from (
  select tag, sum(w * lat) / sum(w) as lat, sum(w * lon) / sum(w) as lon, sum(w * lat * lat) / sum(w) as lat2,
    sum(w * lon * lon) / sum(w) as lon2, sum(w) as total, count(*) as n, max(at_ms) as at_ms
  from pair join detector using (detector) join weight using (rssi) group by tag, bucket
)
order by cell
"""


class Sql:
    """All that is known beforehand, and the bucket too, is in DuckDB's own tables."""

    name = "duckdb"

    def __init__(self, job: Job) -> None:
        if duckdb is None:
            raise AbsentError(self.name, "uv sync --group bench")
        self.title = f"DuckDB {duckdb.__version__}, one thread"
        world, heard = job.world, job.sightings
        self._connection = duckdb.connect(config={"threads": 1})
        n = world.size.n_detectors
        tables = {
            "id_tag": {"id": world.ids.ravel(), "tag": world.id_tags()},
            "detector": {"detector": np.arange(n, dtype=np.int32), "lat": world.lat_deg, "lon": world.lon_deg},
            "weight": {"rssi": np.arange(-128, 128).astype(np.int8), "w": job.weights},
            "heard": {"id": heard.ids, "detector": heard.detectors, "rssi": heard.rssi_dbm, "at_ms": heard.heard_at_ms},
        }
        for name, columns in tables.items():
            self._connection.register("arrow", pa.table(columns))
            self._connection.execute(f"create table {name} as select * from arrow")
            self._connection.unregister("arrow")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def run(self) -> float:
        """See `Peer`."""
        return cpu_ns_of(self._run)

    def _run(self) -> None:
        self._connection.execute(_PAIRS)
        self._connection.execute(_PLACES)

    def answer(self) -> Answer:
        """See `Peer`."""
        pair = self._connection.execute("select tag, detector from pair").fetchnumpy()
        place = self._connection.execute("select tag, lat, lon, accuracy, at_ms from place").fetchnumpy()
        pairs = pair["tag"].astype(np.int64) << 32 | pair["detector"]
        return Answer.of(pairs, *(place[name] for name in ("tag", "lat", "lon", "accuracy", "at_ms")))
