"""Places of wards over time, and the newest one."""

from dataclasses import dataclass
from typing import Final, LiteralString

import numpy as np
from numpy.typing import NDArray

from server.store.columns import Array, Rows
from server.store.connection import Connection, columns

# What is whole replaces; a part that came late replaces only what fewer detectors said. Sealed hours are merged by the
# same rule (server/history/fixes.py), for which `whole` is kept.
_FIX: Final = """
    INSERT INTO fix AS old
        (ward_id, bucket_at, at, lat_deg, lon_deg, accuracy_m, detectors, received_at, late, whole)
    SELECT * FROM unnest(%b::text[], %b::timestamptz[], %b::timestamptz[], %b::float8[], %b::float8[], %b::float4[],
                         %b::smallint[], %b::timestamptz[], %b::boolean[], %b::boolean[])
    ON CONFLICT (ward_id, bucket_at) DO UPDATE SET
        at = excluded.at, lat_deg = excluded.lat_deg, lon_deg = excluded.lon_deg, accuracy_m = excluded.accuracy_m,
        detectors = excluded.detectors, received_at = excluded.received_at, late = excluded.late,
        whole = old.whole OR excluded.whole
    WHERE excluded.whole OR excluded.detectors > old.detectors
"""
_DOUBTFUL: Final = """
    INSERT INTO doubtful_fix
        (ward_id, bucket_at, at, lat_deg, lon_deg, accuracy_m, detectors, received_at, late, reason)
    SELECT *, 'unreachable' FROM unnest(%b::text[], %b::timestamptz[], %b::timestamptz[], %b::float8[], %b::float8[],
                                        %b::float4[], %b::smallint[], %b::timestamptz[], %b::boolean[])
    ON CONFLICT (ward_id, bucket_at) DO UPDATE SET
        at = excluded.at, lat_deg = excluded.lat_deg, lon_deg = excluded.lon_deg, accuracy_m = excluded.accuracy_m,
        detectors = excluded.detectors
"""
_LAST: Final = """
    INSERT INTO last_place AS old
        (ward_id, lat_deg, lon_deg, accuracy_m, heard_at, received_at, late, battery_dv, sos, moving, traceable)
    SELECT * FROM unnest(%b::text[], %b::float8[], %b::float8[], %b::float4[], %b::timestamptz[], %b::timestamptz[],
                         %b::boolean[], %b::smallint[], %b::boolean[], %b::boolean[], %b::boolean[])
    ON CONFLICT (ward_id) DO UPDATE SET
        lat_deg = excluded.lat_deg, lon_deg = excluded.lon_deg, accuracy_m = excluded.accuracy_m,
        heard_at = excluded.heard_at, received_at = excluded.received_at, late = excluded.late,
        battery_dv = coalesce(excluded.battery_dv, old.battery_dv), sos = excluded.sos, moving = excluded.moving,
        traceable = excluded.traceable
    WHERE excluded.heard_at >= old.heard_at
"""


@dataclass(frozen=True, slots=True)
class FixRows(Rows):
    """Places for the track.

    Attributes:
        wards: n ids.
        bucket_ms: start of the ten seconds that were put together, UTC.
        at_ms: last heard in them, UTC.
        lat_deg: -90 to 90.
        lon_deg: -180 to 180.
        accuracy_m: at least 0.
        detectors: how many spoke for it.
        received_ms: UTC.
        is_late: heard long before it was received.
        is_whole: it holds all that was heard of its bucket, so it may replace what is there.
    """

    wards: list[str]
    bucket_ms: NDArray[np.int64]
    at_ms: NDArray[np.int64]
    lat_deg: NDArray[np.float64]
    lon_deg: NDArray[np.float64]
    accuracy_m: NDArray[np.float32]
    detectors: NDArray[np.int16]
    received_ms: NDArray[np.int64]
    is_late: NDArray[np.bool_]
    is_whole: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LastRows(Rows):
    """The newest places of wards, each of them once, with what their tags said last.

    Attributes:
        wards: n ids, no two alike.
        lat_deg: -90 to 90.
        lon_deg: -180 to 180.
        accuracy_m: at least 0.
        heard_ms: UTC.
        received_ms: UTC.
        is_late: heard long before it was received.
        battery_dv: decivolts; -1: the tag did not say, what was known stays.
        is_sos: the button is pressed.
        is_moving: the tag moves.
        is_traceable: the tag never changes its id.
    """

    wards: list[str]
    lat_deg: NDArray[np.float64]
    lon_deg: NDArray[np.float64]
    accuracy_m: NDArray[np.float32]
    heard_ms: NDArray[np.int64]
    received_ms: NDArray[np.int64]
    is_late: NDArray[np.bool_]
    battery_dv: NDArray[np.int16]
    is_sos: NDArray[np.bool_]
    is_moving: NDArray[np.bool_]
    is_traceable: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LastKnown(Rows):
    """The newest place of each ward, to start from.

    Attributes:
        wards: n ids.
        lat_deg: -90 to 90.
        lon_deg: -180 to 180.
        accuracy_m: at least 0.
        heard_ms: UTC.
    """

    wards: list[str]
    lat_deg: NDArray[np.float64]
    lon_deg: NDArray[np.float64]
    accuracy_m: NDArray[np.float32]
    heard_ms: NDArray[np.int64]


async def save(conn: Connection, rows: FixRows) -> None:
    """Write places into the track; of several for one bucket of a ward, each meets what the one before has left."""
    await _each_once(conn, _FIX, rows, has_whole=True)


async def save_doubtful(conn: Connection, rows: FixRows) -> None:
    """Write places that nobody could have reached, apart from the track; the last one of a bucket stays."""
    await _each_once(conn, _DOUBTFUL, rows, has_whole=False)


async def save_last(conn: Connection, rows: LastRows) -> None:
    """Write newest places; one that is older than what is there changes nothing, but its row is locked all the same.

    Raises:
        DatabaseError: a ward occurs twice, or is none.
    """
    if not len(rows):
        return
    await conn.execute(
        _LAST,
        (
            rows.wards,
            Array(rows.lat_deg, "float8"),
            Array(rows.lon_deg, "float8"),
            Array(rows.accuracy_m, "float4"),
            Array(rows.heard_ms, "timestamptz"),
            Array(rows.received_ms, "timestamptz"),
            Array(rows.is_late, "bool"),
            Array(rows.battery_dv, "int2", rows.battery_dv < 0),
            Array(rows.is_sos, "bool"),
            Array(rows.is_moving, "bool"),
            Array(rows.is_traceable, "bool"),
        ),
    )


async def load_last(conn: Connection) -> LastKnown:
    """Return the newest place of each ward, to start from."""
    found = await columns(
        conn,
        """SELECT ward_id, lat_deg, lon_deg, accuracy_m, floor(extract(epoch FROM heard_at) * 1000)::bigint
           FROM last_place""",
    )
    wards, lat_deg, lon_deg, accuracy_m, heard_ms = found
    return LastKnown(
        list(wards),
        np.array(lat_deg, np.float64),
        np.array(lon_deg, np.float64),
        np.array(accuracy_m, np.float32),
        np.array(heard_ms, np.int64),
    )


async def _each_once(conn: Connection, statement: LiteralString, rows: FixRows, *, has_whole: bool) -> None:
    """Execute a statement until no row is left. One statement may not touch a row of the table twice."""
    while len(rows):
        is_first = _is_first(rows)
        now = rows if is_first.all() else rows.take(is_first)
        await conn.execute(statement, (*_columns(now), *([Array(now.is_whole, "bool")] if has_whole else [])))
        rows = rows.take(~is_first)


def _is_first(rows: FixRows) -> NDArray[np.bool_]:
    """Return which rows are the first of their ward and bucket."""
    first: dict[tuple[str, int], int] = {}
    keys = zip(rows.wards, rows.bucket_ms.tolist(), strict=True)
    return np.array([first.setdefault(key, number) == number for number, key in enumerate(keys)], np.bool_)


def _columns(rows: FixRows) -> tuple[object, ...]:
    return (
        rows.wards,
        Array(rows.bucket_ms, "timestamptz"),
        Array(rows.at_ms, "timestamptz"),
        Array(rows.lat_deg, "float8"),
        Array(rows.lon_deg, "float8"),
        Array(rows.accuracy_m, "float4"),
        Array(rows.detectors, "int2"),
        Array(rows.received_ms, "timestamptz"),
        Array(rows.is_late, "bool"),
    )
