"""Places too far from the last one to be reached, which wait for another one to confirm them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server.store.columns import Array, Rows
from server.store.connection import Connection, columns


@dataclass(frozen=True, slots=True)
class HeldRows(Rows):
    """Places that are held back, one a ward.

    Attributes:
        wards: n ids, no two alike.
        lat_e7: degrees times ten million.
        lon_e7: likewise.
        at_ms: last heard there, UTC.
        since_ms: first heard there, UTC.
        accuracy_m: at least 0.
        hits: how many places have spoken for it; fits 16 bits.
    """

    wards: list[str]
    lat_e7: NDArray[np.int32]
    lon_e7: NDArray[np.int32]
    at_ms: NDArray[np.int64]
    since_ms: NDArray[np.int64]
    accuracy_m: NDArray[np.float32]
    hits: NDArray[np.int32]


async def save(conn: Connection, rows: HeldRows) -> None:
    """Write held places, whatever was held of their wards before.

    Raises:
        DatabaseError: a ward occurs twice, or is none.
    """
    if not len(rows):
        return
    await conn.execute(
        """INSERT INTO held_place (ward_id, lat_e7, lon_e7, at, since, accuracy_m, hits)
           SELECT * FROM unnest(%b::text[], %b::integer[], %b::integer[], %b::timestamptz[], %b::timestamptz[],
                                %b::float4[], %b::smallint[])
           ON CONFLICT (ward_id) DO UPDATE SET
               lat_e7 = excluded.lat_e7, lon_e7 = excluded.lon_e7, at = excluded.at, since = excluded.since,
               accuracy_m = excluded.accuracy_m, hits = excluded.hits""",
        (
            rows.wards,
            Array(rows.lat_e7, "int4"),
            Array(rows.lon_e7, "int4"),
            Array(rows.at_ms, "timestamptz"),
            Array(rows.since_ms, "timestamptz"),
            Array(rows.accuracy_m, "float4"),
            Array(rows.hits, "int2"),
        ),
    )


async def delete(conn: Connection, wards: list[str]) -> None:
    """Hold nothing back of `wards` any longer; it is no matter whether anything was."""
    if wards:
        await conn.execute("DELETE FROM held_place WHERE ward_id = ANY(%b::text[])", (wards,))


async def load(conn: Connection) -> HeldRows:
    """Return all held places, to start from."""
    found = await columns(
        conn,
        """SELECT ward_id, lat_e7, lon_e7, floor(extract(epoch FROM at) * 1000)::bigint,
                  floor(extract(epoch FROM since) * 1000)::bigint, accuracy_m, hits
           FROM held_place""",
    )
    wards, lat_e7, lon_e7, at_ms, since_ms, accuracy_m, hits = found
    return HeldRows(
        list(wards),
        np.array(lat_e7, np.int32),
        np.array(lon_e7, np.int32),
        np.array(at_ms, np.int64),
        np.array(since_ms, np.int64),
        np.array(accuracy_m, np.float32),
        np.array(hits, np.int32),
    )
