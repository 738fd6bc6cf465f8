"""Polars: a join for the ids, group-bys for pairs and places, eagerly, on one thread."""

import os
from typing import Self

import numpy as np

from bench.job import AbsentError, Answer, Job
from bench.measure import cpu_ns_of

os.environ.setdefault("POLARS_MAX_THREADS", "1")  # read when polars is imported
try:
    import polars as pl
except ImportError:  # pragma: no cover - reported by __init__
    pl = None  # type: ignore[assignment]


class Frames:
    """The tables of ids, detectors and weights are frames made beforehand; so is the bucket."""

    name = "polars"

    def __init__(self, job: Job) -> None:
        if pl is None:
            raise AbsentError(self.name, "uv sync --group bench")
        self.title = f"Polars {pl.__version__}, one thread"
        world, heard = job.world, job.sightings
        self._ids = pl.DataFrame({"id": world.ids.ravel(), "tag": world.id_tags()})
        n = world.size.n_detectors
        self._detectors = pl.DataFrame(
            {"detector": np.arange(n, dtype=np.int32), "lat": world.lat_deg, "lon": world.lon_deg}
        )
        self._weights = pl.DataFrame({"rssi": np.arange(-128, 128).astype(np.int8), "w": job.weights})
        self._heard = pl.DataFrame({"id": heard.ids, "detector": heard.detectors, "rssi": heard.rssi_dbm})
        self._pairs = self._places = self._heard

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def run(self) -> float:
        """See `Peer`."""
        return cpu_ns_of(self._run)

    def _run(self) -> None:
        ours = self._heard.join(self._ids, on="id", how="inner")
        self._pairs = ours.group_by("tag", "detector").agg(pl.col("rssi").max())
        weighed = self._pairs.join(self._detectors, on="detector").join(self._weights, on="rssi")
        w = pl.col("w")
        self._places = (
            weighed.group_by("tag")
            .agg(lat=(w * pl.col("lat")).sum() / w.sum(), lon=(w * pl.col("lon")).sum() / w.sum())
            .with_columns(
                cell=((pl.col("lat") + 90) * 480).cast(pl.Int64) * 2**32 + ((pl.col("lon") + 180) * 320).cast(pl.Int64)
            )
            .sort("cell")
        )

    def answer(self) -> Answer:
        """See `Peer`."""
        pairs = self._pairs["tag"].to_numpy().astype(np.int64) << 32 | self._pairs["detector"].to_numpy()
        places = self._places
        return Answer.of(pairs, places["tag"].to_numpy(), places["lat"].to_numpy(), places["lon"].to_numpy())
