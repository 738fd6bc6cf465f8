"""Places of wards over time, and the newest one."""

from collections.abc import Iterable
from typing import Final

from server.core.engine import LastPlace, PlacedFix
from server.core.fix import Track
from server.core.geo import Position
from server.core.suppress import BUCKET_MS, bucket_of
from server.store.connection import Connection, at, ms_of

# What is whole replaces; a part that came late replaces only what fewer detectors said. Sealed hours are merged by the
# same rule (server/history/fixes.py), for which `whole` is kept.
_FIX: Final = """
    INSERT INTO fix AS old
        (ward_id, bucket_at, at, lat_deg, lon_deg, accuracy_m, detectors, received_at, late, whole)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (ward_id, bucket_at) DO UPDATE SET
        at = excluded.at, lat_deg = excluded.lat_deg, lon_deg = excluded.lon_deg, accuracy_m = excluded.accuracy_m,
        detectors = excluded.detectors, received_at = excluded.received_at, late = excluded.late,
        whole = old.whole OR excluded.whole
    WHERE excluded.whole OR excluded.detectors > old.detectors
"""
_DOUBTFUL: Final = """
    INSERT INTO doubtful_fix
        (ward_id, bucket_at, at, lat_deg, lon_deg, accuracy_m, detectors, received_at, late, reason)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, 'unreachable')
    ON CONFLICT (ward_id, bucket_at) DO UPDATE SET
        at = excluded.at, lat_deg = excluded.lat_deg, lon_deg = excluded.lon_deg, accuracy_m = excluded.accuracy_m,
        detectors = excluded.detectors
"""
_LAST: Final = """
    INSERT INTO last_place AS old
        (ward_id, lat_deg, lon_deg, accuracy_m, heard_at, received_at, late, battery_dv, sos, moving, traceable)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (ward_id) DO UPDATE SET
        lat_deg = excluded.lat_deg, lon_deg = excluded.lon_deg, accuracy_m = excluded.accuracy_m,
        heard_at = excluded.heard_at, received_at = excluded.received_at, late = excluded.late,
        battery_dv = coalesce(excluded.battery_dv, old.battery_dv), sos = excluded.sos, moving = excluded.moving,
        traceable = excluded.traceable
    WHERE excluded.heard_at >= old.heard_at
"""


async def save(conn: Connection, fixes: Iterable[PlacedFix]) -> None:
    """Write places into the track."""
    async with conn.cursor() as cursor:
        await cursor.executemany(_FIX, [(*_columns(placed), placed.is_whole) for placed in fixes])


async def save_doubtful(conn: Connection, fixes: Iterable[PlacedFix]) -> None:
    """Write places that nobody could have reached, apart from the track."""
    async with conn.cursor() as cursor:
        await cursor.executemany(_DOUBTFUL, [_columns(placed) for placed in fixes])


async def save_last(conn: Connection, places: Iterable[LastPlace]) -> None:
    """Write newest places; one that is older than what is there changes nothing."""
    async with conn.cursor() as cursor:
        await cursor.executemany(
            _LAST,
            [
                (p.ward, p.position.lat_deg, p.position.lon_deg, p.position.accuracy_m, at(p.position.at_ms),
                 at(p.received_ms), p.is_late, p.battery_dv, p.is_sos, p.is_moving, p.is_traceable)
                for p in places
            ],
        )  # fmt: skip


async def tracks(conn: Connection) -> dict[str, Track]:
    """Return the newest place of each ward, to start from."""
    rows = await conn.execute("SELECT ward_id, heard_at, lat_deg, lon_deg, accuracy_m FROM last_place")
    found = {row[0]: Position(ms_of(row[1]), *row[2:]) for row in await rows.fetchall()}
    return {ward: Track(bucket_of(position.at_ms), position) for ward, position in found.items()}


def _columns(placed: PlacedFix) -> tuple[object, ...]:
    position = placed.fix.position
    return (
        placed.ward,
        at(placed.fix.bucket * BUCKET_MS),
        at(position.at_ms),
        position.lat_deg,
        position.lon_deg,
        position.accuracy_m,
        placed.fix.detectors,
        at(placed.received_ms),
        placed.is_late,
    )
