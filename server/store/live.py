"""Tells open apps that something is new, when the transaction that says so commits."""

import json
from collections.abc import Iterable
from typing import Final

from server.store.connection import Connection

CHANNEL: Final = "live"


async def announce(conn: Connection, changes: Iterable[tuple[str, str]]) -> None:
    """Notify of (ward, "place" or "event") pairs; listeners read the rest from the tables."""
    payloads = sorted({json.dumps({"ward": ward, "kind": kind}) for ward, kind in changes})
    if payloads:
        await conn.execute("SELECT pg_notify(%s, payload) FROM unnest(%s::text[]) AS payload", (CHANNEL, payloads))
