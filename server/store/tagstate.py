"""What has been learnt of tags: their clocks and the newest press of the button."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server.store.columns import Array, Rows
from server.store.connection import Connection, connect


@dataclass(frozen=True, slots=True)
class TagStates(Rows):
    """State of tags, each of them once. See `server.core.tagclock.TagClock`.

    Attributes:
        tags: n ids, no two alike.
        offset_ms: UTC minus the tag's time, as of `learned_ms`.
        rate_ppm: how fast the offset grows.
        learned_ms: newest accepted status, UTC; 0: none yet.
        accepted_beacon_ms: the tag's time in it; 0: none yet.
        anchor_ms: since when the rate is being measured, UTC; 0: it is not.
        anchor_offset_ms: the offset then.
        is_lost: the operator says that the tag lost its clock.
        sos_from_ms: the newest press, first heard, UTC; 0: leave what is there as it is.
        sos_until_ms: last heard, likewise.
    """

    tags: list[str]
    offset_ms: NDArray[np.float64]
    rate_ppm: NDArray[np.float64]
    learned_ms: NDArray[np.int64]
    accepted_beacon_ms: NDArray[np.int64]
    anchor_ms: NDArray[np.int64]
    anchor_offset_ms: NDArray[np.float64]
    is_lost: NDArray[np.bool_]
    sos_from_ms: NDArray[np.int64]
    sos_until_ms: NDArray[np.int64]


async def save(conn: Connection, rows: TagStates) -> None:
    """Write the state of tags.

    Raises:
        DatabaseError: a tag occurs twice, or is none.
    """
    if not len(rows):
        return
    await conn.execute(
        """INSERT INTO tag_state AS old (tag_id, clock_offset_ms, clock_rate_ppm, learned_at, accepted_beacon_ms,
                                         anchor_at, anchor_offset_ms, clock_lost, sos_from, sos_until)
           SELECT * FROM unnest(%b::text[], %b::float8[], %b::float8[], %b::timestamptz[], %b::bigint[],
                                %b::timestamptz[], %b::float8[], %b::boolean[], %b::timestamptz[], %b::timestamptz[])
           ON CONFLICT (tag_id) DO UPDATE SET
               clock_offset_ms = excluded.clock_offset_ms, clock_rate_ppm = excluded.clock_rate_ppm,
               learned_at = excluded.learned_at, accepted_beacon_ms = excluded.accepted_beacon_ms,
               anchor_at = excluded.anchor_at, anchor_offset_ms = excluded.anchor_offset_ms,
               clock_lost = excluded.clock_lost, sos_from = coalesce(excluded.sos_from, old.sos_from),
               sos_until = coalesce(excluded.sos_until, old.sos_until)""",
        (
            rows.tags,
            Array(rows.offset_ms, "float8"),
            Array(rows.rate_ppm, "float8"),
            Array(rows.learned_ms, "timestamptz", rows.learned_ms == 0),
            Array(rows.accepted_beacon_ms, "int8", rows.accepted_beacon_ms == 0),
            Array(rows.anchor_ms, "timestamptz", rows.anchor_ms == 0),
            Array(rows.anchor_offset_ms, "float8"),
            Array(rows.is_lost, "bool"),
            Array(rows.sos_from_ms, "timestamptz", rows.sos_from_ms == 0),
            Array(rows.sos_until_ms, "timestamptz", rows.sos_until_ms == 0),
        ),
    )


async def mark_clock_lost(dsn: str, tag: str) -> bool:
    """Say that a tag has a new battery and may have lost its time; return whether there is such a tag."""
    conn = await connect(dsn)
    try:
        async with conn.transaction():
            found = await conn.execute(
                """INSERT INTO tag_state (tag_id, clock_offset_ms, clock_lost)
                   SELECT id, clock_offset_ms, true FROM tag WHERE id = %s AND kind = 'eid'
                   ON CONFLICT (tag_id) DO UPDATE SET clock_lost = true""",
                (tag,),
            )
            await conn.execute("UPDATE registry_version SET version = version + 1")
    finally:
        await conn.close()
    return found.rowcount == 1
