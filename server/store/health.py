"""How detectors are: their newest heartbeat."""

from collections.abc import Iterable
from dataclasses import dataclass

from server.store.connection import Connection, at


@dataclass(frozen=True, slots=True)
class Health:
    """A heartbeat as it is kept. `sent_at_ms` and `oldest_queued_ms` by the detector's clock."""

    detector: str
    received_at_ms: int
    clock_offset_ms: int
    sent_at_ms: int
    epoch: int
    uptime_s: int
    queued_batches: int
    oldest_queued_ms: int | None
    heard: int
    dropped: int
    errors: int
    rows_total: int
    software: str


@dataclass(frozen=True, slots=True)
class KnownClock:
    """A detector's clock: town time minus its own, 0 while it is right, and its newest heartbeat by its own."""

    offset_ms: int
    sent_ms: int


async def save(conn: Connection, beats: Iterable[Health]) -> None:
    """Write the newest heartbeat of each detector; an older one than is there changes nothing."""
    async with conn.cursor() as cursor:
        await cursor.executemany(
            """INSERT INTO detector_health AS old
               (detector_id, state, received_at, clock_offset_ms, sent_at, epoch, uptime_s, queued_batches,
                oldest_queued_at, heard, dropped, errors, rows_total, software)
               VALUES (%s, 'online', %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
               ON CONFLICT (detector_id) DO UPDATE SET
                   state = excluded.state, received_at = excluded.received_at,
                   clock_offset_ms = excluded.clock_offset_ms, sent_at = excluded.sent_at, epoch = excluded.epoch,
                   uptime_s = excluded.uptime_s, queued_batches = excluded.queued_batches,
                   oldest_queued_at = excluded.oldest_queued_at, heard = excluded.heard,
                   dropped = excluded.dropped, errors = excluded.errors, rows_total = excluded.rows_total,
                   software = excluded.software
               WHERE excluded.received_at >= old.received_at""",
            [_columns(beat) for beat in beats],
        )


async def save_offline(conn: Connection, detectors: Iterable[str], received_at_ms: int) -> None:
    """Mark detectors as gone, as their last will says."""
    async with conn.cursor() as cursor:
        await cursor.executemany(
            """INSERT INTO detector_health AS old (detector_id, state, received_at) VALUES (%s, 'offline', %s)
               ON CONFLICT (detector_id) DO UPDATE SET state = 'offline', received_at = excluded.received_at""",
            [(detector, at(received_at_ms)) for detector in sorted(detectors)],
        )


async def clocks(conn: Connection) -> dict[str, KnownClock]:
    """Return what is known of the clocks of detectors that have sent a heartbeat."""
    rows = await conn.execute(
        """SELECT detector_id, clock_offset_ms, round(extract(epoch FROM sent_at) * 1000)::bigint
           FROM detector_health WHERE sent_at IS NOT NULL"""
    )
    return {name: KnownClock(offset_ms, sent_ms) for name, offset_ms, sent_ms in await rows.fetchall()}


def _columns(beat: Health) -> tuple[object, ...]:
    oldest_ms = beat.oldest_queued_ms
    return (
        beat.detector,
        at(beat.received_at_ms),
        beat.clock_offset_ms,
        at(beat.sent_at_ms),
        beat.epoch,
        beat.uptime_s,
        beat.queued_batches,
        None if oldest_ms is None else at(oldest_ms),
        beat.heard,
        beat.dropped,
        beat.errors,
        beat.rows_total,
        beat.software,
    )
