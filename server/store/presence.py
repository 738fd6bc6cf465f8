"""Where wards stand towards the places that are watched for them."""

from collections.abc import Mapping

from server.core.places import Presence
from server.store.connection import Connection, at, ms_of


async def save(conn: Connection, presences: Mapping[tuple[str, str], Presence]) -> None:
    """Write changed presences by ward and place. Those of a watch that is gone are left out."""
    async with conn.cursor() as cursor:
        await cursor.executemany(
            """INSERT INTO presence
               (ward_id, place_id, inside, since, candidate_since, candidate_last, candidate_hits)
               VALUES (%s, %s, %s, %s, %s, %s, %s)
               ON CONFLICT (ward_id, place_id) DO UPDATE SET
                   inside = excluded.inside, since = excluded.since, candidate_since = excluded.candidate_since,
                   candidate_last = excluded.candidate_last, candidate_hits = excluded.candidate_hits""",
            [(*key, *_columns(presence)) for key, presence in sorted(presences.items())],
        )


async def load(conn: Connection) -> dict[tuple[str, str], Presence]:
    """Return all presences by ward and place, to start from."""
    rows = await conn.execute(
        """SELECT ward_id, place_id, inside, since, candidate_since, candidate_last, candidate_hits FROM presence"""
    )
    return {
        (row[0], row[1]): Presence(
            row[2],
            ms_of(row[3]),
            None if row[4] is None else ms_of(row[4]),
            None if row[5] is None else ms_of(row[5]),
            row[6],
        )
        for row in await rows.fetchall()
    }


def _columns(presence: Presence) -> tuple[object, ...]:
    since_ms, last_ms = presence.candidate_since_ms, presence.candidate_last_ms
    return (
        presence.is_inside,
        at(presence.since_ms),
        None if since_ms is None else at(since_ms),
        None if last_ms is None else at(last_ms),
        presence.candidate_hits,
    )
