"""Counts over everything, for `mimamori status`."""

from dataclasses import dataclass

from server.store.connection import Connection


@dataclass(frozen=True, slots=True)
class Summary:
    """What the store has seen so far.

    Attributes:
        batches: committed.
        received: rows in them; stored + unknown + expired.
        stored: rows kept as sightings, also those that retention has dropped since.
        unknown: rows of no tag of ours.
        expired: rows that came when their day was no longer kept.
        suspicious: among the stored: replayed or forged, they moved nobody.
        dead_letters: payloads that could not be opened, of the last days.
        events: arrivals, departures and SOS still kept.
        notices: to be sent or sent.
        notices_sent: sent.
        detectors_online: by their newest heartbeat.
    """

    batches: int
    received: int
    stored: int
    unknown: int
    expired: int
    suspicious: int
    dead_letters: int
    events: int
    notices: int
    notices_sent: int
    detectors_online: int


async def summary(conn: Connection) -> Summary:
    """Return the counts; for the owner, as no program's role may read all of it."""
    row = await (
        await conn.execute(
            """SELECT b.*, d.n, e.n, n.*, h.n
               FROM (SELECT count(*), coalesce(sum(rows), 0)::bigint, coalesce(sum(stored), 0)::bigint,
                            coalesce(sum(unknown), 0)::bigint, coalesce(sum(expired), 0)::bigint,
                            coalesce(sum(suspicious), 0)::bigint FROM batch) AS b,
                    (SELECT count(*) AS n FROM dead_letter) AS d,
                    (SELECT count(*) AS n FROM event) AS e,
                    (SELECT count(*), count(*) FILTER (WHERE state = 'sent') FROM notice) AS n,
                    (SELECT count(*) AS n FROM detector_health WHERE state = 'online') AS h"""
        )
    ).fetchone()
    if row is None:  # pragma: no cover - an aggregate always has a row
        raise AssertionError
    return Summary(*row)
