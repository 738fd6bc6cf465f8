"""Sealed hours of wards, and the plain fixes that are waiting to be sealed. What is sealed is octets here."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from server.store.connection import Connection, at
from server.store.grant import GrantedConnection

Row = tuple[int, int, float, float, float, int, int, bool, bool]
"""bucket_ms, at_ms, lat_deg, lon_deg, accuracy_m, detectors, received_ms, is_late, is_whole; times UTC."""

_COLUMNS: Final = """
    (extract(epoch FROM bucket_at) * 1000)::bigint, (extract(epoch FROM at) * 1000)::bigint, lat_deg, lon_deg,
    accuracy_m, detectors, (extract(epoch FROM received_at) * 1000)::bigint, late, whole
"""
_TAKE: Final = f"DELETE FROM fix WHERE ward_id = ANY(%s) AND bucket_at < %s RETURNING ward_id, {_COLUMNS}"  # noqa: S608 - constants of this module
_HOT: Final = f"""
    SELECT {_COLUMNS} FROM fix
    WHERE ward_id = %(ward)s AND bucket_at >= %(from)s AND bucket_at < %(to)s
    ORDER BY bucket_at DESC LIMIT %(limit)s
"""  # noqa: S608 - constants of this module
_SEALED: Final = """
    SELECT (extract(epoch FROM hour_at) * 1000)::bigint, sealed FROM ward_hour
    WHERE ward_id = %(ward)s AND hour_at >= %(from)s AND hour_at < %(to)s ORDER BY hour_at
"""


async def waiting(conn: Connection, before_ms: int) -> list[str]:
    """Return the wards with plain fixes from before `before_ms`."""
    rows = await conn.execute("SELECT DISTINCT ward_id FROM fix WHERE bucket_at < %s", (at(before_ms),))
    return [row[0] for row in await rows.fetchall()]


async def take_hot(conn: Connection, wards: Sequence[str], before_ms: int) -> dict[str, list[Row]]:
    """Delete the plain fixes of `wards` from before `before_ms` and return them, in a transaction that seals them."""
    rows = await conn.execute(_TAKE, (list(wards), at(before_ms)))
    taken: dict[str, list[Row]] = {}
    for ward, *row in await rows.fetchall():
        taken.setdefault(ward, []).append(tuple(row))
    return taken


async def sealed(conn: Connection, hours: Sequence[tuple[str, int]]) -> dict[tuple[str, int], bytes]:
    """Return those of `hours` (ward, UTC ms) that have been sealed."""
    wards, starts = [ward for ward, _ in hours], [at(hour_ms) for _, hour_ms in hours]
    rows = await conn.execute(
        """SELECT ward_id, (extract(epoch FROM hour_at) * 1000)::bigint, sealed FROM ward_hour
           JOIN unnest(%s::text[], %s::timestamptz[]) AS h (ward_id, hour_at) USING (ward_id, hour_at)""",
        (wards, starts),
    )
    return {(row[0], row[1]): row[2] for row in await rows.fetchall()}


async def save(conn: Connection, rows: Iterable[tuple[str, int, bytes]]) -> None:
    """Write sealed hours (ward, UTC ms, octets) in place of what there is."""
    async with conn.cursor() as cursor:
        await cursor.executemany(
            """INSERT INTO ward_hour (ward_id, hour_at, sealed) VALUES (%s, %s, %s)
               ON CONFLICT (ward_id, hour_at) DO UPDATE SET sealed = excluded.sealed""",
            [(ward, at(hour_ms), octets) for ward, hour_ms, octets in rows],
        )


async def read(
    conn: GrantedConnection, ward_id: str, *, span_ms: tuple[int, int], limit: int
) -> tuple[list[Row], list[tuple[int, bytes]]]:
    """Return what is granted of a ward's span: the newest `limit` plain fixes, and sealed hours by UTC ms.

    Both are of one snapshot: what is being sealed meanwhile is seen once, on either side.
    """
    asked: dict[str, Any] = {"ward": ward_id, "from": at(span_ms[0]), "to": at(span_ms[1]), "limit": limit}
    hot = await (await conn.execute(_HOT, asked)).fetchall()
    hours = await (await conn.execute(_SEALED, asked)).fetchall()
    return [tuple(row) for row in hot], [(row[0], row[1]) for row in hours]
