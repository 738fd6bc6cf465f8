"""Town time: what sightings, fixes and events carry. Wall time, but in a simulated town it may run faster."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Clock:
    """Town time as a straight line over wall time. `Clock()` is wall time itself.

    Attributes:
        origin_wall_ms: a wall time, Unix milliseconds.
        origin_town_ms: the town time at that moment, Unix milliseconds.
        speed: town seconds in one wall second, above 0.
    """

    origin_wall_ms: int = 0
    origin_town_ms: int = 0
    speed: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.speed <= 100_000:
            raise ValueError("speed must be above 0 and at most 100000")

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Self:
        """Return the clock that a `[clock]` table describes; an empty one is wall time.

        Raises:
            ValueError: an unknown key, or a value that is not a number in range.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(table) - known):
            raise ValueError(f"unknown clock settings: {', '.join(unknown)}")
        for name, value in table.items():
            kinds = (int, float) if name == "speed" else (int,)
            if isinstance(value, bool) or not isinstance(value, kinds):
                raise ValueError(f"clock {name} is not a number of the right kind")  # noqa: TRY004 - one kind of error
        return cls(**table)

    def to_table(self) -> dict[str, int | float]:
        """Return what `from_table` reads."""
        return {
            "origin_wall_ms": self.origin_wall_ms,
            "origin_town_ms": self.origin_town_ms,
            "speed": self.speed,
        }

    @property
    def is_wall(self) -> bool:
        """Whether this is wall time itself."""
        return self.speed == 1.0 and self.origin_town_ms == self.origin_wall_ms

    def town_ms(self, wall_ms: float) -> int:
        """Return the town time at a wall time, both in Unix milliseconds."""
        return round(self.origin_town_ms + (wall_ms - self.origin_wall_ms) * self.speed)

    def now_ms(self) -> int:
        """Return the town time of now, Unix milliseconds."""
        return self.town_ms(time.time_ns() / 1e6)

    def wall_s(self, town_s: float) -> float:
        """Return how many wall seconds `town_s` seconds of the town take."""
        return town_s / self.speed


SYSTEM = Clock()
