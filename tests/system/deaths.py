"""Deaths: which program is killed next, and when."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.system.village import Village

VICTIMS = ("broker", "database", "gate", "ingest", "api", "notify", "edge")
"""Not the phones: one that was killed forgets where it was, and drops what it may have heard in a no-report zone."""


@dataclass
class Deaths:
    """Kills one program of a village after the other at random moments; the same seed makes the same choices.

    Attributes:
        kills: so far, by part.
    """

    village: Village
    seed: int
    victims: Sequence[str] = VICTIMS
    kills: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)
        self._next = self._choose()

    def strike(self) -> None:
        """Let the village live for a moment, kill the next one, and let the others do without it for a moment."""
        victim = next(self._next)
        self.village.pause(self._chance.uniform(0.3, 2.0))
        self.village.kill(victim)
        self.kills[victim] += 1
        self.village.pause(self._chance.uniform(0.0, 1.0))

    def _choose(self) -> Iterator[str]:
        yield from self.victims
        while True:
            yield self._chance.choice(self.victims)
