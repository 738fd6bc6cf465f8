"""Which hours may be counted now: over, and not sealed yet."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Final
from zoneinfo import ZoneInfo

from privacy.anonymity import PARTS
from server.history.sealing import HOT_MS

HOUR_MS: Final = 3_600_000
SETTLED_MS: Final = HOUR_MS // 2
"""After the end of an hour so long is waited for what comes late."""
_MARGIN_MS: Final = HOUR_MS // 12
"""So long before an hour is sealed it is not counted any more: half of it might be gone."""


def countable(now_ms: int, zone: ZoneInfo) -> Iterator[tuple[dt.date, int, int]]:
    """Yield day and hour of the city and the start in UTC ms of each hour that may be counted at town time `now_ms`."""
    last_ms = (now_ms - HOUR_MS - SETTLED_MS) // HOUR_MS * HOUR_MS
    for from_ms in range(last_ms - HOT_MS, last_ms + 1, HOUR_MS):
        if from_ms + HOUR_MS + HOT_MS - _MARGIN_MS <= now_ms:
            continue
        local = dt.datetime.fromtimestamp(from_ms / 1000, zone)
        if any(begin <= local.hour < end for begin, end in PARTS):
            yield local.date(), local.hour, from_ms


def today(now_ms: int, zone: ZoneInfo) -> dt.date:
    """Return the city's day: those before it have been counted as far as they ever will."""
    return dt.datetime.fromtimestamp(now_ms / 1000, zone).date()
