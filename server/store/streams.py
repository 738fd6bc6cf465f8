"""What live streams need: the database's own notices, and what changed for some wards."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from psycopg import AsyncConnection
from psycopg.rows import class_row

from server.store.family import EVENT_COLUMNS, PLACE_COLUMNS, EventRow, PlaceRow, WatchedPlaceRow
from server.store.grant import GrantedConnection

_QUIET_S: Final = 10.0
"""After so long without a notice the connection is tried: a half-open one would be silent for ever."""


@dataclass(frozen=True, slots=True)
class Listening:
    """The connection stands: what happened before this was not heard, and has to be looked up."""


@dataclass(frozen=True, slots=True)
class WardsChanged:
    """Places or events of wards were committed."""

    ward_ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class AccessChanged:
    """A session or a guardianship of a guardian began, changed or ended."""

    guardian_id: str


Heard = Listening | WardsChanged | AccessChanged


async def listen(dsn: str) -> AsyncGenerator[Heard, None]:
    """Yield what is notified, over one connection of its own, until that fails with one of `pool.DOWN`."""
    async with await AsyncConnection.connect(dsn, autocommit=True, connect_timeout=3) as conn:
        await conn.execute("LISTEN live")
        await conn.execute("LISTEN access")
        yield Listening()
        while True:
            async for notice in conn.notifies(timeout=_QUIET_S):
                heard = _read(notice.channel, notice.payload)
                if heard:
                    yield heard
            await conn.execute("SELECT 1")


def _read(channel: str, payload: str) -> Heard | None:
    if channel == "access":
        return AccessChanged(payload)
    try:
        wards = json.loads(payload)["wards"]
        return WardsChanged(frozenset(ward for ward in wards if isinstance(ward, str)))
    except (ValueError, KeyError, TypeError):
        return None


async def places(conn: GrantedConnection, ward_ids: Collection[str]) -> list[PlaceRow]:
    """Return the last places of some wards."""
    async with conn.cursor(row_factory=class_row(PlaceRow)) as cursor:
        await cursor.execute(
            f"SELECT {PLACE_COLUMNS} FROM last_place WHERE ward_id = ANY(%s)",  # noqa: S608 - constants
            (list(ward_ids),),
        )
        return await cursor.fetchall()


async def own_places(conn: GrantedConnection, ward_ids: Collection[str]) -> list[WatchedPlaceRow]:
    """Return the places that belong to some wards, such as their homes."""
    async with conn.cursor(row_factory=class_row(WatchedPlaceRow)) as cursor:
        await cursor.execute(
            "SELECT id, name_ja, name_en, kind, lat_deg, lon_deg, radius_m::float8, ward_id FROM place"
            " WHERE ward_id = ANY(%s)",
            (list(ward_ids),),
        )
        return await cursor.fetchall()


async def newest_events(conn: GrantedConnection, ward_ids: Collection[str]) -> dict[str, int]:
    """Return the id of each ward's newest event, 0 where there is none."""
    cursor = await conn.execute(
        """
        SELECT w.id, coalesce((SELECT e.id FROM event AS e WHERE e.ward_id = w.id ORDER BY e.id DESC LIMIT 1), 0)
        FROM unnest(%s::text[]) AS w (id)
        """,
        (list(ward_ids),),
    )
    return {str(ward_id): int(event_id) for ward_id, event_id in await cursor.fetchall()}


async def events_after(conn: GrantedConnection, after: Mapping[str, int], *, limit: int) -> list[EventRow]:
    """Return the events after `after[ward_id]` of each ward, oldest first, at most `limit` a ward.

    Ids of one ward ascend in the order of commits: ingest holds the ward's row of last_place while it writes events.
    """
    async with conn.cursor(row_factory=class_row(EventRow)) as cursor:
        await cursor.execute(
            f"""
            SELECT {EVENT_COLUMNS}
            FROM unnest(%s::text[], %s::bigint[]) AS w (ward_id, after)
            CROSS JOIN LATERAL (
                SELECT * FROM event WHERE event.ward_id = w.ward_id AND event.id > w.after ORDER BY event.id LIMIT %s
            ) AS e
            LEFT JOIN place AS p ON p.id = e.place_id
            ORDER BY e.id
            """,  # noqa: S608 - constants of this module
            (list(after.keys()), list(after.values()), limit),
        )
        return await cursor.fetchall()
