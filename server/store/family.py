"""What a family sees of a ward, over a connection that has its purpose token: without one there are no rows.

Times of the town, UTC ms.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

from psycopg.rows import class_row

from server.store.grant import GrantedConnection


@dataclass(frozen=True, slots=True)
class WardRow:
    """A ward by name."""

    id: str
    name_ja: str
    name_en: str


@dataclass(frozen=True, slots=True)
class PlaceRow:
    """Where a ward was heard last, with what its tag said."""

    ward_id: str
    lat_deg: float
    lon_deg: float
    accuracy_m: float
    heard_at_ms: int
    received_at_ms: int
    late: bool
    battery_dv: int | None
    sos: bool
    traceable: bool


@dataclass(frozen=True, slots=True)
class FixRow:
    """One point of a track."""

    lat_deg: float
    lon_deg: float
    accuracy_m: float
    heard_at_ms: int
    received_at_ms: int
    late: bool


@dataclass(frozen=True, slots=True)
class EventRow:
    """Something that happened to a ward; without a place when it is an SOS."""

    ward_id: str
    id: int
    kind: Literal["arrived", "departed", "sos"]
    place_ja: str | None
    place_en: str | None
    at_ms: int
    received_at_ms: int


@dataclass(frozen=True, slots=True)
class WatchedPlaceRow:
    """A place of a ward's own or watched for them; `ward_id` None: everyone's."""

    id: str
    name_ja: str
    name_en: str
    kind: str
    lat_deg: float
    lon_deg: float
    radius_m: float
    ward_id: str | None


PLACE_COLUMNS: Final = """
    ward_id, lat_deg, lon_deg, accuracy_m::float8, (extract(epoch FROM heard_at) * 1000)::bigint AS heard_at_ms,
    (extract(epoch FROM received_at) * 1000)::bigint AS received_at_ms, late, battery_dv, sos, traceable
"""
EVENT_COLUMNS: Final = """
    e.ward_id, e.id, e.kind, p.name_ja AS place_ja, p.name_en AS place_en,
    (extract(epoch FROM e.at) * 1000)::bigint AS at_ms,
    (extract(epoch FROM e.received_at) * 1000)::bigint AS received_at_ms
"""


async def wards(conn: GrantedConnection, ward_ids: Collection[str]) -> list[WardRow]:
    """Return those of `ward_ids` who are granted, by name."""
    query = "SELECT id, name_ja, name_en FROM ward WHERE id = ANY(%s) ORDER BY name_en, id"
    async with conn.cursor(row_factory=class_row(WardRow)) as cursor:
        await cursor.execute(query, (list(ward_ids),))
        return await cursor.fetchall()


async def last_place(conn: GrantedConnection, ward_id: str) -> PlaceRow | None:
    """Return where the ward was heard last, or None: never yet."""
    query = f"SELECT {PLACE_COLUMNS} FROM last_place WHERE ward_id = %s"  # noqa: S608 - constants of this module
    async with conn.cursor(row_factory=class_row(PlaceRow)) as cursor:
        await cursor.execute(query, (ward_id,))
        return await cursor.fetchone()


async def events(conn: GrantedConnection, ward_id: str, *, before: int | None, limit: int) -> list[EventRow]:
    """Return at most `limit` events with an id below `before`, newest first."""
    query = f"""
    SELECT {EVENT_COLUMNS} FROM event AS e LEFT JOIN place AS p ON p.id = e.place_id
    WHERE e.ward_id = %(ward_id)s AND (%(before)s::bigint IS NULL OR e.id < %(before)s::bigint)
    ORDER BY e.id DESC LIMIT %(limit)s
    """  # noqa: S608 - constants of this module
    async with conn.cursor(row_factory=class_row(EventRow)) as cursor:
        await cursor.execute(query, {"ward_id": ward_id, "before": before, "limit": limit})
        return await cursor.fetchall()


async def places(conn: GrantedConnection, ward_id: str) -> list[WatchedPlaceRow]:
    """Return the ward's own places and those watched for them; never another ward's."""
    query = """
    SELECT p.id, p.name_ja, p.name_en, p.kind, p.lat_deg, p.lon_deg, p.radius_m::float8, p.ward_id
    FROM place AS p
    WHERE p.ward_id = %(ward_id)s OR p.ward_id IS NULL AND EXISTS (
              SELECT 1 FROM watch AS w WHERE w.ward_id = %(ward_id)s AND w.place_id = p.id)
    ORDER BY p.id
    """
    async with conn.cursor(row_factory=class_row(WatchedPlaceRow)) as cursor:
        await cursor.execute(query, {"ward_id": ward_id})
        return await cursor.fetchall()
