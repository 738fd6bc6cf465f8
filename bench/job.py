"""The work that the core and its peers are given alike, and how their answers are compared.

The work is one bucket from scratch: whose ids are these, which (tag, detector, bucket) are new, how strong was each at
best, where was each tag, how well is that known, when was it heard last, and what is now the last place of each. Peers
are spared what only the core does besides: the test of jumps, smoothing, fences, the check of detectors that cannot all
be right, and state that goes on from one call to the next.
"""

from dataclasses import dataclass
from typing import Any, Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from bench.world import Sightings, World

M_PER_DEG: Final = 111_194.93
MIN_ACCURACY_M: Final = 10.0
TOLERANCE_M: Final = 0.5


class AbsentError(Exception):
    """A peer that is not here, and how to get it. Reported, never passed over."""

    def __init__(self, peer: str, how: str) -> None:
        super().__init__(f"{peer} is absent: {how}")
        self.peer = peer
        self.how = how


class DisagreementError(Exception):
    """A peer gave another answer: then one of the two does not do the work, and its time means nothing."""


@dataclass(frozen=True, slots=True)
class Job:
    """One bucket of work.

    Attributes:
        world: whose ids, and where detectors are.
        sightings: of one bucket.
        weights: shape (256,), how much a detector counts by rssi_dbm + 128.
    """

    world: World
    sightings: Sightings
    weights: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.sightings)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came out.

    Attributes:
        pairs: tag << 32 | detector of what was kept, ascending.
        tags: that got a place, ascending.
        lat_deg: of each of `tags`.
        lon_deg: likewise.
        accuracy_m: likewise, see server/core/fix.py.
        heard_at_ms: likewise, UTC of its newest sighting.
    """

    pairs: NDArray[np.int64]
    tags: NDArray[np.int64]
    lat_deg: NDArray[np.float64]
    lon_deg: NDArray[np.float64]
    accuracy_m: NDArray[np.float64]
    heard_at_ms: NDArray[np.int64]

    @classmethod
    def of(cls, pairs: NDArray[np.int64], tags: NDArray[np.integer], *rest: NDArray[np.generic]) -> Self:
        """Return the answer out of rows in any order; `rest` are the other columns in theirs."""
        order = np.argsort(tags)
        kinds = (np.float64, np.float64, np.float64, np.int64)
        columns: list[Any] = [column[order].astype(kind) for column, kind in zip(rest, kinds, strict=True)]
        return cls(np.sort(pairs), tags[order].astype(np.int64), *columns)


class Peer(Protocol):
    """Something that does a job. Use it in a `with`; entering it may raise `AbsentError`."""

    name: str
    title: str

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...

    def run(self) -> float:
        """Do the whole job from scratch and return the processor time that it took, ns."""
        ...

    def answer(self) -> Answer:
        """Return what the newest run found."""
        ...


def check_same(name: str, ours: Answer, theirs: Answer) -> float:
    """Return how far apart the places of two answers are at most, metres.

    Raises:
        DisagreementError: other pairs, other tags or times, or places farther apart than `TOLERANCE_M`.
    """
    if not np.array_equal(ours.pairs, theirs.pairs):
        only = len(np.setxor1d(ours.pairs, theirs.pairs))
        raise DisagreementError(f"{name} keeps other pairs: {only} of {len(ours.pairs)} differ")
    if not np.array_equal(ours.tags, theirs.tags):
        only = len(np.setxor1d(ours.tags, theirs.tags))
        raise DisagreementError(f"{name} places other tags: {only} of {len(ours.tags)} differ")
    north_m = (ours.lat_deg - theirs.lat_deg) * M_PER_DEG
    east_m = (ours.lon_deg - theirs.lon_deg) * M_PER_DEG * np.cos(np.radians(ours.lat_deg))
    apart_m = float(np.max(np.hypot(north_m, east_m), initial=0.0))
    if not np.allclose(ours.accuracy_m, theirs.accuracy_m, rtol=0.01, atol=TOLERANCE_M):
        raise DisagreementError(f"{name} thinks otherwise about the accuracy")
    if not np.array_equal(ours.heard_at_ms, theirs.heard_at_ms):
        raise DisagreementError(f"{name} says another time")
    if apart_m > TOLERANCE_M:
        raise DisagreementError(f"{name} places a tag {apart_m:.1f} m from where we do")
    return apart_m
