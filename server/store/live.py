"""Tells open apps that something is new, when the transaction that says so commits."""

import json
from collections.abc import Iterable, Iterator
from typing import Final

from server.store.connection import Connection

CHANNEL: Final = "live"
_MAX_OCTETS: Final = 7_900
"""PostgreSQL takes less than 8,000 in a payload."""
_FRAME_OCTETS: Final = len(json.dumps({"kind": "event", "wards": []}))


async def announce(conn: Connection, changes: Iterable[tuple[str, str]]) -> None:
    """Notify of (ward, "place" or "event") pairs; listeners read the rest from the tables.

    A payload names as many wards as it holds: each notice costs the database, and there is one queue for all of them.
    """
    wards: dict[str, set[str]] = {}
    for ward, kind in changes:
        wards.setdefault(kind, set()).add(ward)
    payloads = [payload for kind in sorted(wards) for payload in _payloads(kind, sorted(wards[kind]))]
    if payloads:
        await conn.execute("SELECT pg_notify(%s, payload) FROM unnest(%b::text[]) AS payload", (CHANNEL, payloads))


def _payloads(kind: str, wards: list[str]) -> Iterator[str]:
    part: list[str] = []
    octets = _FRAME_OCTETS
    for ward in wards:
        size = len(json.dumps(ward)) + 2
        if part and octets + size > _MAX_OCTETS:
            yield json.dumps({"kind": kind, "wards": part})
            part, octets = [], _FRAME_OCTETS
        part.append(ward)
        octets += size
    if part:
        yield json.dumps({"kind": kind, "wards": part})
