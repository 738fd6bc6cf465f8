"""Raw sightings: written by binary COPY out of NumPy columns, kept for days, read by nobody but ingest."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from server.store.columns import Rows, millis, stamps
from server.store.connection import Connection, at
from server.store.records import HEADER, NULL, TRAILER, layout, length_of, read

_DAY_MS: Final = 86_400_000
_COLUMNS: Final = (
    ("ts", ">i8"),
    ("first_at", ">i8"),
    ("tag_index", ">i4"),
    ("detector_index", ">i4"),
    ("count", ">i4"),
    ("rssi_best_dbm", ">i2"),
    ("rssi_mean_dbm", ">i2"),
    ("flags", ">i2"),
    ("shard", ">i2"),
    ("lat_deg", ">f8"),
    ("lon_deg", ">f8"),
    ("accuracy_m", ">f4"),
    ("battery_dv", ">i2"),
)
_AT_ONCE: Final = 4_096
"""Rows in a part."""
_TIMES: Final = ("ts", "first_at")
_POSITION: Final = ("lat_deg", "lon_deg", "accuracy_m")
_BATTERY: Final = ("battery_dv",)
_COPY: Final = """COPY sighting (ts, first_at, tag_index, detector_index, count, rssi_best_dbm, rssi_mean_dbm, flags,
    shard, lat_deg, lon_deg, accuracy_m, battery_dv) FROM STDIN (FORMAT BINARY)"""
_RECENT: Final = """COPY (
    SELECT ts, first_at, tag_index, detector_index, count, rssi_best_dbm, rssi_mean_dbm, flags, shard,
           coalesce(lat_deg, 'NaN'), coalesce(lon_deg, 'NaN'), coalesce(accuracy_m, 'NaN'),
           coalesce(battery_dv, -1::smallint)
    FROM sighting WHERE ts >= %s) TO STDOUT (FORMAT BINARY)"""


@dataclass(frozen=True, slots=True)
class Sightings(Rows):
    """Columns of n rows, any integer or float type that fits; NaN positions and negative batteries are stored as null.

    Attributes:
        ts: last heard, UTC milliseconds.
        first_at: first heard, UTC milliseconds.
        tag_index: `tag.index`.
        detector_index: `detector.index`.
        count: packets.
        rssi_best_dbm: strongest.
        rssi_mean_dbm: mean.
        flags: `server.core.flags.Flag` bits.
        shard: of the tag.
        lat_deg: of a moving detector, else NaN.
        lon_deg: likewise.
        accuracy_m: likewise.
        battery_dv: what the tag said of its battery, decivolts; -1: nothing.
    """

    ts: NDArray[np.int64]
    first_at: NDArray[np.int64]
    tag_index: NDArray[np.int32]
    detector_index: NDArray[np.int32]
    count: NDArray[np.int32]
    rssi_best_dbm: NDArray[np.int16]
    rssi_mean_dbm: NDArray[np.int16]
    flags: NDArray[np.int16]
    shard: NDArray[np.int16]
    lat_deg: NDArray[np.float64]
    lon_deg: NDArray[np.float64]
    accuracy_m: NDArray[np.float32]
    battery_dv: NDArray[np.int16]


def pack(rows: Sightings) -> Iterator[bytes | memoryview]:
    """Yield the octets of `rows` as a binary COPY, in parts, so that the database works while the next one is made.

    They are ordered by what is null in them: COPY knows no order.
    """
    yield HEADER
    for nulls, which in _groups(rows):
        kind = layout(_COLUMNS, nulls)
        for start in range(0, len(which), _AT_ONCE):
            part = which[start : start + _AT_ONCE]
            records = np.empty(len(part), kind)
            _fill(records, rows, nulls, part)
            yield records.view(np.uint8).data
    yield TRAILER


def _groups(rows: Sightings) -> list[tuple[tuple[str, ...], NDArray[np.intp]]]:
    """Return which columns may be null together, and the rows in which they are."""
    has_place, has_battery = ~np.isnan(rows.lat_deg), rows.battery_dv >= 0
    cases = (
        ((), has_place & has_battery),
        (_BATTERY, has_place & ~has_battery),
        (_POSITION, ~has_place & has_battery),
        ((*_POSITION, *_BATTERY), ~has_place & ~has_battery),
    )
    return [(nulls, np.flatnonzero(mask)) for nulls, mask in cases if mask.any()]


def _fill(records: NDArray[np.void], rows: Sightings, nulls: tuple[str, ...], which: NDArray[np.intp]) -> None:
    records["fields"] = len(_COLUMNS)
    for name, kind in _COLUMNS:
        records[length_of(name)] = NULL if name in nulls else np.dtype(kind).itemsize
        if name not in nulls:
            values = getattr(rows, name)[which]
            records[name] = stamps(values) if name in _TIMES else values


async def copy(conn: Connection, rows: Sightings) -> None:
    """Write `rows`.

    Raises:
        DatabaseError: the database refuses; nothing of the transaction is written.
    """
    if not len(rows):
        return
    async with conn.cursor() as cursor, cursor.copy(_COPY) as copy_:
        for octets in pack(rows):
            await copy_.write(octets)


async def recent(conn: Connection, since_ms: int) -> Sightings:
    """Return what was heard since a UTC millisecond, to start from after a stop."""
    records = await read(conn, _RECENT, (at(since_ms),), _COLUMNS)
    return Sightings(*(_column(records[name], is_time=name in _TIMES) for name, _ in _COLUMNS))


def _column(values: NDArray[Any], *, is_time: bool) -> NDArray[Any]:
    return millis(values) if is_time else values.astype(values.dtype.newbyteorder("="))


def first_kept_day(now_ms: int, keep_ms: int) -> date:
    """Return the oldest day of which a part must still be kept."""
    return datetime.fromtimestamp((now_ms - keep_ms) // 1000, UTC).date()


def day_start_ms(day: date) -> int:
    """Return the UTC millisecond at which a day begins."""
    return (day - date(1970, 1, 1)).days * _DAY_MS


async def prepare(conn: Connection, first: date, last: date) -> int:
    """Make the partitions of days that have none; return how many."""
    return await _call(conn, "SELECT sighting_prepare(%s, %s)", first, last)


async def expire(conn: Connection, first_kept: date) -> int:
    """Drop the partitions of all days before `first_kept`; return how many."""
    return await _call(conn, "SELECT sighting_expire(%s)", first_kept)


async def seal(conn: Connection, first_open: date) -> int:
    """Order the days before `first_open` by tag; return how many were not yet."""
    return await _call(conn, "SELECT sighting_seal(%s)", first_open)


async def _call(conn: Connection, query: str, *days: date) -> int:
    row = await (await conn.execute(query, days)).fetchone()
    return int(row[0]) if row else 0
