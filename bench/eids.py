"""What it costs to know the ids of all tags ahead of their rotation."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.measure import RUNS, best_ns_per
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
        rotate_ns: of putting it into the table in place of its tag's oldest.
        table_s: of one new id for every tag, in processor seconds.
        share: of one core over the rotation period.
    """

    derive_ns: float
    rotate_ns: float
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
    table, tags = eidtable.create(n_tags), np.arange(n_tags, dtype=np.int32)
    eidtable.load(table, tags, rng.integers(1, 1 << 63, (n_tags, eidtable.GENERATIONS), dtype=np.int64))
    following = [rng.integers(1, 1 << 63, n_tags, dtype=np.int64) for _ in range(RUNS + 1)]
    turns = iter(following)
    rotate_ns = best_ns_per(n_tags, lambda: eidtable.rotate(table, tags, next(turns)))
    table_s = n_tags * (derive_ns + rotate_ns) / 1e9
    return EidCost(derive_ns, rotate_ns, table_s, table_s / ROTATION_S)
