"""Which batches have been committed: the rows that make a delivery count once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server.store.columns import Array, Rows
from server.store.connection import Connection

Key = tuple[str, int, int]
"""Detector, epoch, sequence."""


@dataclass(frozen=True, slots=True)
class BatchRows(Rows):
    """Batches and what became of their rows: `rows = stored + unknown + expired`, suspicious ones are among stored.

    Attributes:
        detectors: n ids.
        epochs: of the detectors' counters.
        sequences: within the epoch.
        received_ms: UTC.
        rows: how many rows the batch had.
        stored: of tags of ours.
        unknown: of no tag of ours.
        suspicious: stored, but moved nobody.
        expired: heard longer ago than sightings may be kept.
    """

    detectors: list[str]
    epochs: NDArray[np.int64]
    sequences: NDArray[np.int64]
    received_ms: NDArray[np.int64]
    rows: NDArray[np.int32]
    stored: NDArray[np.int32]
    unknown: NDArray[np.int32]
    suspicious: NDArray[np.int32]
    expired: NDArray[np.int32]


async def known(conn: Connection, keys: Sequence[Key]) -> set[Key]:
    """Return those of `keys` that have been committed."""
    if not keys:
        return set()
    detectors, epochs, sequences = zip(*keys, strict=True)
    rows = await conn.execute(
        """SELECT detector_id, epoch, sequence FROM batch
           JOIN unnest(%b::text[], %b::bigint[], %b::bigint[]) AS k (detector_id, epoch, sequence)
           USING (detector_id, epoch, sequence)""",
        (list(detectors), Array(np.array(epochs, np.int64), "int8"), Array(np.array(sequences, np.int64), "int8")),
    )
    return {(row[0], row[1], row[2]) for row in await rows.fetchall()}


async def newest(conn: Connection, epochs: Sequence[tuple[str, int]], most: int) -> list[Key]:
    """Return the keys of the newest committed batches of each detector and epoch, `most` of each, ascending."""
    if not epochs:
        return []
    detectors, numbers = zip(*epochs, strict=True)
    rows = await conn.execute(
        """SELECT k.detector_id, k.epoch, b.sequence
           FROM unnest(%b::text[], %b::bigint[]) AS k (detector_id, epoch)
           CROSS JOIN LATERAL (
               SELECT sequence FROM batch WHERE detector_id = k.detector_id AND epoch = k.epoch
               ORDER BY sequence DESC LIMIT %b::integer
           ) AS b
           ORDER BY 1, 2, 3""",
        (list(detectors), Array(np.array(numbers, np.int64), "int8"), most),
    )
    return [(row[0], row[1], row[2]) for row in await rows.fetchall()]


async def add(conn: Connection, rows: BatchRows) -> None:
    """Insert cursor rows, in the transaction of what they count.

    Raises:
        DatabaseError: one is there already: somebody else has written it, and this transaction must not.
    """
    if not len(rows):
        return
    await conn.execute(
        """INSERT INTO batch
           (detector_id, epoch, sequence, received_at, rows, stored, unknown, suspicious, expired)
           SELECT * FROM unnest(%b::text[], %b::bigint[], %b::bigint[], %b::timestamptz[], %b::integer[], %b::integer[],
                                %b::integer[], %b::integer[], %b::integer[])""",
        (
            rows.detectors,
            Array(rows.epochs, "int8"),
            Array(rows.sequences, "int8"),
            Array(rows.received_ms, "timestamptz"),
            Array(rows.rows, "int4"),
            Array(rows.stored, "int4"),
            Array(rows.unknown, "int4"),
            Array(rows.suspicious, "int4"),
            Array(rows.expired, "int4"),
        ),
    )
