import dataclasses
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.history.errors import SealedHourError
from server.history.fixes import EMPTY, HOUR_MS, Fixes, HotRow, concat, merge, pack, unpack

HOUR = 1_795_402_800_000
Upsert = tuple[int, int, bool, bool]
"""Bucket, detectors, whole, and whether everything is sealed before it."""


def _row(bucket: int, detectors: int, *, is_whole: bool, number: int) -> HotRow:
    at_ms = HOUR + bucket * 10_000
    return (at_ms, at_ms + 9_999, 34.75 + number, 134.84, 5.5, detectors, at_ms + 10_500, bool(number % 2), is_whole)


def _equal(a: Fixes, b: Fixes) -> bool:
    kept = [field.name for field in dataclasses.fields(Fixes) if field.name != "is_whole"]
    return all(np.array_equal(getattr(a, name), getattr(b, name), equal_nan=True) for name in kept)


class _Table:
    """The rule of `INSERT INTO fix … ON CONFLICT` in server/store/fix.py, row by row."""

    def __init__(self) -> None:
        self.rows: dict[int, HotRow] = {}

    def upsert(self, row: HotRow) -> None:
        old = self.rows.get(row[0])
        if old is None:
            self.rows[row[0]] = row
        elif row[8] or row[5] > old[5]:
            self.rows[row[0]] = (*row[:8], old[8] or row[8])


@given(
    st.lists(st.integers(0, 359), unique=True, max_size=360),
    st.floats(allow_nan=True),
    st.floats(width=32),
    st.integers(-(2**40), 2**40),
)
def test_every_number_of_an_hour_comes_back_as_it_was(
    buckets: list[int], lat_deg: float, accuracy_m: float, offset_ms: int
) -> None:
    rows = [_row(bucket, bucket % 7, is_whole=False, number=0) for bucket in buckets]
    fixes = Fixes.of([(*row[:2], lat_deg, row[3], accuracy_m, row[5], row[6] + offset_ms, *row[7:]) for row in rows])
    assert _equal(unpack(pack(fixes, HOUR), HOUR), fixes)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4), st.booleans(), st.booleans()), max_size=40))
def test_what_is_sealed_in_between_ends_as_if_it_never_was(upserts: list[Upsert]) -> None:
    plain, hot, sealed = _Table(), _Table(), EMPTY
    for number, (bucket, detectors, is_whole, seals) in enumerate(upserts):
        if seals:
            sealed = unpack(pack(merge(sealed, Fixes.of(list(hot.rows.values()))), HOUR), HOUR)
            hot = _Table()
        row = _row(bucket, detectors, is_whole=is_whole, number=number)
        plain.upsert(row)
        hot.upsert(row)
        shown = merge(sealed, Fixes.of(list(hot.rows.values())))
        assert _equal(shown, Fixes.of(list(plain.rows.values())))


def test_rows_are_parted_by_the_hour_of_their_bucket() -> None:
    rows = [_row(bucket, 1, is_whole=True, number=bucket) for bucket in range(0, 1000, 30)]
    random.Random(1).shuffle(rows)
    fixes = Fixes.of(rows)
    hours = fixes.hours()
    assert list(hours) == [HOUR, HOUR + HOUR_MS, HOUR + 2 * HOUR_MS]
    assert _equal(concat(list(hours.values())), fixes)
    assert len(concat([])) == len(EMPTY) == 0


@pytest.mark.parametrize(
    "data", [b"", b"\xa0", b"\xa1\x00\x02", b"\x01", b"\xa1\x00\x01", b"\xa2\x00\x01\x01\x05", b"\xff"]
)
def test_octets_of_another_shape_are_refused(data: bytes) -> None:
    with pytest.raises(SealedHourError):
        unpack(data, HOUR)


def test_columns_of_different_lengths_are_refused() -> None:
    short = Fixes.of([_row(1, 1, is_whole=True, number=1), _row(2, 1, is_whole=True, number=2)])
    torn = dataclasses.replace(short, lat_deg=short.lat_deg[:1])
    with pytest.raises(SealedHourError):
        unpack(pack(torn, HOUR), HOUR)
