"""Polars: a join for the ids, group-bys for pairs and places, eagerly, on one thread."""

import os
from typing import Self

import numpy as np

from bench.job import M_PER_DEG, MIN_ACCURACY_M, AbsentError, Answer, Job
from bench.measure import cpu_ns_of
from bench.world import BUCKET_MS

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
        self._heard = pl.DataFrame(
            {"id": heard.ids, "detector": heard.detectors, "rssi": heard.rssi_dbm, "at_ms": heard.heard_at_ms}
        )
        self._pairs = self._places = self._heard

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def run(self) -> float:
        """See `Peer`."""
        return cpu_ns_of(self._run)

    def _run(self) -> None:
        ours = self._heard.join(self._ids, on="id", how="inner")
        bucket = (pl.col("at_ms") // BUCKET_MS).alias("bucket")
        self._pairs = ours.group_by("tag", "detector", bucket).agg(pl.col("rssi").max(), pl.col("at_ms").max())
        weighed = self._pairs.join(self._detectors, on="detector").join(self._weights, on="rssi")
        w, lat, lon = pl.col("w"), pl.col("lat"), pl.col("lon")
        grouped = weighed.group_by("tag", "bucket").agg(
            lat=(w * lat).sum() / w.sum(),
            lon=(w * lon).sum() / w.sum(),
            lat2=(w * lat * lat).sum() / w.sum(),
            lon2=(w * lon * lon).sum() / w.sum(),
            total=w.sum(),
            count=pl.len(),
            at_ms=pl.col("at_ms").max(),
        )
        spread = pl.col("lat2") - lat**2 + (pl.col("lon2") - lon**2) * lat.radians().cos() ** 2
        square_m2 = pl.col("count") / pl.col("total") + spread * M_PER_DEG**2
        self._places = grouped.select(
            "tag",
            "lat",
            "lon",
            "at_ms",
            accuracy=(square_m2 / pl.col("count").sqrt()).sqrt().clip(lower_bound=MIN_ACCURACY_M),
            cell=((lat + 90) * 480).cast(pl.Int64) * 2**32 + ((lon + 180) * 320).cast(pl.Int64),
        ).sort("cell")

    def answer(self) -> Answer:
        """See `Peer`."""
        pairs = self._pairs["tag"].to_numpy().astype(np.int64) << 32 | self._pairs["detector"].to_numpy()
        columns = (self._places[name].to_numpy() for name in ("tag", "lat", "lon", "accuracy", "at_ms"))
        return Answer.of(pairs, *columns)
