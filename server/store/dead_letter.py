"""What could not be opened, with its reason, for those who must find out why."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from server.store.connection import Connection, at

MAX_KEPT_OCTETS: Final = 65_536


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One payload that was refused. `detector` is what the topic claims, not what anybody proved."""

    detector: str
    reason: str
    payload: bytes
    received_at_ms: int


async def add(conn: Connection, letters: Iterable[DeadLetter]) -> None:
    """Keep letters; the same payload again is the same row. Of a large one only digest and size are kept."""
    async with conn.cursor() as cursor:
        await cursor.executemany(
            """INSERT INTO dead_letter (digest, received_at, topic_detector, reason, size_bytes, payload)
               VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (digest) DO NOTHING""",
            [
                (
                    hashlib.sha256(letter.payload).digest(),
                    at(letter.received_at_ms),
                    letter.detector,
                    letter.reason,
                    len(letter.payload),
                    letter.payload if len(letter.payload) <= MAX_KEPT_OCTETS else None,
                )
                for letter in letters
            ],
        )
