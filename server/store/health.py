"""How detectors are: their newest heartbeat, and the condition that it told."""

from collections.abc import Iterable
from dataclasses import astuple, dataclass, field, fields
from typing import Any, Final

import psycopg

from server.store.connection import Connection, at
from wire.condition import Condition

_BEAT: Final = (
    "received_at", "clock_offset_ms", "sent_at", "epoch", "uptime_s", "queued_batches", "oldest_queued_at", "heard",
    "dropped", "errors", "rows_total", "software",
)  # fmt: skip
_CONDITION: Final = tuple(item.name for item in fields(Condition))
_SAID: Final = (*_BEAT, *_CONDITION)
# Only names out of our own source are put together here; every value is a parameter.
_SAVE: Final = f"""
INSERT INTO detector_health AS old (detector_id, state, thinned_at, {", ".join(_SAID)})
VALUES (%(detector)s, 'online', CASE WHEN %(rows_thinned)s > 0 THEN %(received_at)s::timestamptz END,
        {", ".join(f"%({name})s" for name in _SAID)})
ON CONFLICT (detector_id) DO UPDATE SET
    state = excluded.state, {", ".join(f"{name} = excluded.{name}" for name in _SAID)},
    thinned_at = CASE WHEN excluded.rows_thinned > coalesce(old.rows_thinned, 0) THEN excluded.received_at
                      ELSE old.thinned_at END
WHERE excluded.received_at >= old.received_at
"""  # noqa: S608 -- as said above
_TIMES: Final = ("received_at", "sent_at", "oldest_queued_at", "thinned_at")
_STANDINGS: Final = f"""
SELECT d.id, d.label_ja, d.label_en, h.state, h.clock_offset_ms,
       {", ".join(f"round(extract(epoch FROM h.{name}) * 1000)::bigint" for name in _TIMES)},
       {", ".join(f"h.{name}" for name in _CONDITION)}
FROM detector AS d LEFT JOIN detector_health AS h ON h.detector_id = d.id
WHERE d.revoked_at IS NULL AND d.kind <> 'phone'
ORDER BY d.id
"""  # noqa: S608 -- likewise


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
    condition: Condition = field(default_factory=Condition)


@dataclass(frozen=True, slots=True)
class KnownClock:
    """A detector's clock: town time minus its own, 0 while it is right, and its newest heartbeat by its own."""

    offset_ms: int
    sent_ms: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How one gateway stands, as far as is known; a gateway is a fixed detector or one on a vehicle.

    Attributes:
        state: "online" or "offline" as it said last, None from one that was never heard of.
        clock_offset_ms: town time minus the gateway's, 0 while it is trusted.
        received_at_ms: when its newest heartbeat came, town time.
        sent_at_ms: of that heartbeat, by the gateway's clock.
        oldest_queued_ms: when the oldest batch without a receipt was made, by the gateway's clock.
        thinned_at_ms: when it last said that more rows had been thinned than before.
    """

    detector: str
    label_ja: str
    label_en: str
    state: str | None
    clock_offset_ms: int = 0
    received_at_ms: int | None = None
    sent_at_ms: int | None = None
    oldest_queued_ms: int | None = None
    thinned_at_ms: int | None = None
    condition: Condition = field(default_factory=Condition)


async def save(conn: Connection, beats: Iterable[Health]) -> None:
    """Write the newest heartbeat of each detector; an older one than is there changes nothing."""
    async with conn.cursor() as cursor:
        await cursor.executemany(_SAVE.encode(), [_columns(beat) for beat in beats])


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


async def standings(conn: Connection) -> list[Standing]:
    """Return how every gateway stands that is not revoked, by id."""
    rows = await conn.execute(_STANDINGS.encode())
    return [_standing(row) for row in await rows.fetchall()]


def read_standings(dsn: str) -> list[Standing]:
    """Return the same for a command.

    Raises:
        psycopg.Error: no database, or no schema in it.
    """
    with psycopg.connect(dsn, connect_timeout=5) as connection:
        return [_standing(row) for row in connection.execute(_STANDINGS.encode()).fetchall()]


def _standing(row: tuple[Any, ...]) -> Standing:
    detector, label_ja, label_en, state, offset_ms, *rest = row
    received_ms, sent_ms, oldest_ms, thinned_ms, *condition = rest
    return Standing(
        detector,
        label_ja,
        label_en,
        state,
        offset_ms or 0,
        received_at_ms=received_ms,
        sent_at_ms=sent_ms,
        oldest_queued_ms=oldest_ms,
        thinned_at_ms=thinned_ms,
        condition=Condition(*condition),
    )


def _columns(beat: Health) -> dict[str, object]:
    oldest_ms = beat.oldest_queued_ms
    return {
        "detector": beat.detector,
        "received_at": at(beat.received_at_ms),
        "clock_offset_ms": beat.clock_offset_ms,
        "sent_at": at(beat.sent_at_ms),
        "epoch": beat.epoch,
        "uptime_s": beat.uptime_s,
        "queued_batches": beat.queued_batches,
        "oldest_queued_at": None if oldest_ms is None else at(oldest_ms),
        "heard": beat.heard,
        "dropped": beat.dropped,
        "errors": beat.errors,
        "rows_total": beat.rows_total,
        "software": beat.software,
        **dict(zip(_CONDITION, astuple(beat.condition), strict=True)),
    }
