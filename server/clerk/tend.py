"""Looks after cases: each under its lock, one duty a transaction, until nothing is left to do for it now."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from server.clerk import clocks, copies, orders
from server.clerk.metrics import ClerkMetrics
from server.clerk.room import Room, Tending, locked
from server.errors import ServerError
from server.store import case as cases
from server.store.connection import Connection, DatabaseError, is_connection_lost
from server.store.errors import StoreError
from wire.errors import WireError

log = logging.getLogger(__name__)

Duty = Callable[[Tending], Awaitable[bool]]
DUTIES: Final[tuple[tuple[str, Duty], ...]] = (
    ("revoke", clocks.revoke),
    ("lapse", clocks.lapse),
    ("freeze", orders.freeze),
    ("export", orders.export),
    ("exported", copies.exported),
    ("thaw", orders.thaw),
    ("found", clocks.end_found),
    ("overdue", clocks.mark_overdue),
    ("unanswered", clocks.mark_unanswered),
    ("destroy", copies.destroy),
    ("close", clocks.close),
    ("remind", clocks.remind),
)
"""In this order: what ends a case comes before what would be done for it."""
_MOST_ROUNDS: Final = 8


async def sweep(conn: Connection, room: Room, metrics: ClerkMetrics) -> None:
    """Look after every case that is not over; one that cannot be helped does not keep the others waiting.

    Raises:
        DatabaseError: the database is away.
    """
    working = await cases.working(conn)
    metrics.cases.set(len(working))
    reminders = 0
    for row in working:
        try:
            reminders += await tend(conn, room, row.id, metrics)
        except DatabaseError as error:
            if is_connection_lost(error):
                raise
            _say_stuck(metrics, error)
        except (ServerError, StoreError, WireError, OSError) as error:
            _say_stuck(metrics, error)
    metrics.reminders.set(reminders)


async def tend(conn: Connection, room: Room, case_id: str, metrics: ClerkMetrics) -> int:
    """Do all that is to be done for a case now; return how many reminders of it are open."""
    for _ in range(_MOST_ROUNDS):
        did, reminders = await _round(conn, room, case_id, metrics)
        if not did:
            return reminders
    return reminders


async def _round(conn: Connection, room: Room, case_id: str, metrics: ClerkMetrics) -> tuple[bool, int]:
    """Do the first duty that there is; the next one is to see the case as it is then."""
    async with conn.transaction():
        tending = await locked(conn, room, case_id, room.office.now_ms())
        if tending is None:
            return False, 0
        done = None
        for name, duty in DUTIES:
            if await duty(tending):
                done = name
                break
        reminders = sum(one.settled_ms is None for one in tending.whole.reminders)
    if done is None:
        return False, reminders
    metrics.done.labels(done).inc()
    log.info("case.tended", extra={"step": done})
    return True, reminders


def _say_stuck(metrics: ClerkMetrics, error: Exception) -> None:
    metrics.stuck.inc()
    log.error("case.stuck", extra={"error": type(error).__name__}, exc_info=error)
