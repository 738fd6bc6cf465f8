"""Cameras that footage may be asked of: where they stand, and what their gateways say they still keep."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from server.store.connection import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """A gateway that has a camera.

    Attributes:
        state: of the camera, see wire/condition.py; "" none was told.
        footage_from_ms: start of the oldest footage that the gateway says it keeps, UTC ms; None: it says nothing.
    """

    id: str
    label_ja: str
    label_en: str
    lat_deg: float | None
    lon_deg: float | None
    state: str
    footage_from_ms: int | None

    @property
    def is_recording(self) -> bool:
        """Whether it writes footage now."""
        return self.state in {"recording", "blind"}


async def cameras(conn: Connection, city: str, ids: Collection[str]) -> dict[str, Camera]:
    """Return those of a city's gateways that are named, by id, also where one no longer tells of a camera."""
    cursor = await conn.execute(
        """SELECT d.id, d.label_ja, d.label_en, d.lat_deg, d.lon_deg, coalesce(h.camera, ''), h.footage_from_ms
           FROM detector AS d LEFT JOIN detector_health AS h ON h.detector_id = d.id
           WHERE d.city_id = %s AND d.id = ANY(%s)
           ORDER BY d.id""",
        (city, list(ids)),
    )
    return {
        row[0]: Camera(
            id=row[0],
            label_ja=row[1],
            label_en=row[2],
            lat_deg=row[3],
            lon_deg=row[4],
            state=row[5],
            footage_from_ms=row[6],
        )
        for row in await cursor.fetchall()
    }
