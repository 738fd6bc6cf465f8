"""A city for ingest: crowds of tags that walk together, each heard by three detectors ten times in ten seconds.

Everything follows from sizes and a seed, keys too, so that processes that share no memory agree about it.
"""

import functools
import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec
from numpy.typing import NDArray

from wire import keys

ROWS: Final = 500
"""Of a batch."""
FOREIGN: Final = 25
"""Rows of a batch that are of no tag of ours: one in twenty."""
CROWD: Final = 48
"""Tags that walk together: 475 rows of 48 tags are ten of each, but for five that are missed once."""
HEARERS: Final = 3
"""Detectors that hear a crowd at the same time."""
BUCKET_MS: Final = 10_000
VISIT_ROWS: Final = HEARERS * ROWS
START_MS: Final = 1_795_473_600_000
"""2026-11-24 07:40 in Tokyo, a Tuesday."""
CITY: Final = "bench"
ROTATION_EXPONENT: Final = 10
_LAT_DEG, _LON_DEG, _SPACING_M, _M_PER_DEG = 34.75, 134.84, 40.0, 111_195.0
_HOME_M = 60.0
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(frozen=True)
class Town:
    """Tags and detectors, by number.

    Attributes:
        n_tags: at least one crowd.
        n_detectors: at least as many as hear a crowd.
        seed: another one is another town.

    Raises:
        ValueError: too small.
    """

    n_tags: int
    n_detectors: int
    seed: int = 1

    def __post_init__(self) -> None:
        if self.n_tags < CROWD or self.n_detectors < HEARERS:
            raise ValueError("a town needs a crowd, and detectors that hear it")

    @property
    def n_crowds(self) -> int:
        """Crowds that are heard; tags that make no whole one stay at home."""
        return self.n_tags // CROWD

    @functools.cached_property
    def identity_keys(self) -> NDArray[np.uint8]:
        """Shape (n_tags, 16)."""
        return np.random.default_rng([self.seed, 1]).integers(0, 256, (self.n_tags, 16), dtype=np.uint8)

    @functools.cached_property
    def offsets_ms(self) -> NDArray[np.int64]:
        """Shape (n_tags,): UTC minus the tag's own clock."""
        return np.random.default_rng([self.seed, 2]).integers(10**12, 10**12 + 10**10, self.n_tags)

    @functools.cached_property
    def places(self) -> NDArray[np.float64]:
        """Shape (n_detectors, 2): degrees north and east. Neighbours by number are neighbours in the street."""
        across = math.isqrt(self.n_detectors - 1) + 1
        row, step = np.divmod(np.arange(self.n_detectors), across)
        column = np.where(row % 2 == 0, step, across - 1 - step)
        lat_deg = _LAT_DEG + row * _SPACING_M / _M_PER_DEG
        lon_deg = _LON_DEG + column * _SPACING_M / (_M_PER_DEG * math.cos(math.radians(_LAT_DEG)))
        return np.stack([lat_deg, lon_deg], axis=1)

    def detector_key(self, detector: int) -> ec.EllipticCurvePrivateKey:
        """Return what a detector signs with."""
        digest = hashlib.sha256(b"detector %d %d" % (self.seed, detector)).digest()
        return ec.derive_private_key(int.from_bytes(digest, "big") % (_P256_ORDER - 1) + 1, ec.SECP256R1())

    def tags_of(self, crowd: int) -> range:
        """Return the tags of a crowd."""
        return range(crowd * CROWD, (crowd + 1) * CROWD)

    def hearers(self, visits: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the detectors that hear each visit, shape (n, 3): the crowd walks up and down its street."""
        crowds, laps = visits % self.n_crowds, visits // self.n_crowds
        street = self.n_detectors / self.n_crowds
        first = (crowds * street).astype(np.int64) + laps % max(1, round(street))
        hearers: NDArray[np.int64] = np.minimum(first, self.n_detectors - HEARERS)[:, None] + np.arange(HEARERS)
        return hearers


@dataclass(frozen=True, slots=True)
class Plan:
    """Batches, in the order in which they are due.

    Attributes:
        visits: shape (n,), of each batch: the crowd comes by for ten seconds and three detectors hear it.
        detectors: shape (n,).
        sequences: shape (n,), consecutive for each detector.
        due_ms: shape (n,), town time.
    """

    visits: NDArray[np.int64]
    detectors: NDArray[np.int64]
    sequences: NDArray[np.int64]
    due_ms: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.visits)

    def __add__(self, later: "Plan") -> "Plan":
        """Return the batches of this plan, then those of a later one."""
        pairs = ((getattr(self, name), getattr(later, name)) for name in Plan.__slots__)
        return Plan(*(np.concatenate(pair) for pair in pairs))

    def take(self, part: slice) -> "Plan":
        """Return some of the batches."""
        return Plan(*(getattr(self, name)[part] for name in Plan.__slots__))


@dataclass(slots=True)
class Timetable:
    """Draws plans that follow each other: no crowd comes by twice in a bucket, no sequence is given twice.

    Attributes:
        town: whose.
        now_ms: town time up to which is planned.
    """

    town: Town
    now_ms: int = START_MS
    _visits: int = 0
    _sequences: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self._sequences = np.zeros(self.town.n_detectors, np.int64)

    def draw(self, batches: int, *, rows_per_s: float, speed: float) -> Plan:
        """Return the next batches, a whole number of visits.

        Args:
            batches: at least so many.
            rows_per_s: sightings in a wall second.
            speed: town seconds in a wall second, see `speed_for`.
        """
        n = -(-batches // HEARERS)
        numbers = np.arange(self._visits, self._visits + n)
        detectors = self.town.hearers(numbers).ravel()
        due_ms = self.now_ms + np.arange(n * HEARERS) * (ROWS / rows_per_s * speed * 1000)
        plan = Plan(np.repeat(numbers, HEARERS), detectors, self._number(detectors), due_ms.astype(np.int64))
        self._visits += n
        self.now_ms = int(plan.due_ms.max(initial=self.now_ms)) + BUCKET_MS
        return plan

    def pause(self, wall_s: float, *, speed: float) -> None:
        """Let time pass in which nobody is heard."""
        self.now_ms += round(wall_s * speed * 1000)

    def _number(self, detectors: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the next sequence of each detector in turn."""
        order = np.argsort(detectors, kind="stable")
        in_order = detectors[order]
        starts = np.flatnonzero(np.diff(in_order, prepend=-1))
        counts = np.diff(np.append(starts, len(in_order)))
        sequences = np.empty(len(detectors), np.int64)
        sequences[order] = self._sequences[in_order] + 1 + np.arange(len(in_order)) - np.repeat(starts, counts)
        self._sequences[in_order[starts]] += counts
        return sequences


def speed_for(town: Town, rows_per_s: float) -> float:
    """Return how fast the town's clock must run for its tags to be heard so often, each ten times a bucket.

    A quarter faster than that: then a crowd is heard in four buckets of five.
    """
    rows_per_town_s = town.n_crowds * VISIT_ROWS * 1000 / BUCKET_MS
    return max(1.0, 1.25 * rows_per_s / rows_per_town_s)


def rows_of_tags() -> NDArray[np.int64]:
    """Return how often a batch holds each tag of its crowd."""
    return np.bincount(np.arange(ROWS - FOREIGN) % CROWD, minlength=CROWD)


def name_of(detector: int) -> str:
    """Return the id of a detector."""
    return f"gw-{detector:06d}"


def tag_name(tag: int) -> str:
    """Return the id of a tag."""
    return f"t-{tag:07d}"


def registries(town: Town, *, tags_each: int) -> Iterator[dict[str, Any]]:
    """Yield the town as `mimamori registry import` reads it, detectors first, then so many tags at a time.

    Each tag has a ward, each ward a home that is watched.
    """
    yield _file(detectors=[_detector(number, place, town) for number, place in enumerate(town.places.tolist())])
    middle = town.hearers(np.arange(town.n_crowds))[:, 1]
    homes = town.places[middle[np.minimum(np.arange(town.n_tags) // CROWD, town.n_crowds - 1)]].tolist()
    for start in range(0, town.n_tags, tags_each):
        numbers = range(start, min(start + tags_each, town.n_tags))
        yield _file(
            tags=[_tag(number, town) for number in numbers],
            wards=[
                {"id": f"w-{number}", "name_ja": "子", "name_en": "child", "tag": tag_name(number)}
                for number in numbers
            ],
            places=[_home(number, homes[number]) for number in numbers],
            watches=[
                {"ward": f"w-{number}", "place": f"p-{number}", "arrive": True, "leave": True, "dwell_s": 60}
                for number in numbers
            ],
        )


def _file(**parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"city": {"id": CITY, "name_ja": "ベンチ市", "name_en": "Bench City", "tz": "Asia/Tokyo"}, **parts}


def _tag(number: int, town: Town) -> dict[str, Any]:
    return {
        "id": tag_name(number),
        "kind": "eid",
        "identity_key": town.identity_keys[number].tobytes().hex(),
        "rotation_exponent": ROTATION_EXPONENT,
        "clock_offset_ms": int(town.offsets_ms[number]),
    }


def _detector(number: int, place: list[float], town: Town) -> dict[str, Any]:
    return {
        "id": name_of(number),
        "kind": "fixed",
        "label_ja": "角",
        "label_en": "corner",
        "lat_deg": place[0],
        "lon_deg": place[1],
        "accuracy_m": 5.0,
        "public_key": keys.encode_public(town.detector_key(number).public_key()),
    }


def _home(number: int, place: list[float]) -> dict[str, Any]:
    return {
        "id": f"p-{number}",
        "name_ja": "家",
        "name_en": "home",
        "kind": "home",
        "lat_deg": place[0],
        "lon_deg": place[1],
        "radius_m": _HOME_M,
        "ward": f"w-{number}",
    }
