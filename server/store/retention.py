"""Deletes what the schedule no longer allows to exist, and makes room for the days to come."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from privacy.retention import SCHEDULE, DataClass, expires_before_ms
from server.store import sighting
from server.store.connection import Connection, at

AHEAD: Final = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class Swept:
    """What one run did."""

    partitions_made: int
    partitions_dropped: int
    rows_deleted: int


def first_kept_ms(now_ms: int) -> int:
    """Return the UTC millisecond from which on sightings have a partition: whole days, so a bit more than the limit."""
    return sighting.day_start_ms(sighting.first_kept_day(now_ms, SCHEDULE[DataClass.SIGHTING].keep_ms))


async def sweep(conn: Connection, now_ms: int) -> Swept:
    """Bring the store to what it should hold at town time `now_ms`. Each step commits for itself."""
    first = sighting.first_kept_day(now_ms, SCHEDULE[DataClass.SIGHTING].keep_ms)
    today = sighting.first_kept_day(now_ms, 0)
    made = await sighting.prepare(conn, first, today + AHEAD)
    dropped = await sighting.expire(conn, first)
    await sighting.seal(conn, today)
    kinds = (DataClass.FIX, DataClass.DOUBTFUL_FIX, DataClass.EVENT, DataClass.DEAD_LETTER)
    fix_at, doubtful_at, event_at, letter_at = (at(expires_before_ms(kind, now_ms)) for kind in kinds)
    deleted = [
        await conn.execute("DELETE FROM fix WHERE at < %s", (fix_at,)),
        await conn.execute("DELETE FROM ward_hour WHERE hour_at < %s", (fix_at,)),
        await conn.execute("DELETE FROM doubtful_fix WHERE at < %s", (doubtful_at,)),
        await conn.execute("DELETE FROM event WHERE at < %s", (event_at,)),
        await conn.execute("DELETE FROM dead_letter WHERE received_at < %s", (letter_at,)),
    ]
    return Swept(made, dropped, sum(done.rowcount for done in deleted))
