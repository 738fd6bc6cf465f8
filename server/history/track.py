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
from server.store.family import FixRow
from server.store.grant import GrantedConnection

log = logging.getLogger(__name__)

_MOST_PLAIN: Final = 20_000
"""More than two days of fixes: a bound, not a limit."""


def whole_hours(span_ms: tuple[int, int]) -> tuple[int, int]:
    """Return the span with the hour in which it begins, UTC ms: what a token for a track has to open."""
    return span_ms[0] // HOUR_MS * HOUR_MS, span_ms[1]


async def track(
    conn: GrantedConnection, ring: KeyRing, ward_id: str, *, span_ms: tuple[int, int], limit: int
) -> list[FixRow]:
    """Return the newest fixes of a ward, oldest first. Sealed hours whose key was erased are not there.

    Args:
        conn: to the main database, with a token for the ward's track over `whole_hours(span_ms)`.
        ring: opens sealed hours.
        ward_id: whose.
        span_ms: heard from the first to before the second, UTC.
        limit: so many at most.

    Raises:
        KeyStoreError: there are sealed hours, and the key store is away.
        DatabaseError: of the main database.
    """
    from_ms, to_ms = span_ms
    hot, sealed = await ward_hour.read(conn, ward_id, span_ms=whole_hours(span_ms), limit=_MOST_PLAIN)
    key = await ring.of(ward_id, [envelope.key_id(row) for _, row in sealed]) if sealed else None
    opened = [] if key is None else _opened(sealed, key, ward_id)
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
