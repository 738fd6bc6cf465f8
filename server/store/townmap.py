"""The town's map and the places that are everyone's, both without anything personal."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg.rows import class_row

from server.store.connection import Connection
from server.store.family import WatchedPlaceRow


@dataclass(frozen=True, slots=True)
class MapRow:
    """A GeoJSON document, as it was imported."""

    geojson: bytes
    version: str


async def version(conn: Connection, city_id: str) -> str | None:
    """Return what changes whenever the map does, or None: no map."""
    row = await (
        await conn.execute("SELECT extract(epoch FROM updated_at)::text FROM town_map WHERE city_id = %s", (city_id,))
    ).fetchone()
    return str(row[0]) if row else None


async def read(conn: Connection, city_id: str) -> MapRow | None:
    """Return the map of a city."""
    async with conn.cursor(row_factory=class_row(MapRow)) as cursor:
        await cursor.execute(
            "SELECT geojson, extract(epoch FROM updated_at)::text AS version FROM town_map WHERE city_id = %s",
            (city_id,),
        )
        return await cursor.fetchone()


async def public_places(conn: Connection, city_id: str) -> list[WatchedPlaceRow]:
    """Return the places that are nobody's own, such as schools."""
    async with conn.cursor(row_factory=class_row(WatchedPlaceRow)) as cursor:
        await cursor.execute(
            "SELECT id, name_ja, name_en, kind, lat_deg, lon_deg, radius_m::float8, ward_id FROM place"
            " WHERE city_id = %s AND ward_id IS NULL",
            (city_id,),
        )
        return await cursor.fetchall()
