"""Plain Python: dictionaries and loops, as one would write it first."""

import platform
from typing import Self

import numpy as np

from bench.job import Answer, Job
from bench.measure import cpu_ns_of


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
            zip(heard.ids.tolist(), heard.detectors.tolist(), heard.rssi_dbm.tolist(), strict=True),
        )
        self._heard: dict[int, dict[int, int]] = {}
        self._places: dict[int, tuple[float, float]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def run(self) -> float:
        """See `Peer`."""
        self._heard, self._places = {}, {}
        return cpu_ns_of(self._run)

    def _run(self) -> None:
        tag_of, heard = self._tag_of, self._heard
        for id_, detector, rssi_dbm in self._rows:
            tag = tag_of.get(id_)
            if tag is None:
                continue
            by_detector = heard.get(tag)
            if by_detector is None:
                heard[tag] = {detector: rssi_dbm}
                continue
            known = by_detector.get(detector)
            if known is None or rssi_dbm > known:
                by_detector[detector] = rssi_dbm
        cells: dict[tuple[int, int], set[int]] = {}
        for tag, by_detector in heard.items():
            lat_deg, lon_deg = self._places[tag] = self._middle(by_detector)
            cells.setdefault((int((lat_deg + 90) * 480), int((lon_deg + 180) * 320)), set()).add(tag)

    def _middle(self, by_detector: dict[int, int]) -> tuple[float, float]:
        total = north = east = 0.0
        for detector, rssi_dbm in by_detector.items():
            weight = self._weights[rssi_dbm + 128]
            lat_deg, lon_deg = self._detectors[detector]
            total += weight
            north += weight * lat_deg
            east += weight * lon_deg
        return north / total, east / total

    def answer(self) -> Answer:
        """See `Peer`."""
        pairs = [tag << 32 | detector for tag, by_detector in self._heard.items() for detector in by_detector]
        places = np.array(list(self._places.values()))
        return Answer.of(np.array(pairs), np.array(list(self._places)), places[:, 0], places[:, 1])
