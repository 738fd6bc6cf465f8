"""Which batches have been committed: the rows that make a delivery count once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from server.store.connection import Connection, at

Key = tuple[str, int, int]
"""Detector, epoch, sequence."""


@dataclass(frozen=True, slots=True)
class BatchRow:
    """One batch and what became of its rows: `rows = stored + unknown + expired`, suspicious ones are among stored."""

    key: Key
    received_at_ms: int
    rows: int
    stored: int
    unknown: int
    suspicious: int
    expired: int


async def known(conn: Connection, keys: Sequence[Key]) -> set[Key]:
    """Return those of `keys` that have been committed."""
    if not keys:
        return set()
    rows = await conn.execute(
        """SELECT detector_id, epoch, sequence FROM batch
           JOIN unnest(%s::text[], %s::bigint[], %s::bigint[]) AS k (detector_id, epoch, sequence)
           USING (detector_id, epoch, sequence)""",
        tuple(list(column) for column in zip(*keys, strict=True)),
    )
    return {(row[0], row[1], row[2]) for row in await rows.fetchall()}


async def add(conn: Connection, rows: Iterable[BatchRow]) -> None:
    """Insert cursor rows, in the transaction of what they count.

    Raises:
        DatabaseError: one is there already: somebody else has written it, and this transaction must not.
    """
    async with conn.cursor() as cursor:
        await cursor.executemany(
            """INSERT INTO batch
               (detector_id, epoch, sequence, received_at, rows, stored, unknown, suspicious, expired)
               VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)""",
            [
                (*row.key, at(row.received_at_ms), row.rows, row.stored, row.unknown, row.suspicious, row.expired)
                for row in rows
            ],
        )
