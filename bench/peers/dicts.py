"""Plain Python: dictionaries and loops, as one would write it first."""

import math
import platform
from typing import Self

import numpy as np

from bench.job import M_PER_DEG, MIN_ACCURACY_M, Answer, Job
from bench.measure import cpu_ns_of
from bench.world import BUCKET_MS


class Dicts:
    """Tables as dictionaries, sightings as lists made beforehand."""

    name = "python"
    title = f"Python {platform.python_version()}, dictionaries"

    def __init__(self, job: Job) -> None:
        world, heard = job.world, job.sightings
        self._tag_of = dict(zip(world.ids.ravel().tolist(), world.id_tags().tolist(), strict=True))
        self._detectors = list(zip(world.lat_deg.tolist(), world.lon_deg.tolist(), strict=True))
        self._weights = job.weights.tolist()
        self._rows = list(
            zip(*(c.tolist() for c in (heard.ids, heard.detectors, heard.rssi_dbm, heard.heard_at_ms)), strict=True)
        )
        self._heard: dict[tuple[int, int], dict[int, int]] = {}
        self._newest: dict[int, int] = {}
        self._places: dict[int, tuple[float, float, float, int]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def run(self) -> float:
        """See `Peer`."""
        self._heard, self._newest, self._places = {}, {}, {}
        return cpu_ns_of(self._run)

    def _run(self) -> None:
        tag_of, heard, newest = self._tag_of, self._heard, self._newest
        for id_, detector, rssi_dbm, at_ms in self._rows:
            tag = tag_of.get(id_)
            if tag is None:
                continue
            if newest.get(tag, 0) < at_ms:
                newest[tag] = at_ms
            bucket = (tag, at_ms // BUCKET_MS)
            by_detector = heard.get(bucket)
            if by_detector is None:
                heard[bucket] = {detector: rssi_dbm}
                continue
            known = by_detector.get(detector)
            if known is None or rssi_dbm > known:
                by_detector[detector] = rssi_dbm
        cells: dict[tuple[int, int], set[int]] = {}
        for (tag, _), by_detector in heard.items():
            lat_deg, lon_deg, accuracy_m = self._middle(by_detector)
            self._places[tag] = (lat_deg, lon_deg, accuracy_m, newest[tag])
            cells.setdefault((int((lat_deg + 90) * 480), int((lon_deg + 180) * 320)), set()).add(tag)

    def _middle(self, by_detector: dict[int, int]) -> tuple[float, float, float]:
        total = north = east = north2 = east2 = 0.0
        for detector, rssi_dbm in by_detector.items():
            weight = self._weights[rssi_dbm + 128]
            lat_deg, lon_deg = self._detectors[detector]
            total += weight
            north += weight * lat_deg
            east += weight * lon_deg
            north2 += weight * lat_deg * lat_deg
            east2 += weight * lon_deg * lon_deg
        lat_deg, lon_deg = north / total, east / total
        shrink = math.cos(math.radians(lat_deg))
        spread = north2 / total - lat_deg * lat_deg + (east2 / total - lon_deg * lon_deg) * shrink * shrink
        square_m2 = len(by_detector) / total + spread * M_PER_DEG * M_PER_DEG
        return lat_deg, lon_deg, max(MIN_ACCURACY_M, math.sqrt(square_m2 / math.sqrt(len(by_detector))))

    def answer(self) -> Answer:
        """See `Peer`."""
        pairs = [tag << 32 | detector for (tag, _), by_detector in self._heard.items() for detector in by_detector]
        columns = zip(*self._places.values(), strict=True)
        return Answer.of(np.array(pairs), np.array(list(self._places)), *(np.array(column) for column in columns))
