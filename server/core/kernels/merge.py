"""Rows of one step that say the same thing put into one: a tag, a detector, a bucket of time, believed or not.

What a detector heard of a tag in ten seconds is one row in the store, however many rows told it; no packet is lost, the
counts add up. Rows of later steps become rows of their own: nothing that has been stored is touched again.
"""

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from server.core.kernels.jit import inlined, kernel
from server.core.kernels.layout import aligned
from server.core.kernels.line import bare, prefetch, wide

_AHEAD: Final = 16
_MOST_PACKETS: Final = 2**31 - 1
"""What a row of the store can count: only a detector that makes packets up gets there."""
_LEAST_DBM: Final = -128
_MULTIPLIER: Final = -7046029254386353131  # 2^64 / golden ratio, odd: Knuth, TAOCP 3, 6.4


class Told(NamedTuple):
    """Rows to be stored; columns of the same length.

    Attributes:
        tags: int32.
        detectors: int32.
        first_ms: int64, UTC, first heard.
        last_ms: int64, UTC, last heard.
        counts: int32, packets.
        rssi_best_dbm: int16, strongest.
        rssi_mean_dbm: int16, mean of all packets.
        flags: int16, `server.core.flags.Flag`, all that was said.
        battery_dv: int16, the lowest told, -1: nothing was told.
        lat_deg: float64, where a moving detector was at the strongest of its rows, NaN elsewhere.
        lon_deg: float64, likewise.
        accuracy_m: float32, likewise.
    """

    tags: NDArray[np.int32]
    detectors: NDArray[np.int32]
    first_ms: NDArray[np.int64]
    last_ms: NDArray[np.int64]
    counts: NDArray[np.int32]
    rssi_best_dbm: NDArray[np.int16]
    rssi_mean_dbm: NDArray[np.int16]
    flags: NDArray[np.int16]
    battery_dv: NDArray[np.int16]
    lat_deg: NDArray[np.float64]
    lon_deg: NDArray[np.float64]
    accuracy_m: NDArray[np.float32]

    def take(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> "Told":
        """Return the rows that a mask or an index array selects."""
        return Told._make(column[which] for column in self)

    def head(self, n: int) -> "Told":
        """Return the first `n` rows, as views."""
        return Told._make(column[:n] for column in self)


class Scratch(NamedTuple):
    """What is remembered while rows are put together.

    Attributes:
        keys: int64, shape (n,), of each row: tag, detector and whether it is believed, scattered.
        taken: int64, shape (n,), likewise of the rows put out.
        totals: int64, shape (n,), of the rows put out, sum of dBm of all packets.
    """

    keys: NDArray[np.int64]
    taken: NDArray[np.int64]
    totals: NDArray[np.int64]


_KINDS: Final = ("i4", "i4", "i8", "i8", "i4", "i2", "i2", "i2", "i2", "f8", "f8", "f4")


def create(rows: int) -> Told:
    """Return columns for up to `rows` rows."""
    return Told._make(aligned(rows, kind, None) for kind in _KINDS)


def merge(rows: Told, suspicious: int, bucket_ms: int) -> Told:
    """Return `rows` with those of one tag, detector and bucket put together; rows of no tag (below 0) are left out.

    Rows with a place and rows without stay apart.

    Args:
        rows: in any order; the order decides nothing but that of the answer.
        suspicious: flags; a row with one of them is never put together with one without.
        bucket_ms: length of a bucket.
    """
    n = rows.tags.size
    out, scratch = create(n), Scratch(np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64))
    slots = np.zeros(1 << max(4, math.ceil(math.log2(2 * n + 1))), np.int32)
    return out.head(_merge(rows, suspicious, bucket_ms, slots, out, scratch))


@kernel
def _merge(rows: Told, suspicious: int, bucket_ms: int, slots: NDArray[np.int32], out: Told, scratch: Scratch) -> int:
    """Fill `out` and return its length. `slots`, zeroed, find a row of `out` by its key."""
    here, mask, size, n = bare(slots), slots.size - 1, rows.tags.size, 0
    rows, out, scratch = _bare(rows), _bare(out), Scratch(bare(scratch.keys), bare(scratch.taken), bare(scratch.totals))
    for i in range(size):
        scratch.keys[i] = _key(rows, i, suspicious, bucket_ms)
    for i in range(size):
        if i + _AHEAD < size:
            prefetch(here, scratch.keys[i + _AHEAD] >> 32 & mask)
        if rows.tags[i] < 0:
            continue
        slot = scratch.keys[i] >> 32 & mask
        while here[slot] != 0 and not _is_same(rows, i, out, wide(here[slot]) - 1, suspicious, bucket_ms, scratch):
            slot = (slot + 1) & mask
        if here[slot] == 0:
            here[slot] = n + 1
            _begin(rows, i, out, n)
            scratch.taken[n] = scratch.keys[i]
            scratch.totals[n] = wide(rows.rssi_mean_dbm[i]) * rows.counts[i]
            n += 1
        else:
            row = wide(here[slot]) - 1
            scratch.totals[row] += wide(rows.rssi_mean_dbm[i]) * rows.counts[i]
            _add(rows, i, out, row)
    for row in range(n):
        if scratch.totals[row] != wide(out.rssi_mean_dbm[row]) * out.counts[row]:
            out.rssi_mean_dbm[row] = max(_LEAST_DBM, math.floor(scratch.totals[row] / out.counts[row] + 0.5))
    return n


@inlined
def _bare(told: Told) -> Told:
    """Return the columns without their counts of references, see `line.bare`."""
    return Told(
        bare(told.tags),
        bare(told.detectors),
        bare(told.first_ms),
        bare(told.last_ms),
        bare(told.counts),
        bare(told.rssi_best_dbm),
        bare(told.rssi_mean_dbm),
        bare(told.flags),
        bare(told.battery_dv),
        bare(told.lat_deg),
        bare(told.lon_deg),
        bare(told.accuracy_m),
    )


@inlined
def _key(rows: Told, i: int, suspicious: int, bucket_ms: int) -> int:
    key = wide(rows.tags[i]) << 25 ^ wide(rows.detectors[i]) << 1 ^ (rows.flags[i] & suspicious != 0)
    scattered: int = (key ^ rows.last_ms[i] // bucket_ms << 44) * wide(_MULTIPLIER)
    return scattered


@inlined
def _is_same(rows: Told, i: int, out: Told, row: int, suspicious: int, bucket_ms: int, scratch: Scratch) -> bool:
    # Other keys are other rows; the same key may still be of two that share it by chance.
    is_same: bool = (
        scratch.keys[i] == scratch.taken[row]
        and rows.tags[i] == out.tags[row]
        and rows.detectors[i] == out.detectors[row]
        and (rows.flags[i] & suspicious != 0) == (out.flags[row] & suspicious != 0)
        and math.isnan(rows.lat_deg[i]) == math.isnan(out.lat_deg[row])
        and rows.last_ms[i] // bucket_ms == out.last_ms[row] // bucket_ms
    )
    return is_same


@inlined
def _begin(rows: Told, i: int, out: Told, row: int) -> None:
    out.tags[row], out.detectors[row] = rows.tags[i], rows.detectors[i]
    out.first_ms[row], out.last_ms[row], out.counts[row] = rows.first_ms[i], rows.last_ms[i], rows.counts[i]
    out.rssi_best_dbm[row], out.rssi_mean_dbm[row] = rows.rssi_best_dbm[i], rows.rssi_mean_dbm[i]
    out.flags[row], out.battery_dv[row] = rows.flags[i], rows.battery_dv[i]
    out.lat_deg[row], out.lon_deg[row], out.accuracy_m[row] = rows.lat_deg[i], rows.lon_deg[i], rows.accuracy_m[i]


@inlined
def _add(rows: Told, i: int, out: Told, row: int) -> None:
    if rows.battery_dv[i] >= 0 and (out.battery_dv[row] < 0 or rows.battery_dv[i] < out.battery_dv[row]):
        out.battery_dv[row] = rows.battery_dv[i]
    if _is_nearer(rows, i, out, row):
        out.lat_deg[row], out.lon_deg[row], out.accuracy_m[row] = rows.lat_deg[i], rows.lon_deg[i], rows.accuracy_m[i]
    out.first_ms[row] = min(out.first_ms[row], rows.first_ms[i])
    out.last_ms[row] = max(out.last_ms[row], rows.last_ms[i])
    out.counts[row] = min(wide(out.counts[row]) + rows.counts[i], _MOST_PACKETS)
    out.rssi_best_dbm[row] = max(out.rssi_best_dbm[row], rows.rssi_best_dbm[i])
    out.flags[row] |= rows.flags[i]


@inlined
def _is_nearer(rows: Told, i: int, out: Told, row: int) -> bool:
    """Return whether the place of a row says more than the one taken: stronger, of equal ones farther north or east."""
    if rows.rssi_best_dbm[i] != out.rssi_best_dbm[row]:
        is_stronger: bool = rows.rssi_best_dbm[i] > out.rssi_best_dbm[row]
        return is_stronger
    if rows.lat_deg[i] != out.lat_deg[row]:
        is_north: bool = rows.lat_deg[i] > out.lat_deg[row]
        return is_north
    is_east: bool = rows.lon_deg[i] > out.lon_deg[row]
    return is_east
