"""Raw sightings: written by binary COPY out of NumPy columns, kept for days, read by nobody but ingest."""

from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from server.store.connection import Connection, at

_PG_EPOCH_MS: Final = 946_684_800_000
_DAY_MS: Final = 86_400_000
_HEADER: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER: Final = b"\xff\xff"
_NULL: Final = -1
_PLAIN: Final = (
    ("ts", ">i8"),
    ("first_at", ">i8"),
    ("tag_index", ">i4"),
    ("detector_index", ">i4"),
    ("count", ">i4"),
    ("rssi_best_dbm", ">i2"),
    ("rssi_mean_dbm", ">i2"),
    ("flags", ">i2"),
    ("shard", ">i2"),
)
_POSITION: Final = (("lat_deg", ">f8"), ("lon_deg", ">f8"), ("accuracy_m", ">f4"))
_COPY: Final = """COPY sighting (ts, first_at, tag_index, detector_index, count, rssi_best_dbm, rssi_mean_dbm, flags,
    shard, lat_deg, lon_deg, accuracy_m) FROM STDIN (FORMAT BINARY)"""


@dataclass(frozen=True, slots=True)
class Sightings:
    """Columns of n rows, any integer or float type that fits; NaN positions are stored as null.

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

    def __len__(self) -> int:
        return len(self.ts)

    def take(self, which: NDArray[np.bool_]) -> "Sightings":
        """Return the rows that a mask selects."""
        return Sightings(*(getattr(self, field.name)[which] for field in fields(self)))


def pack(rows: Sightings) -> bytes:
    """Return `rows` as the octets of a binary COPY. Those with a position come first: COPY knows no order."""
    is_placed = ~np.isnan(rows.lat_deg)
    parts = [_records(rows.take(is_placed), is_placed=True), _records(rows.take(~is_placed), is_placed=False)]
    return b"".join((_HEADER, *parts, _TRAILER))


def _records(rows: Sightings, *, is_placed: bool) -> bytes:
    columns = _PLAIN + (_POSITION if is_placed else ())
    layout: list[tuple[str, str]] = [("fields", ">i2")]
    for name, kind in columns:
        layout += [(f"{name}_length", ">i4"), (name, kind)]
    if not is_placed:
        layout += [(f"{name}_length", ">i4") for name, _ in _POSITION]
    records = np.empty(len(rows), dtype=layout)
    records["fields"] = len(_PLAIN) + len(_POSITION)
    for name, kind in columns:
        values = getattr(rows, name)
        records[f"{name}_length"] = int(kind[2])
        records[name] = (values - _PG_EPOCH_MS) * 1000 if kind == ">i8" else values
    if not is_placed:
        for name, _ in _POSITION:
            records[f"{name}_length"] = _NULL
    return records.tobytes()


async def copy(conn: Connection, rows: Sightings) -> None:
    """Write `rows`.

    Raises:
        DatabaseError: the database refuses; nothing of the transaction is written.
    """
    if not len(rows):
        return
    async with conn.cursor() as cursor, cursor.copy(_COPY) as copy_:
        await copy_.write(pack(rows))


async def recent(conn: Connection, since_ms: int) -> Sightings:
    """Return what was heard since a UTC millisecond, to start from after a stop."""
    rows = await conn.execute(
        """SELECT (extract(epoch FROM ts) * 1000)::bigint, (extract(epoch FROM first_at) * 1000)::bigint, tag_index,
                  detector_index, count, rssi_best_dbm, rssi_mean_dbm, flags, shard, coalesce(lat_deg, 'NaN'),
                  coalesce(lon_deg, 'NaN'), coalesce(accuracy_m, 'NaN')
           FROM sighting WHERE ts >= %s""",
        (at(since_ms),),
    )
    table = await rows.fetchall()
    columns: list[list[float]] = [list(column) for column in zip(*table, strict=True)] or [[]] * 12
    kinds = [np.dtype(kind).newbyteorder("=") for _, kind in _PLAIN + _POSITION]
    return Sightings(*(np.array(column, dtype=kind) for column, kind in zip(columns, kinds, strict=True)))


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
