"""What a guardian may see of a ward. Every question but the first takes a `Grant`, and asks for it again in its SQL.

Times of the town, UTC ms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from psycopg.rows import class_row

from server.store.connection import Connection


@dataclass(frozen=True, slots=True)
class Grant:
    """A guardianship in force at `at_ms`, town time. Only `grant` makes one."""

    guardian_id: str
    ward_id: str
    at_ms: int


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


_IN_FORCE: Final = "g.since <= to_timestamp(%(at_ms)s / 1000.0) AND g.until > to_timestamp(%(at_ms)s / 1000.0)"
_GRANTED: Final = f"""
EXISTS (SELECT 1 FROM charge AS g
        WHERE g.guardian_id = %(guardian_id)s AND g.ward_id = %(ward_id)s AND {_IN_FORCE})
"""  # noqa: S608 - constants of this module
PLACE_COLUMNS: Final = """
    ward_id, lat_deg, lon_deg, accuracy_m::float8, (extract(epoch FROM heard_at) * 1000)::bigint AS heard_at_ms,
    (extract(epoch FROM received_at) * 1000)::bigint AS received_at_ms, late, battery_dv, sos, traceable
"""
EVENT_COLUMNS: Final = """
    e.ward_id, e.id, e.kind, p.name_ja AS place_ja, p.name_en AS place_en,
    (extract(epoch FROM e.at) * 1000)::bigint AS at_ms,
    (extract(epoch FROM e.received_at) * 1000)::bigint AS received_at_ms
"""


def _asked(grant: Grant, **more: object) -> dict[str, object]:
    return {"guardian_id": grant.guardian_id, "ward_id": grant.ward_id, "at_ms": grant.at_ms, **more}


async def grant(conn: Connection, guardian_id: str, ward_id: str, *, at_ms: int) -> Grant | None:
    """Return the right of `guardian_id` to see `ward_id` now, or None: no such ward, or not theirs."""
    query = f"SELECT 1 WHERE {_GRANTED}"
    asked = {"guardian_id": guardian_id, "ward_id": ward_id, "at_ms": at_ms}
    found = await (await conn.execute(query, asked)).fetchone()
    return Grant(guardian_id, ward_id, at_ms) if found else None


async def wards(conn: Connection, guardian_id: str, *, at_ms: int) -> list[WardRow]:
    """Return the wards whom a guardian may see now, by name."""
    query = f"""
    SELECT w.id, w.name_ja, w.name_en FROM charge AS g JOIN ward AS w ON w.id = g.ward_id
    WHERE g.guardian_id = %(guardian_id)s AND {_IN_FORCE} ORDER BY w.name_en, w.id
    """  # noqa: S608 - constants of this module
    async with conn.cursor(row_factory=class_row(WardRow)) as cursor:
        await cursor.execute(query, {"guardian_id": guardian_id, "at_ms": at_ms})
        return await cursor.fetchall()


async def last_place(conn: Connection, granted: Grant) -> PlaceRow | None:
    """Return where the ward was heard last, or None: never yet."""
    query = f"SELECT {PLACE_COLUMNS} FROM last_place WHERE ward_id = %(ward_id)s AND {_GRANTED}"  # noqa: S608 - constants
    async with conn.cursor(row_factory=class_row(PlaceRow)) as cursor:
        await cursor.execute(query, _asked(granted))
        return await cursor.fetchone()


async def events(conn: Connection, granted: Grant, *, before: int | None, limit: int) -> list[EventRow]:
    """Return at most `limit` events with an id below `before`, newest first."""
    query = f"""
    SELECT {EVENT_COLUMNS} FROM event AS e LEFT JOIN place AS p ON p.id = e.place_id
    WHERE e.ward_id = %(ward_id)s AND (%(before)s::bigint IS NULL OR e.id < %(before)s::bigint) AND {_GRANTED}
    ORDER BY e.id DESC LIMIT %(limit)s
    """  # noqa: S608 - constants of this module
    async with conn.cursor(row_factory=class_row(EventRow)) as cursor:
        await cursor.execute(query, _asked(granted, before=before, limit=limit))
        return await cursor.fetchall()


async def places(conn: Connection, granted: Grant) -> list[WatchedPlaceRow]:
    """Return the ward's own places and those watched for them; never another ward's."""
    query = f"""
    SELECT p.id, p.name_ja, p.name_en, p.kind, p.lat_deg, p.lon_deg, p.radius_m::float8, p.ward_id
    FROM place AS p
    WHERE (p.ward_id = %(ward_id)s OR p.ward_id IS NULL AND EXISTS (
               SELECT 1 FROM watch AS w WHERE w.ward_id = %(ward_id)s AND w.place_id = p.id))
      AND {_GRANTED}
    ORDER BY p.id
    """  # noqa: S608 - constants of this module
    async with conn.cursor(row_factory=class_row(WatchedPlaceRow)) as cursor:
        await cursor.execute(query, _asked(granted))
        return await cursor.fetchall()
