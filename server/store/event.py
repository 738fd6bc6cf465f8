"""What happened to wards, and the notices that tell their guardians: written together or not at all."""

from collections.abc import Iterable
from typing import Final

from server.core.places import Event
from server.store.connection import Connection, at

_EVENT: Final = """
    INSERT INTO event (ward_id, place_id, kind, at, received_at) VALUES (%s, %s, %s, %s, %s)
    ON CONFLICT (ward_id, place_id, kind, at) DO NOTHING RETURNING id
"""
# Everyone in charge at the time, by every way they have. An SOS is told to all; the rest as it is watched.
_NOTICES: Final = """
    WITH told AS (
        SELECT e.id, g.guardian_id
        FROM event AS e
        JOIN guardianship AS g ON g.ward_id = e.ward_id AND g.since <= e.received_at AND e.received_at < g.until
        LEFT JOIN watch AS h ON h.ward_id = e.ward_id AND h.place_id = e.place_id
        WHERE e.id = %(event)s
          AND (e.kind = 'sos' OR (e.kind = 'arrived' AND h.arrive) OR (e.kind = 'departed' AND h.leave))
    )
    INSERT INTO notice (event_id, guardian_id, channel, target)
    SELECT told.id, told.guardian_id, 'push', s.id::text
    FROM told JOIN push_subscription AS s ON s.guardian_id = told.guardian_id
    UNION ALL
    SELECT told.id, told.guardian_id, 'mail', ''
    FROM told JOIN guardian AS g ON g.id = told.guardian_id AND g.has_email
    ON CONFLICT (event_id, guardian_id, channel, target) DO NOTHING
"""


async def tell(conn: Connection, events: Iterable[Event], received_ms: int) -> tuple[list[Event], int]:
    """Write events with their notices; return those that are new, and the number of notices."""
    new, notices = [], 0
    for event in events:
        kind = event.kind.value
        found = await conn.execute(_EVENT, (event.ward, event.place, kind, at(event.at_ms), at(received_ms)))
        row = await found.fetchone()
        if row is None:
            continue
        new.append(event)
        notices += (await conn.execute(_NOTICES, {"event": row[0]})).rowcount
    return new, notices
