"""Who is let in when more ids are heard than can be held: one that comes again, in the place of the least known.

Anybody may fill the air with ids that look like ours. What tells a tag from a flood is that it is heard again, so while
the table is full an id is taken on when it is heard for the second time, and the first time leaves nothing but a number
in a table of fixed size. Its place is that of the one heard in the fewest windows, then silent for longest, among
`CHOICE` held ones: a tag that has been here for a while stays, and nothing is searched.
"""

from array import array
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

SLOTS: Final = 1 << 17
"""Ten thousand strangers a second overwrite a slot once in thirteen seconds, a tag is heard every second or two; and
each id has two slots, lest a stranger that is always here sits on one."""
_BITS: Final = SLOTS.bit_length() - 1
CHOICE: Final = 8

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(slots=True)
class Knocks:
    """Ids that were heard once, by a hash that no stranger can foresee; of each slot the newest counts."""

    _slots: "array[int]" = field(default_factory=lambda: array("q"), repr=False)

    def was_here(self, key: Hashable) -> bool:
        """Return whether `key` was the last one in one of its slots; now it is in both."""
        if not self._slots:
            self._slots.frombytes(bytes(8 * SLOTS))  # a megabyte that only a flood makes us take
        told = hash(key) or 1
        first, second = told & (SLOTS - 1), told >> _BITS & (SLOTS - 1)
        is_known = told in {self._slots[first], self._slots[second]}
        self._slots[first] = self._slots[second] = told
        return is_known


@dataclass(slots=True)
class Seats(Generic[K, V]):
    """Picks whom a newcomer may replace.

    Args:
        rank: the lowest goes.
    """

    rank: Callable[[V], tuple[int, int]]
    _in_turn: list[K] = field(default_factory=list, init=False, repr=False)

    def least(self, held: Mapping[K, V]) -> K | None:
        """Return the least known of the next `CHOICE` that are held, None where nobody is."""
        found: list[K] = []
        while len(found) < min(CHOICE, len(held)):
            if not self._in_turn:
                self._in_turn = list(held)
                self._in_turn.sort(key=hash)  # out of order of arrival, so that a flood is not looked at all at once
            key = self._in_turn.pop()
            if key in held:
                found.append(key)
        return min(found, key=lambda key: self.rank(held[key]), default=None)
