"""Notices that are due: claimed for a while, sent by notify, settled. Written with their events by ingest.

A claim is a lease: a notice whose sender died comes up again when the lease is over. The number of attempts is the
fencing token: who took too long settles nothing.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Self

import psycopg
from psycopg.rows import class_row, tuple_row

ERRORS: Final = (psycopg.Error,)
"""What any method here raises when the database is away; may be tried again."""

_QUIET_S: Final = 10.0
"""After so long without a word the connection is tried: a half-open one would be silent for ever."""

_CLAIM = """
WITH due AS (
    SELECT id, state = 'sending' AS is_repeat
    FROM notice
    WHERE state IN ('pending', 'sending') AND next_try_at <= now() AND channel = %(channel)s
    ORDER BY next_try_at
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE notice AS n
    SET state = 'sending', attempts = n.attempts + 1, next_try_at = now() + %(lease_s)s * interval '1 second'
    FROM due
    WHERE n.id = due.id
    RETURNING n.id, n.event_id, n.guardian_id, n.channel, n.target, n.attempts, due.is_repeat
)
SELECT t.id, t.event_id, t.channel, t.target, t.attempts, t.is_repeat,
    e.kind = 'sos' AS is_urgent,
    (extract(epoch FROM e.received_at) * 1000)::bigint AS received_at_ms,
    CASE WHEN t.channel = 'mail' THEN g.email END AS email,
    s.id AS subscription_id, s.endpoint, s.p256dh, s.auth,
    EXISTS (
        SELECT FROM charge AS gs
        WHERE gs.guardian_id = t.guardian_id AND gs.ward_id = e.ward_id
            AND gs.since <= %(town_now)s AND gs.until > %(town_now)s
    ) AND g.disabled_at IS NULL AS may_know
FROM taken AS t
JOIN event AS e ON e.id = t.event_id
JOIN account AS g ON g.id = t.guardian_id
LEFT JOIN push_subscription AS s
    ON s.guardian_id = t.guardian_id
    AND s.id = CASE WHEN t.channel = 'push' AND t.target ~ '^[0-9]{1,18}$' THEN t.target::bigint END
ORDER BY e.kind = 'sos' DESC, t.id
"""

_SETTLE = """
UPDATE notice
SET state = %(state)s,
    sent_at = CASE WHEN %(state)s = 'sent' THEN now() ELSE sent_at END,
    next_try_at = now() + %(retry_in_s)s * interval '1 second'
WHERE id = %(id)s AND attempts = %(attempts)s AND state = 'sending'
"""

_NEXT_DUE = """
SELECT extract(epoch FROM min(next_try_at) - now())
FROM notice
WHERE state IN ('pending', 'sending') AND channel = %(channel)s
"""


@dataclass(frozen=True, slots=True)
class DueNotice:
    """A notice claimed for sending, with what is needed to send it and nothing about whom it concerns.

    Attributes:
        target: what tells two notices of an event and guardian apart: a subscription id, "" for mail.
        attempts: this one included.
        is_repeat: the last sender vanished without saying how it went.
        is_urgent: an SOS.
        received_at_ms: town time when the server learnt of the event.
        may_know: False when the guardianship ended, was barred or lost its account since the notice was written.
    """

    id: int
    event_id: int
    channel: str
    target: str
    attempts: int
    is_repeat: bool
    is_urgent: bool
    received_at_ms: int
    email: str | None = field(repr=False)
    subscription_id: int | None
    endpoint: str | None = field(repr=False)
    p256dh: str | None = field(repr=False)
    auth: str | None = field(repr=False)
    may_know: bool


class NoticeStore:
    """One connection to the notices of a city; every method is one transaction."""

    def __init__(self, connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> None:
        self._connection = connection

    @classmethod
    async def connect(cls, dsn: str) -> Self:
        """Return a store connected to `dsn`.

        Raises:
            psycopg.Error: no database there.
        """
        connection = await psycopg.AsyncConnection.connect(dsn, autocommit=True, connect_timeout=5)
        return cls(connection)

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    async def claim(self, channel: str, limit: int, *, lease_s: float, town_now_ms: int) -> list[DueNotice]:
        """Return up to `limit` notices that are due, now leased to the caller; the urgent ones first."""
        values = {"channel": channel, "limit": limit, "lease_s": lease_s}
        town_now = datetime.fromtimestamp(town_now_ms / 1000, UTC)
        async with self._connection.cursor(row_factory=class_row(DueNotice)) as cursor:
            await cursor.execute(_CLAIM, values | {"town_now": town_now})
            return await cursor.fetchall()

    async def settle(self, notice: DueNotice, state: str, *, retry_in_s: float = 0.0) -> bool:
        """Note how an attempt ended: "sent", "failed" or "pending" again; False when the lease had gone to another."""
        values = {"state": state, "retry_in_s": retry_in_s, "id": notice.id, "attempts": notice.attempts}
        cursor = await self._connection.execute(_SETTLE, values)
        return cursor.rowcount == 1

    async def drop_subscription(self, subscription_id: int) -> None:
        """Forget a subscription that its push service says is gone."""
        await self._connection.execute("DELETE FROM push_subscription WHERE id = %s", [subscription_id])

    async def next_due_s(self, channel: str) -> float | None:
        """Return in how many wall seconds the next notice is due, below 0 for a late one, None when none waits."""
        async with self._connection.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(_NEXT_DUE, {"channel": channel})
            row = await cursor.fetchone()
        return float(row[0]) if row and row[0] is not None else None

    async def events(self) -> AsyncIterator[None]:
        """Yield once at first, then whenever ingest commits an event; ends only by an error.

        Raises:
            psycopg.Error: the database went away, or the connection is half open.
        """
        await self._connection.execute("LISTEN live")
        yield  # what was committed before LISTEN took hold is found by looking
        while True:
            async for note in self._connection.notifies(timeout=_QUIET_S):
                if _is_event(note.payload):
                    yield
            await self._connection.execute("SELECT 1")


def _is_event(payload: str) -> bool:
    try:
        note = json.loads(payload)
    except ValueError:
        return False
    return isinstance(note, dict) and note.get("kind") == "event"
