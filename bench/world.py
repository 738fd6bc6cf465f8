"""A town in numbers for the benchmarks: detectors, tags with rotating ids, and what is heard of them, bucket by bucket.

Deterministic: the same size and seed give the same sightings on every machine, whatever NumPy's generators do. Each
active tag is heard by three neighbouring detectors ten times in a bucket of thirty seconds, so nine sightings in ten
are repeats; one in twenty is of a foreign tag. Detectors send every five seconds, in an order that is not that of
memory, so a tag's repeats are spread over six moments far apart.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from server.core.fix import range_m

BUCKET_MS: Final = 30_000
FLUSH_MS: Final = 5_000
REPEATS: Final = 10
HEARING: Final = 3
BATCH_ROWS: Final = 500
ORIGIN_MS: Final = 56_666_667 * BUCKET_MS
DETECTOR_ACCURACY_M: Final = 10.0
BLOCK: Final = 100
"""Detectors come in districts of a hundred, ten rows of ten, some sixty metres apart."""

_SEQUENCES_A_TURN = 1_000_000
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True, slots=True)
class Size:
    """How large a town is. Tags that are active are heard within a bucket."""

    n_tags: int
    n_active: int
    n_detectors: int


SIZES: Final = {
    10_000: Size(10_000, 10_000, 1_500),
    100_000: Size(100_000, 100_000, 1_500),
    1_000_000: Size(1_000_000, 333_000, 100_000),
    10_000_000: Size(10_000_000, 333_000, 100_000),
}


@dataclass(frozen=True, slots=True)
class Sightings:
    """What is heard in a bucket, in the order in which it arrives.

    Attributes:
        ids: shape (n,), as heard.
        detectors: shape (n,).
        rssi_dbm: shape (n,).
        heard_at_ms: shape (n,), UTC.
        tags: shape (n,), the truth: whose id it is, -1 a foreign one. Not given to what is measured.
        batch_starts: shape (m + 1,), where each batch begins.
        batch_detectors: shape (m,).
        batch_sequences: shape (m,), counting from 1 for each detector.
    """

    ids: NDArray[np.uint64]
    detectors: NDArray[np.int32]
    rssi_dbm: NDArray[np.int8]
    heard_at_ms: NDArray[np.int64]
    tags: NDArray[np.int32]
    batch_starts: NDArray[np.int64]
    batch_detectors: NDArray[np.int32]
    batch_sequences: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class World:
    """A town: where detectors hang, which ids are whose, where everyone lives.

    Attributes:
        ids: shape (3, n_tags), previous, current and next id of each tag.
        lat_deg: shape (n_detectors,).
        lon_deg: likewise.
        home: shape (n_tags,), the detector next to which a tag lives.
    """

    size: Size
    seed: int
    ids: NDArray[np.uint64]
    lat_deg: NDArray[np.float64]
    lon_deg: NDArray[np.float64]
    home: NDArray[np.int32]

    def id_tags(self) -> NDArray[np.int32]:
        """Return whose each of `ids.ravel()` is."""
        return np.tile(np.arange(self.size.n_tags, dtype=np.int32), 3)


def weights() -> NDArray[np.float64]:
    """Return how much a fixed detector that heard `rssi` counts, at index rssi_dbm + 128: see server/core/fix.py."""
    return np.array([1.0 / (range_m(rssi - 128) ** 2 + DETECTOR_ACCURACY_M**2) for rssi in range(256)])


def make(size: Size, seed: int = 7) -> World:
    """Return the town of a size."""
    rng = np.random.default_rng(seed)
    n = size.n_detectors
    district = np.arange(n) // BLOCK
    row, column = np.arange(n) % BLOCK // 10, np.arange(n) % 10
    column = np.where(row % 2 == 0, column, 9 - column)  # boustrophedon: the next number is the next pole
    south, west = rng.uniform(33.0, 40.0, n), rng.uniform(130.5, 141.0, n)
    lat_deg = south[district * BLOCK] + row * 0.0006 + rng.normal(0, 0.00005, n)
    lon_deg = west[district * BLOCK] + column * 0.0007 + rng.normal(0, 0.00005, n)
    home = (_hashes(size.n_tags, seed + 1) % np.uint64(n)).astype(np.int32)
    ids = _hashes(3 * size.n_tags, seed).reshape(3, size.n_tags)
    return World(size, seed, ids, lat_deg, lon_deg, home)


def hear(world: World, number: int) -> Sightings:
    """Return what is heard in the bucket of a number, counted from the beginning."""
    size, flushes = world.size, BUCKET_MS // FLUSH_MS
    n = size.n_active * HEARING * REPEATS
    out = Sightings(
        np.empty(n, np.uint64),
        np.empty(n, np.int32),
        np.empty(n, np.int8),
        np.empty(n, np.int64),
        np.empty(n, np.int32),
        np.empty(flushes * size.n_detectors + n // BATCH_ROWS + 2, np.int64),
        np.empty(flushes * size.n_detectors + n // BATCH_ROWS + 1, np.int32),
        np.empty(flushes * size.n_detectors + n // BATCH_ROWS + 1, np.int64),
    )
    tags, nearest = _active(world, number)
    starts, heard = _by_detector(tags, nearest, size.n_detectors)
    columns = (out.ids, out.detectors, out.rssi_dbm, out.heard_at_ms, out.tags)
    batches = (out.batch_starts, out.batch_detectors, out.batch_sequences)
    seed = np.uint64(world.seed * 1_000_003 + number)
    m = _emit(world.ids, starts, heard, number, seed, columns, batches)
    return Sightings(*columns, out.batch_starts[: m + 1], out.batch_detectors[:m], out.batch_sequences[:m])


class Stream:
    """Bucket after bucket without end, made of a few that come again later: making them takes longer than their use.

    Args:
        world: that is heard.
        distinct: how many different buckets. Every active tag must be in one of them for all to be heard.
    """

    def __init__(self, world: World, distinct: int = 3) -> None:
        self._buckets = [hear(world, number) for number in range(distinct)]
        self._next = 0

    def __next__(self) -> Sightings:
        """Return the next bucket; its arrays are used again once all the others have had their turn."""
        turn, which = divmod(self._next, len(self._buckets))
        bucket = self._buckets[which]
        if turn:
            bucket.heard_at_ms[:] += len(self._buckets) * BUCKET_MS
            bucket.batch_sequences[:] += _SEQUENCES_A_TURN
        self._next += 1
        return bucket


def sample(sightings: Sightings, one_in: int) -> Sightings:
    """Return the sightings of one tag in so many, for slow peers: as many fixes and repeats a sighting as before."""
    if one_in == 1:
        return sightings
    tags = sightings.tags
    is_in = np.where(tags >= 0, tags % one_in == 0, np.arange(len(tags)) % one_in == 0)
    starts = np.concatenate([[0], np.cumsum(is_in)])[sightings.batch_starts]
    return Sightings(
        sightings.ids[is_in],
        sightings.detectors[is_in],
        sightings.rssi_dbm[is_in],
        sightings.heard_at_ms[is_in],
        tags[is_in],
        starts.astype(np.int64),
        sightings.batch_detectors,
        sightings.batch_sequences,
    )


def _active(world: World, number: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the tags heard in a bucket, and the first of the three detectors next to each; a third of them walk."""
    size = world.size
    count = np.arange(number * size.n_active, (number + 1) * size.n_active, dtype=np.int64)
    tags = (count * 7_368_787 % size.n_tags).astype(np.int32)  # a prime: every tag once before any comes again
    home = world.home[tags].astype(np.int64)
    district, pole = home // BLOCK * BLOCK, home % BLOCK
    last = np.minimum(BLOCK, size.n_detectors - district) - HEARING
    step = np.where(tags % 3 == 0, number, 0) + pole
    turn = step % (2 * last)
    return tags, (district + np.where(turn <= last, turn, 2 * last - turn)).astype(np.int32)


@njit(cache=True, nogil=True)
def _mix(value: np.uint64) -> np.uint64:
    """Return the output of splitmix64 for a state."""
    value = (value ^ (value >> np.uint64(30))) * _MIX_1
    value = (value ^ (value >> np.uint64(27))) * _MIX_2
    return value ^ (value >> np.uint64(31))


@njit(cache=True, nogil=True)
def _hashes(n: int, seed: int) -> NDArray[np.uint64]:
    out = np.empty(n, np.uint64)
    start = _mix(np.uint64(seed) * _GOLDEN)
    for i in range(n):
        out[i] = _mix(start + np.uint64(i + 1) * _GOLDEN)
    return out


@njit(cache=True, nogil=True)
def _by_detector(
    tags: NDArray[np.int32], nearest: NDArray[np.int32], n_detectors: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return for each detector where its list begins, and the lists: tag << 8 | rank, nearest detector rank 0."""
    starts = np.zeros(n_detectors + 1, np.int64)
    for i in range(tags.size):
        for rank in range(HEARING):
            starts[nearest[i] + rank + 1] += 1
    for detector in range(n_detectors):
        starts[detector + 1] += starts[detector]
    heard = np.empty(tags.size * HEARING, np.int64)
    at = starts[:-1].copy()
    for i in range(tags.size):
        for rank in range(HEARING):
            detector = nearest[i] + rank
            heard[at[detector]] = np.int64(tags[i]) << 8 | rank
            at[detector] += 1
    return starts, heard


@njit(cache=True, nogil=True)
def _emit(ids, starts, heard, number, seed, columns, batches):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, PLR0913, PLR0917 - compiled
    """Write everything heard in a bucket in order of arrival; return the number of batches."""
    batch_starts, batch_detectors, batch_sequences = batches
    n_detectors = starts.size - 1
    sent = np.zeros(n_detectors, np.int64)
    for detector in range(n_detectors):  # numbered on from one bucket to the next, about as many in each
        each_flush = (starts[detector + 1] - starts[detector]) * 2 // BATCH_ROWS + 1
        sent[detector] = number * (BUCKET_MS // FLUSH_MS) * each_flush
    stride = 1 + 2 * (n_detectors // 3)
    while _has_common_factor(stride, n_detectors):
        stride += 2
    n, m = 0, 0
    for flush in range(BUCKET_MS // FLUSH_MS):
        for turn in range(n_detectors):
            detector = (turn * stride + flush) % n_detectors
            begin = n
            n = _send(ids, heard[starts[detector] : starts[detector + 1]], (detector, number, flush, seed), columns, n)
            while begin < n:
                sent[detector] += 1
                batch_starts[m], batch_detectors[m], batch_sequences[m] = begin, detector, sent[detector]
                m, begin = m + 1, min(n, begin + BATCH_ROWS)
    batch_starts[m] = n
    return m


@njit(cache=True, nogil=True)
def _send(ids, heard, moment, columns, n):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Write what a detector sends at one flush, oldest first; return the row after it."""
    detector, number, flush, seed = moment
    for turn in range(2):
        for who in heard:
            tag, rank = who >> 8, who & 255
            phase = tag % 10
            repeat = max(0, -((6 * phase - 100 * flush) // 60)) + turn  # its ten packets, spread over six flushes
            if repeat >= -((6 * phase - 100 * (flush + 1)) // 60):
                continue
            at_ms = (repeat * 10 + phase) * BUCKET_MS // 100
            dice = _mix(seed + np.uint64(n + 1) * _GOLDEN)
            _draw(ids, tag, dice, columns, n)
            noise_db = np.int64(dice & np.uint64(7)) + np.int64(dice >> np.uint64(3) & np.uint64(7)) - 7
            columns[1][n] = detector
            columns[2][n] = -62 - 9 * rank + noise_db
            columns[3][n] = ORIGIN_MS + number * BUCKET_MS + at_ms + np.int64(dice >> np.uint64(6) & np.uint64(127))
            n += 1
    return n


@njit(cache=True, nogil=True)
def _draw(ids, tag, dice, columns, n):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Write whose id is heard: the current one, by clocks that drift the one before or after, or a stranger's."""
    percentile = np.int64(dice >> np.uint64(15) & np.uint64(1023)) * 100 // 1024
    if np.int64(dice >> np.uint64(25) & np.uint64(1023)) < 51:
        columns[0][n], columns[4][n] = _mix(dice), -1
    else:
        columns[0][n], columns[4][n] = ids[0 if percentile < 10 else (2 if percentile < 20 else 1), tag], tag


@njit(cache=True, nogil=True)
def _has_common_factor(a: int, b: int) -> bool:
    while b:
        a, b = b, a % b
    return a != 1
