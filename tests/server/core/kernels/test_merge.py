import math
from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from server.core.kernels import merge
from server.core.kernels.merge import Told

SETTINGS = settings(deadline=None, max_examples=150)
BUCKET_MS, DOUBT = 10_000, 0x20


class Row(NamedTuple):
    tag: int
    detector: int
    first_ms: int
    last_ms: int
    packets: int
    best: int
    mean: int
    flags: int
    battery_dv: int
    lat_deg: float
    lon_deg: float
    accuracy_m: float


rows_of_a_step = st.lists(
    st.builds(
        Row,
        st.integers(-1, 3),
        st.integers(0, 2),
        st.integers(0, 30_000),
        st.integers(0, 30_000),
        st.integers(1, 65_535),
        st.integers(-128, 127),
        st.integers(-128, 127),
        st.sampled_from([0, 2, 6, DOUBT, DOUBT | 2]),
        st.sampled_from([-1, 29, 30]),
        st.sampled_from([math.nan, 34.0, 34.5]),
        st.sampled_from([134.0, 134.5]),
        st.just(5.0),
    ).map(lambda row: row._replace(lon_deg=math.nan, accuracy_m=math.nan) if math.isnan(row.lat_deg) else row),
    max_size=60,
)


def _columns(rows: list[Row]) -> Told:
    empty: Sequence[NDArray[Any]] = merge.create(0)
    return Told._make(np.array([row[i] for row in rows], column.dtype) for i, column in enumerate(empty))


def _slow(rows: list[Row]) -> list[tuple[object, ...]]:
    groups: dict[tuple[object, ...], list[Row]] = defaultdict(list)
    for row in rows:
        if row.tag >= 0:
            is_placed = not math.isnan(row.lat_deg)
            groups[row.tag, row.detector, row.last_ms // BUCKET_MS, bool(row.flags & DOUBT), is_placed].append(row)
    return [_one(group) for group in groups.values()]


def _one(group: list[Row]) -> tuple[object, ...]:
    packets = sum(row.packets for row in group)
    mean = Fraction(sum(row.mean * row.packets for row in group), packets)
    flags = 0
    for row in group:
        flags |= row.flags
    where = max(group, key=lambda row: (row.best, row.lat_deg, row.lon_deg))
    place = () if math.isnan(where.lat_deg) else (where.lat_deg, where.lon_deg)
    return (
        group[0].tag,
        group[0].detector,
        min(row.first_ms for row in group),
        max(row.last_ms for row in group),
        packets,
        max(row.best for row in group),
        math.floor(mean + Fraction(1, 2)),
        flags,
        min((row.battery_dv for row in group if row.battery_dv >= 0), default=-1),
        place,
    )


def _listed(told: Told) -> list[tuple[object, ...]]:
    rows = zip(*(column.tolist() for column in told), strict=True)
    return [(*row[:9], () if math.isnan(row[9]) else row[9:11]) for row in rows]


@SETTINGS
@given(rows_of_a_step)
def test_rows_are_put_together_as_by_hand(rows: list[Row]) -> None:
    assert _listed(merge.merge(_columns(rows), DOUBT, BUCKET_MS)) == _slow(rows)


@SETTINGS
@given(rows_of_a_step, st.randoms(use_true_random=False))
def test_no_packet_is_lost_and_the_order_decides_only_the_order(rows: list[Row], random: object) -> None:
    told = merge.merge(_columns(rows), DOUBT, BUCKET_MS)
    assert int(told.counts.sum()) == sum(row.packets for row in rows if row.tag >= 0)
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined] # a random.Random
    other = merge.merge(_columns(shuffled), DOUBT, BUCKET_MS)
    assert sorted(map(repr, _listed(told))) == sorted(map(repr, _listed(other)))


def test_many_rows_fill_no_table() -> None:
    rng, n = np.random.default_rng(1), 200_000
    told = Told._make(np.ones(n, column.dtype) for column in merge.create(0))
    told = told._replace(tags=rng.integers(0, 50_000, n).astype(np.int32), detectors=np.zeros(n, np.int32))
    merged = merge.merge(told, DOUBT, BUCKET_MS)
    assert np.array_equal(np.sort(merged.tags), np.unique(told.tags))
    assert int(merged.counts.sum()) == n


def test_packets_made_up_by_the_billion_are_as_many_as_a_row_can_count() -> None:
    told = Told._make(np.ones(900, column.dtype) for column in merge.create(0))
    told = told._replace(counts=np.full(900, 2**31 - 1, np.int32), rssi_mean_dbm=np.full(900, -100, np.int16))
    merged = merge.merge(told, DOUBT, BUCKET_MS)
    assert (merged.counts.tolist(), merged.rssi_mean_dbm.tolist()) == ([2**31 - 1], [-128])
