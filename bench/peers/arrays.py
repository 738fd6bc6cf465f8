"""NumPy: sorted ids and binary search, sorting and `reduceat` for groups, a micro-batch of a whole bucket at a time."""

from typing import Self

import numpy as np

from bench.job import Answer, Job
from bench.measure import cpu_ns_of


class Arrays:
    """The ids are sorted beforehand."""

    name = "numpy"
    title = f"NumPy {np.__version__}"

    def __init__(self, job: Job) -> None:
        self._job = job
        order = np.argsort(job.world.ids.ravel())
        self._ids, self._tags = job.world.ids.ravel()[order], job.world.id_tags()[order]
        self._answer: Answer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def run(self) -> float:
        """See `Peer`."""
        return cpu_ns_of(self._run)

    def _run(self) -> None:
        world, heard = self._job.world, self._job.sightings
        at = np.searchsorted(self._ids, heard.ids)
        at[at == len(self._ids)] = 0
        is_ours = self._ids[at] == heard.ids
        keys = self._tags[at[is_ours]].astype(np.int64) << 32 | heard.detectors[is_ours]
        order = np.argsort(keys, kind="stable")
        keys, rssi_dbm = keys[order], heard.rssi_dbm[is_ours][order]
        first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
        pairs, best_dbm = keys[first], np.maximum.reduceat(rssi_dbm, first)
        tags, detectors = pairs >> 32, pairs & 0xFFFFFFFF
        start = np.flatnonzero(np.concatenate([[True], tags[1:] != tags[:-1]]))
        weight = self._job.weights[best_dbm.astype(np.int16) + 128]
        total = np.add.reduceat(weight, start)
        lat_deg = np.add.reduceat(weight * world.lat_deg[detectors], start) / total
        lon_deg = np.add.reduceat(weight * world.lon_deg[detectors], start) / total
        cells = ((lat_deg + 90) * 480).astype(np.int64) << 32 | ((lon_deg + 180) * 320).astype(np.int64)
        np.argsort(cells)
        self._answer = Answer(pairs, tags[start], lat_deg, lon_deg)

    def answer(self) -> Answer:
        """See `Peer`."""
        if self._answer is None:
            raise RuntimeError("not run yet")
        return self._answer
