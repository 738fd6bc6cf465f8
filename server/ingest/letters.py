"""How much of what is refused may be kept: whoever floods the city with rubbish must not fill its disk."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from server.store.dead_letter import MAX_KEPT_OCTETS, DeadLetter

OCTETS_PER_HOUR: Final = 16 * 1024 * 1024
"""2.7 GB in the seven days that letters are kept. All that is refused is counted, kept or not."""
_ROW_OCTETS: Final = 256
_HOUR_MS: Final = 3_600_000


@dataclass(slots=True)
class LetterBudget:
    """Admits dead letters up to a number of octets in each hour of the town.

    Attributes:
        octets_per_hour: of payloads as they are kept, and of the rows around them.
    """

    octets_per_hour: int = OCTETS_PER_HOUR
    _hour: int = -1
    _spent: int = 0

    def admit(self, letters: Iterable[DeadLetter]) -> list[DeadLetter]:
        """Return the letters that may be kept: the first of an hour, so that the cause of a flood is among them."""
        admitted = []
        for letter in letters:
            hour = letter.received_at_ms // _HOUR_MS
            if hour != self._hour:
                self._hour, self._spent = hour, 0
            size = len(letter.payload)
            cost = _ROW_OCTETS + (size if size <= MAX_KEPT_OCTETS else 0)
            if self._spent + cost <= self.octets_per_hour:
                self._spent += cost
                admitted.append(letter)
        return admitted
