"""How often footage of each camera was released: what the public page says of it, in steps."""

from __future__ import annotations

from server.store.connection import Connection, at


async def released(conn: Connection, city: str, *, from_ms: int, to_ms: int) -> dict[str, int]:
    """Return by camera of how many requests decided from `from_ms` to before `to_ms` (wall time) footage was released.

    On a connection of the role warden; a camera of none is left out.
    """
    cursor = await conn.execute(
        """SELECT c.detector_id, count(DISTINCT c.case_id)::int
           FROM case_camera AS c JOIN footage_case AS f ON f.id = c.case_id
           WHERE f.city_id = %s AND f.release_until IS NOT NULL AND f.approved_at >= %s AND f.approved_at < %s
           GROUP BY c.detector_id""",
        (city, at(from_ms), at(to_ms)),
    )
    return {str(camera): int(count) for camera, count in await cursor.fetchall()}
