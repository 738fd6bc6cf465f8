"""A ward's way over a span of time, out of what is still plain and what is sealed, as if it were one table."""

import logging
from collections.abc import Sequence
from typing import Final

import numpy as np

from server.history import envelope
from server.history.envelope import DataKey
from server.history.errors import SealedHourError
from server.history.fixes import HOUR_MS, Fixes, concat, merge, unpack
from server.history.keyring import KeyRing
from server.store import ward_hour
from server.store.connection import Connection
from server.store.family import FixRow, Grant

log = logging.getLogger(__name__)

_MOST_PLAIN: Final = 20_000
"""More than two days of fixes: a bound, not a limit."""


async def track(
    conn: Connection, ring: KeyRing, granted: Grant, *, span_ms: tuple[int, int], limit: int
) -> list[FixRow]:
    """Return the newest fixes of a ward, oldest first. Sealed hours whose key was erased are not there.

    Args:
        conn: to the main database, for this process's role.
        ring: opens sealed hours.
        granted: whose, and by whose right.
        span_ms: heard from the first to before the second, UTC.
        limit: so many at most.

    Raises:
        KeyStoreError: there are sealed hours, and the key store is away.
        DatabaseError: of the main database.
    """
    from_ms, to_ms = span_ms
    first_ms = from_ms // HOUR_MS * HOUR_MS
    hot, sealed = await ward_hour.read(conn, granted, from_ms=first_ms, to_ms=to_ms, limit=_MOST_PLAIN)
    key = await ring.of(granted.ward_id, [envelope.key_id(row) for _, row in sealed]) if sealed else None
    opened = [] if key is None else _opened(sealed, key, granted.ward_id)
    fixes = merge(concat(opened), Fixes.of(hot))
    return _rows(fixes.take((fixes.at_ms >= from_ms) & (fixes.at_ms < to_ms)), limit)


def _opened(sealed: Sequence[tuple[int, bytes]], key: DataKey, ward: str) -> list[Fixes]:
    opened = []
    for hour_ms, row in sealed:
        try:
            opened.append(unpack(envelope.open_(row, key, ward, hour_ms), hour_ms))
        except SealedHourError:
            continue
    if len(opened) < len(sealed):
        log.warning("history.unreadable", extra={"count": len(sealed) - len(opened)})
    return opened


def _rows(asked: Fixes, limit: int) -> list[FixRow]:
    newest = asked.take(np.argsort(asked.at_ms, kind="stable")[-limit:])
    columns = (newest.lat_deg, newest.lon_deg, newest.accuracy_m, newest.at_ms, newest.received_ms, newest.is_late)
    return [FixRow(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]
