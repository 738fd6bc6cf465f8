"""What has been learnt of tags: their clocks and the newest press of the button."""

from collections.abc import Iterable
from dataclasses import dataclass

from server.core.press import Press
from server.core.tagclock import TagClock
from server.store.connection import Connection, at, connect


@dataclass(frozen=True, slots=True)
class TagState:
    """State of one tag, by its id. `press` None: leave as it is."""

    tag: str
    clock: TagClock
    press: Press | None = None


async def save(conn: Connection, states: Iterable[TagState]) -> None:
    """Write the state of tags."""
    async with conn.cursor() as cursor:
        await cursor.executemany(
            """INSERT INTO tag_state AS old (tag_id, clock_offset_ms, clock_rate_ppm, learned_at, accepted_beacon_ms,
                                             clock_lost, sos_from, sos_until)
               VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
               ON CONFLICT (tag_id) DO UPDATE SET
                   clock_offset_ms = excluded.clock_offset_ms, clock_rate_ppm = excluded.clock_rate_ppm,
                   learned_at = excluded.learned_at, accepted_beacon_ms = excluded.accepted_beacon_ms,
                   clock_lost = excluded.clock_lost, sos_from = coalesce(excluded.sos_from, old.sos_from),
                   sos_until = coalesce(excluded.sos_until, old.sos_until)""",
            [_columns(state) for state in states],
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


def _columns(state: TagState) -> tuple[object, ...]:
    clock, press = state.clock, state.press
    return (
        state.tag,
        clock.offset_ms,
        clock.rate_ppm,
        None if clock.learned_at_ms is None else at(clock.learned_at_ms),
        clock.accepted_beacon_ms,
        clock.is_lost,
        None if press is None else at(press.from_ms),
        None if press is None else at(press.until_ms),
    )
