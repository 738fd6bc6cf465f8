"""What it costs to know the ids of all tags ahead of their rotation."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.measure import RUNS, alternate, best_ns_per, thread_ns_of
from server.core.kernels import aes, eidtable
from wire.eid import ROTATION_EXPONENT, derive_many

ROTATION_S: Final = 1 << ROTATION_EXPONENT
_AT_ONCE: Final = 100_000


@dataclass(frozen=True, slots=True)
class EidCost:
    """Cost of a rotation of all tags.

    Attributes:
        derive_ns: of one id, as the background makes it: a column of tags, one id each.
        plain_ns: of one id by `wire.eid`, a call a tag.
        times_faster: median of the ratios.
        rotate_ns: of putting it into the table in place of its tag's oldest, which is all that ingest waits for.
        table_s: of one new id for every tag, in processor seconds.
        share: of one core over the rotation period.
    """

    derive_ns: float
    plain_ns: float
    times_faster: float
    rotate_ns: float
    table_s: float
    share: float


def measure(n_tags: int, *, sample: int = 5_000) -> EidCost:
    """Return what a rotation of `n_tags` tags costs; deriving the plain way is measured on `sample` of them."""
    rng = np.random.default_rng(3)
    keys = rng.integers(0, 256, (n_tags, 16), dtype=np.uint8)
    exponents = np.full(n_tags, ROTATION_EXPONENT, np.uint8)
    quanta = rng.integers(1 << 20, 1 << 21, n_tags)
    some = keys[:sample]
    plain = [(key.tobytes(), quantum) for key, quantum in zip(some, quanta[:sample].tolist(), strict=True)]
    compiled = aes.load()

    def derive() -> None:
        for start in range(0, n_tags, _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            compiled.derive(keys[part], exponents[part], quanta[part])

    def derive_plainly() -> None:
        for key, quantum in plain:
            derive_many(key, ROTATION_EXPONENT, quantum, 1)

    derive()
    ways = {
        "compiled": lambda: thread_ns_of(derive) / n_tags,
        "plain": lambda: thread_ns_of(derive_plainly) / len(plain),
    }
    race = alternate(ways)
    compiled.close()
    derive_ns = race.median("compiled")
    table, tags = eidtable.create(n_tags), np.arange(n_tags, dtype=np.int32)
    eidtable.load(table, tags, rng.integers(1, 1 << 63, (n_tags, eidtable.GENERATIONS), dtype=np.int64))
    following = [rng.integers(1, 1 << 63, n_tags, dtype=np.int64) for _ in range(RUNS + 1)]
    turns = iter(following)
    rotate_ns = best_ns_per(n_tags, lambda: eidtable.rotate(table, tags, next(turns)))
    table_s = n_tags * (derive_ns + rotate_ns) / 1e9
    return EidCost(
        derive_ns, race.median("plain"), race.ratio("plain", "compiled"), rotate_ns, table_s, table_s / ROTATION_S
    )
