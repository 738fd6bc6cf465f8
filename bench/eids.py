"""What it costs to know the ids of all tags ahead of their rotation."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.measure import best_ns_per
from server.core.kernels import eidtable
from wire.eid import ROTATION_EXPONENT, derive_many

ROTATION_S: Final = 1 << ROTATION_EXPONENT
SLOTS: Final = 64
"""Ids under one temporary key, 2**16 s: derived in one call, 18 hours ahead."""


@dataclass(frozen=True, slots=True)
class EidCost:
    """Cost of a rotation of all tags.

    Attributes:
        derive_ns: of one id, 64 at a time.
        insert_ns: of one id into the table.
        table_s: of one new id for every tag, derived, put in place of the oldest, in processor seconds.
        share: of one core over the rotation period.
    """

    derive_ns: float
    insert_ns: float
    table_s: float
    share: float


def measure(n_tags: int, *, sample: int = 1_000) -> EidCost:
    """Return what a rotation of `n_tags` tags costs; deriving is measured on `sample` of them."""
    rng = np.random.default_rng(3)
    keys = [key.tobytes() for key in rng.integers(0, 256, (sample, 16), dtype=np.uint8)]

    def derive() -> None:
        for key in keys:
            derive_many(key, ROTATION_EXPONENT, 0, SLOTS)

    derive_ns = best_ns_per(sample * SLOTS, derive)
    ids = rng.integers(1, 1 << 63, n_tags, dtype=np.int64)
    tags = np.arange(n_tags, dtype=np.int32)
    table = eidtable.create(n_tags)

    def insert() -> None:
        table.lines[:] = 0
        eidtable.insert(table, ids, tags)

    insert_ns = best_ns_per(n_tags, insert)
    table_s = n_tags * (derive_ns + 2 * insert_ns) / 1e9  # the oldest goes, the newest comes
    return EidCost(derive_ns, insert_ns, table_s, table_s / ROTATION_S)
