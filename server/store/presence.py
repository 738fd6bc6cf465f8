"""Where wards stand towards the places that are watched for them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server.store.columns import Array, Rows
from server.store.connection import Connection, columns


@dataclass(frozen=True, slots=True)
class PresenceRows(Rows):
    """Where wards stand towards places, each pair once. See `server.core.places.Presence`.

    Attributes:
        wards: n ids.
        places: n ids.
        is_inside: the side that the family knows of.
        since_ms: UTC, since when.
        candidate_since_ms: first place on the other side, UTC; 0: no change is being waited for.
        candidate_last_ms: newest place on the other side, UTC; 0: none.
        candidate_hits: how many places there have been on the other side.
    """

    wards: list[str]
    places: list[str]
    is_inside: NDArray[np.bool_]
    since_ms: NDArray[np.int64]
    candidate_since_ms: NDArray[np.int64]
    candidate_last_ms: NDArray[np.int64]
    candidate_hits: NDArray[np.int32]


async def save(conn: Connection, rows: PresenceRows) -> None:
    """Write changed presences.

    Raises:
        DatabaseError: a pair occurs twice, or its ward or place is gone.
    """
    if not len(rows):
        return
    await conn.execute(
        """INSERT INTO presence
           (ward_id, place_id, inside, since, candidate_since, candidate_last, candidate_hits)
           SELECT * FROM unnest(%b::text[], %b::text[], %b::boolean[], %b::timestamptz[], %b::timestamptz[],
                                %b::timestamptz[], %b::integer[])
           ON CONFLICT (ward_id, place_id) DO UPDATE SET
               inside = excluded.inside, since = excluded.since, candidate_since = excluded.candidate_since,
               candidate_last = excluded.candidate_last, candidate_hits = excluded.candidate_hits""",
        (
            rows.wards,
            rows.places,
            Array(rows.is_inside, "bool"),
            Array(rows.since_ms, "timestamptz"),
            Array(rows.candidate_since_ms, "timestamptz", rows.candidate_since_ms == 0),
            Array(rows.candidate_last_ms, "timestamptz", rows.candidate_last_ms == 0),
            Array(rows.candidate_hits, "int4"),
        ),
    )


async def load(conn: Connection) -> PresenceRows:
    """Return all presences, to start from."""
    found = await columns(
        conn,
        """SELECT ward_id, place_id, inside, floor(extract(epoch FROM since) * 1000)::bigint,
                  coalesce(floor(extract(epoch FROM candidate_since) * 1000)::bigint, 0),
                  coalesce(floor(extract(epoch FROM candidate_last) * 1000)::bigint, 0), candidate_hits
           FROM presence""",
    )
    wards, places, is_inside, since_ms, candidate_since_ms, candidate_last_ms, hits = found
    return PresenceRows(
        list(wards),
        list(places),
        np.array(is_inside, np.bool_),
        np.array(since_ms, np.int64),
        np.array(candidate_since_ms, np.int64),
        np.array(candidate_last_ms, np.int64),
        np.array(hits, np.int32),
    )
