"""NumPy: sorted ids and binary search, sorting and `reduceat` for groups, a micro-batch of a whole bucket at a time."""

from typing import Self

import numpy as np

from bench.job import M_PER_DEG, MIN_ACCURACY_M, Answer, Job
from bench.measure import cpu_ns_of
from bench.world import BUCKET_MS


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
        at_ms, tag_of = heard.heard_at_ms[is_ours], self._tags[at[is_ours]].astype(np.int64)
        if np.ptp(at_ms // BUCKET_MS):
            raise ValueError("sightings of one bucket are wanted")
        keys = tag_of << 32 | heard.detectors[is_ours]
        order = np.argsort(keys, kind="stable")
        keys, rssi_dbm = keys[order], heard.rssi_dbm[is_ours][order]
        first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
        pairs, best_dbm = keys[first], np.maximum.reduceat(rssi_dbm, first)
        newest_ms = np.maximum.reduceat(at_ms[order], first)
        tags, detectors = pairs >> 32, pairs & 0xFFFFFFFF
        start = np.flatnonzero(np.concatenate([[True], tags[1:] != tags[:-1]]))
        weight = self._job.weights[best_dbm.astype(np.int16) + 128]
        north, east = world.lat_deg[detectors], world.lon_deg[detectors]
        total, count = np.add.reduceat(weight, start), np.diff(np.append(start, len(tags)))
        lat_deg = np.add.reduceat(weight * north, start) / total
        lon_deg = np.add.reduceat(weight * east, start) / total
        north2 = np.add.reduceat(weight * north * north, start) / total - lat_deg**2
        east2 = (np.add.reduceat(weight * east * east, start) / total - lon_deg**2) * np.cos(np.radians(lat_deg)) ** 2
        square_m2 = count / total + (north2 + east2) * M_PER_DEG**2
        accuracy_m = np.maximum(MIN_ACCURACY_M, np.sqrt(square_m2 / np.sqrt(count)))
        cells = ((lat_deg + 90) * 480).astype(np.int64) << 32 | ((lon_deg + 180) * 320).astype(np.int64)
        np.argsort(cells)
        heard_at_ms = np.maximum.reduceat(newest_ms, start)
        self._answer = Answer(pairs, tags[start], lat_deg, lon_deg, accuracy_m, heard_at_ms)

    def answer(self) -> Answer:
        """See `Peer`."""
        if self._answer is None:
            raise RuntimeError("not run yet")
        return self._answer
