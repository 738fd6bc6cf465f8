"""What happened to wards, and the notices that tell their guardians: written together or not at all."""

from collections.abc import Iterable
from typing import Final

from server.core.places import Event
from server.store.connection import Connection, at

# Ids are given in the order of the events. Everyone in charge at the time is told, by every way they have: of an SOS
# all of them, of the rest as it is watched.
_TELL: Final = """
    WITH new AS (
        INSERT INTO event (ward_id, place_id, kind, at, received_at)
        SELECT ward_id, place_id, kind, at, %b
        FROM unnest(%b::text[], %b::text[], %b::text[], %b::timestamptz[]) WITH ORDINALITY
            AS given (ward_id, place_id, kind, at, number)
        ORDER BY number
        ON CONFLICT (ward_id, place_id, kind, at) DO NOTHING
        RETURNING id, ward_id, place_id, kind, at, received_at
    ), told AS (
        SELECT e.id, g.guardian_id
        FROM new AS e
        JOIN charge AS g ON g.ward_id = e.ward_id AND g.since <= e.received_at AND e.received_at < g.until
        JOIN account AS a ON a.id = g.guardian_id AND a.disabled_at IS NULL
        LEFT JOIN watch AS h ON h.ward_id = e.ward_id AND h.place_id = e.place_id
        WHERE e.kind = 'sos' OR (e.kind = 'arrived' AND h.arrive) OR (e.kind = 'departed' AND h.leave)
    ), written AS (
        INSERT INTO notice (event_id, guardian_id, channel, target)
        SELECT told.id, told.guardian_id, 'push', s.id::text
        FROM told JOIN push_subscription AS s ON s.guardian_id = told.guardian_id
        UNION ALL
        SELECT told.id, told.guardian_id, 'mail', ''
        FROM told JOIN account AS g ON g.id = told.guardian_id AND g.has_email
        ON CONFLICT (event_id, guardian_id, channel, target) DO NOTHING
        RETURNING event_id
    )
    SELECT ward_id, place_id, kind, at, (SELECT count(*) FROM written) FROM new ORDER BY id
"""


async def tell(conn: Connection, events: Iterable[Event], received_ms: int) -> tuple[list[Event], int]:
    """Write events with their notices; return those that are new, and the number of notices."""
    by_key = {(e.ward, e.place, e.kind.value, at(e.at_ms)): e for e in events}
    if not by_key:
        return [], 0
    wards, places, kinds, times = (list(column) for column in zip(*by_key, strict=True))
    found = await conn.execute(_TELL, (at(received_ms), wards, places, kinds, times))
    rows = await found.fetchall()
    return [by_key[row[:4]] for row in rows], int(rows[0][4]) if rows else 0
