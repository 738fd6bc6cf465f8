"""Every sighting that was sent against every sighting that is stored, by tag and detector."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import psycopg
from numpy.typing import NDArray

from bench.crowd import FOREIGN, ROWS, Plan, Town, name_of, rows_of_tags

_STORED = "SELECT tag_index, detector_index, sum(count) FROM sighting GROUP BY 1, 2"
_BATCHES = "SELECT detector_id, sequence, rows, unknown, expired FROM batch"


@dataclass(frozen=True, slots=True)
class Account:
    """What came of all that has a receipt.

    Attributes:
        sent: sightings of our tags in batches with a receipt.
        stored: sightings in the store.
        lost: sightings that were receipted and are not in the store, and batches without a row of their own.
        doubled: sightings in the store above what was sent, and batches that were never sent.
        miscounted: batches whose own row says other numbers than were sent.
    """

    sent: int
    stored: int
    lost: int
    doubled: int
    miscounted: int

    def __add__(self, other: Self) -> "Account":
        """Return both together."""
        return Account(
            self.sent + other.sent,
            self.stored + other.stored,
            self.lost + other.lost,
            self.doubled + other.doubled,
            self.miscounted + other.miscounted,
        )


def expected(town: Town, plan: Plan, is_settled: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the sightings of our tags that were sent, shape (n_pairs, 2): tag << 32 | detector ascending, how many."""
    batches = plan.visits[is_settled] % town.n_crowds, plan.detectors[is_settled]
    each = rows_of_tags()
    tags = batches[0][:, None] * len(each) + np.arange(len(each))
    return _sums((tags << 32 | batches[1][:, None]).ravel(), np.tile(each, len(tags)))


def settle(conn: psycopg.Connection, town: Town, sent: list[tuple[Plan, NDArray[np.bool_]]]) -> Account:
    """Return the account of plans and which of their batches were receipted as accepted; nothing else may be stored."""
    plans = [expected(town, plan, is_settled) for plan, is_settled in sent]
    wanted = _sums(*np.concatenate(plans).T)
    found = _stored(conn)
    keys = np.union1d(wanted[:, 0], found[:, 0])
    missing = _at(keys, wanted) - _at(keys, found)
    lost, doubled, miscounted = _batches(conn, sent)
    return Account(
        int(wanted[:, 1].sum()),
        int(found[:, 1].sum()),
        int(missing.clip(min=0).sum()) + lost,
        int((-missing).clip(min=0).sum()) + doubled,
        miscounted,
    )


def _stored(conn: psycopg.Connection) -> NDArray[np.int64]:
    tags = {index: int(name[2:]) for name, index in conn.execute("SELECT id, index FROM tag")}
    detectors = {index: int(name[3:]) for name, index in conn.execute("SELECT id, index FROM detector")}
    rows = [(tags[tag] << 32 | detectors[detector], int(n)) for tag, detector, n in conn.execute(_STORED)]
    table: NDArray[np.int64] = np.array(rows, np.int64).reshape(-1, 2)
    return _sums(table[:, 0], table[:, 1])


def _batches(conn: psycopg.Connection, sent: list[tuple[Plan, NDArray[np.bool_]]]) -> tuple[int, int, int]:
    wanted = {
        (name_of(detector), sequence)
        for plan, is_settled in sent
        for detector, sequence in zip(
            plan.detectors[is_settled].tolist(), plan.sequences[is_settled].tolist(), strict=True
        )
    }
    rows = conn.execute(_BATCHES).fetchall()
    found = {(str(detector), int(sequence)) for detector, sequence, *_ in rows}
    twice = len(rows) - len(found)
    miscounted = sum((n, unknown, expired) != (ROWS, FOREIGN, 0) for _, _, n, unknown, expired in rows)
    return len(wanted - found), len(found - wanted) + twice, miscounted


def _sums(keys: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return each key once, ascending, with the sum of its counts."""
    found, where = np.unique(keys, return_inverse=True)
    sums = np.zeros(len(found), np.int64)
    np.add.at(sums, where, counts)
    return np.stack([found, sums], axis=1)


def _at(keys: NDArray[np.int64], table: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the counts of keys, 0 for those that a table lacks."""
    if not len(table):
        return np.zeros(len(keys), np.int64)
    where = np.searchsorted(table[:, 0], keys).clip(max=len(table) - 1)
    return np.where(table[where, 0] == keys, table[where, 1], 0)
