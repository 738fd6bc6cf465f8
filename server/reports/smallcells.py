"""Small cells: rows that could point at one person are put together, so that nobody can compute them back.

A row is small when one of its counts of persons is above 0 and below the limit. All small rows become one row その他,
and the first other row, by name, goes in with them: else the total less the rows that are shown would tell a single
small one. Which row that is must not depend on its count, or the order would tell. More go in until the sum leaves at
least two ways to make it up: with a limit of 3, 4 could only be 1 + 3, so 5 is wanted. Rows of nothing but zeros are
not shown, so that nobody can tell whether a missing row is 0 or in その他. Where nothing is left to put in and the sum
is small, it is told as "under the limit", in row and total. That no count from 1 to below the limit follows from what
is shown, even for a reader who knows all this, is shown by trying all small tables in the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tally:
    """A row before it is merged.

    Attributes:
        name: what it is about; rows are told apart and ordered by it.
        counts: of persons or cases; each of them is protected.
        measures: what goes along, such as hours: summed with the row, never shown for a row that is not.
    """

    name: tuple[str, ...]
    counts: tuple[int, ...]
    measures: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Merged:
    """What may be published.

    Attributes:
        shown: rows as they are, by name.
        rest: sums of the rows that were put together; None: none were.
        hidden: which counts of `rest` are still small and must not be told, nor the totals of them.
    """

    shown: tuple[Tally, ...]
    rest: Tally | None
    hidden: tuple[bool, ...]

    @property
    def is_hiding(self) -> bool:
        """Whether some number is left out altogether; then the measures of its row and of the total are, too."""
        return any(self.hidden)


REST: tuple[str, ...] = ("",)


def merge(tallies: Sequence[Tally], limit: int) -> Merged:
    """Return the rows that may be published.

    Args:
        tallies: all with as many counts and measures, no name twice.
        limit: counts from 1 to `limit - 1` are small; 1 or less merges nothing.
    """
    kept = sorted((one for one in tallies if any(one.counts)), key=lambda one: one.name)
    width = len(tallies[0].counts) if tallies else 0
    taken = [one for one in kept if _is_small(one.counts, limit)]
    left = [one for one in kept if not _is_small(one.counts, limit)]
    if not taken:
        return Merged(tuple(left), None, (False,) * width)
    taken += left[:1]
    left = left[1:]
    rest = added(taken)
    while left and _is_small(rest.counts, 2 * limit - 1):
        rest = added([rest, left.pop(0)])
    hidden = tuple(0 < count < limit for count in rest.counts)
    return Merged(tuple(left), rest, hidden)


def _is_small(counts: Sequence[int], limit: int) -> bool:
    return any(0 < count < limit for count in counts)


def added(tallies: Sequence[Tally]) -> Tally:
    """Return the sum of at least one row."""
    counts = tuple(map(sum, zip(*(one.counts for one in tallies), strict=True)))
    measures = tuple(map(sum, zip(*(one.measures for one in tallies), strict=True)))
    return Tally(REST, counts, measures)
