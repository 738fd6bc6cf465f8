"""What the store holds, in numbers: for the operator's status and for the sum at the end of a demonstration."""

from dataclasses import dataclass

import psycopg

_TOTALS = """
SELECT coalesce(sum(rows), 0)::bigint, coalesce(sum(stored), 0)::bigint,
       coalesce(sum(unknown), 0)::bigint, coalesce(sum(expired), 0)::bigint, count(*),
       (SELECT count(*) FROM dead_letter),
       (SELECT count(*) FROM last_place),
       (SELECT count(*) FROM event),
       (SELECT count(*) FROM notice WHERE state = 'sent'),
       (SELECT count(*) FROM notice WHERE state IN ('pending', 'sending')),
       (SELECT count(*) FROM detector_health WHERE state = 'online' AND camera IN ('recording', 'blind')),
       (SELECT coalesce(sum(footage_mb), 0)::bigint FROM detector_health)
FROM batch
"""
_DETECTORS = "SELECT state, count(*) FROM detector_health GROUP BY state"


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts since the database was made.

    Attributes:
        received: rows in the batches that were taken.
        stored: of these, rows kept as sightings.
        unknown: of these, rows of tags that are nobody's here.
        expired: of these, rows heard longer ago than sightings are kept.
        batches: batches that were taken.
        dead_letters: messages that could not be opened, the same one once.
        places: wards with a last place.
        events: arrivals, departures, calls for help.
        notices_sent: notices that a push service or mail server took.
        notices_waiting: notices still to be sent.
        cameras: that record now, as they said last.
        footage_mb: that all cameras keep, as they said last.
    """

    received: int
    stored: int
    unknown: int
    expired: int
    batches: int
    dead_letters: int
    places: int
    events: int
    notices_sent: int
    notices_waiting: int
    cameras: int
    footage_mb: int


def read(dsn: str) -> Totals:
    """Return the counts of one moment; `dsn` is the owner's.

    Raises:
        psycopg.Error: no database, or no schema in it.
    """
    with psycopg.connect(dsn, connect_timeout=5) as connection:
        row = connection.execute(_TOTALS).fetchone()
    if row is None:  # an aggregate without GROUP BY has always one row
        raise psycopg.DataError("no totals")
    return Totals(*(int(value) for value in row))


def detectors_by_state(dsn: str) -> dict[str, int]:
    """Return how many detectors said last that they are online or offline."""
    with psycopg.connect(dsn, connect_timeout=5) as connection:
        return {str(state): int(count) for state, count in connection.execute(_DETECTORS).fetchall()}
