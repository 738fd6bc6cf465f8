"""How long each class of data is kept: one schedule, read by every job that deletes.

Source: docs/ARCHITECTURE.md, "What is kept"; the 72 hours of raw sightings are the store's promise, the other limits
are proposals until a city's own ordinance profile replaces them.
"""

from dataclasses import dataclass
from enum import StrEnum

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS


class DataClass(StrEnum):
    """A kind of record that has a limit of its own."""

    SIGHTING = "sighting"
    FIX = "fix"
    DOUBTFUL_FIX = "doubtful_fix"
    EVENT = "event"
    DEAD_LETTER = "dead_letter"


@dataclass(frozen=True, slots=True)
class Limit:
    """How long a class of data may live.

    Attributes:
        keep_ms: age in milliseconds after which a record must be gone.
        reason: why it is kept at all, for the public register of processing.
    """

    keep_ms: int
    reason: str


SCHEDULE: dict[DataClass, Limit] = {
    DataClass.SIGHTING: Limit(72 * _HOUR_MS, "to place a tag again when late uploads arrive"),
    DataClass.FIX: Limit(14 * _DAY_MS, "the family's track of the last days, sealed by ward and hour"),
    DataClass.DOUBTFUL_FIX: Limit(72 * _HOUR_MS, "to tell a relayed tag from a fast one"),
    DataClass.EVENT: Limit(90 * _DAY_MS, "the family's record of arrivals and departures"),
    DataClass.DEAD_LETTER: Limit(7 * _DAY_MS, "to find out why a detector's batches were refused"),
}


def expires_before_ms(data: DataClass, now_ms: int) -> int:
    """Return the UTC millisecond before which records of `data` must no longer exist."""
    return now_ms - SCHEDULE[data].keep_ms
