"""Counts of people that may be published: by 1 km mesh and hour, of a crowd, with noise, once.

A crowd of k alone protects nobody: two counts that differ by one person tell of that person, and that a cell is shown
at all tells nine from ten. So the noise is added first, and a cell is shown only where its count is so far above k that
a true count of k would hardly ever get there: together that is (epsilon, delta)-differential privacy of a person's day.

Source: Dwork and Roth, "The Algorithmic Foundations of Differential Privacy" (2014), 3.3 (Laplace); Ghosh, Roughgarden,
Sundararajan (2009) for its discrete form; OpenDP draws it. JIS X 0410 for the mesh.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

MESH_LEVEL: Final = 3
"""Third-level mesh 基準地域メッシュ, about 1 km: 2,200 wards in 138 square kilometres are 16 a cell of it, 4 in one of
500 m, 1 in one of 250 m. It is also the mesh of the census. There is no other resolution, so none to compare with."""
PARTS: Final = ((6, 13), (13, 22))
"""Hours of the day that are counted, in two parts; the nights, when people are at home, are not."""
LOWEST_K: Final = 10


class AnonymityError(ValueError):
    """What would not be anonymous is not published."""


class BudgetSpentError(AnonymityError):
    """This day has been published; its budget is spent for ever."""


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """A mesh and an hour of a day.

    Attributes:
        mesh: code of the third-level mesh, eight digits.
        hour: of the day in the city's time, 0 to 23.
    """

    mesh: int
    hour: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosure:
    """How much a day's release may tell. All of it is published with the numbers.

    Attributes:
        k: fewest people that a cell that is shown counts, truly.
        epsilon: of the whole day, over all cells.
        delta: likewise.
        cells_a_day: in how many cells of a day one person is counted at most: once in each of `PARTS`.
    """

    k: int = LOWEST_K
    epsilon: float = 1.0
    delta: float = 1e-5
    cells_a_day: int = len(PARTS)

    def __post_init__(self) -> None:
        """Refuse what protects nobody.

        Raises:
            AnonymityError: says why.
        """
        if self.k < LOWEST_K:
            raise AnonymityError(f"a crowd is at least {LOWEST_K}, not {self.k}")
        if not 0 < self.epsilon <= 1:
            raise AnonymityError("epsilon of a day must be above 0 and at most 1")
        if not 0 < self.delta <= 1e-4:
            raise AnonymityError("delta of a day must be above 0 and at most 0.0001")
        if self.cells_a_day < 1:
            raise AnonymityError("nobody is counted")

    @property
    def scale(self) -> float:
        """Scale of the discrete Laplace noise of each cell."""
        return self.cells_a_day / self.epsilon

    @property
    def threshold(self) -> int:
        """Return the smallest count with noise that is shown, above k by so much that k itself hardly ever is.

        The noise x has P(x >= t) = a^t / (1 + a) with a = exp(-1 / scale); that of k getting to the threshold may be
        delta over the cells of a person.
        """
        a = math.exp(-1 / self.scale)
        share = self.delta / self.cells_a_day * (1 + a)
        return self.k + math.ceil(math.log(share) / math.log(a))


@dataclass(frozen=True, slots=True)
class Release:
    """What may be published of a day.

    Attributes:
        shown: people in each cell that is shown, with noise.
        suppressed: how many cells are not shown, empty ones too: the number of cells that somebody was in is itself
            one that a single person changes.
    """

    shown: Mapping[Cell, int]
    suppressed: int


Noise = Callable[[Sequence[int], Disclosure], list[int]]
"""Adds noise to counts."""


def release(
    counts: Mapping[Cell, int], domain: Collection[Cell], rule: Disclosure, noise: Noise | None = None
) -> Release:
    """Return what may be published of a day's counts; called twice for a day it would be another, so it never is.

    Args:
        counts: people in each cell, each person in at most `rule.cells_a_day` of them.
        domain: all cells of the day, chosen without looking at anybody: where the city has detectors.
        rule: how much may be told.
        noise: draws it; None: OpenDP.

    Raises:
        AnonymityError: a count is outside the domain.
    """
    if not counts.keys() <= set(domain):
        raise AnonymityError("a count outside the domain: that it is there would tell of somebody")
    cells = sorted(domain)
    true = [counts.get(cell, 0) for cell in cells]
    noised = (noise or laplace)(true, rule)
    least = rule.threshold
    shown = {
        cell: told for cell, count, told in zip(cells, true, noised, strict=True) if count >= rule.k and told >= least
    }
    return Release(shown, len(cells) - len(shown))


def fewest(counts: Mapping[Cell, int], released: Release, rule: Disclosure) -> int:
    """Return the fewest people that a cell that is shown counts, truly: for the policies, never for the log."""
    return min((counts.get(cell, 0) for cell in released.shown), default=rule.k)


def laplace(counts: Sequence[int], rule: Disclosure) -> list[int]:
    """Return the counts with discrete Laplace noise of OpenDP, whose accountant confirms epsilon.

    Raises:
        AnonymityError: OpenDP accounts for more than the rule allows.
    """
    import opendp.prelude as dp  # noqa: PLC0415 - takes seconds to load, and few programs publish anything

    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T=int)), dp.l1_distance(T=int)
    measurement = dp.m.make_laplace(*space, scale=rule.scale)
    spent = float(measurement.map(rule.cells_a_day))  # type: ignore[no-untyped-call]
    if spent > rule.epsilon * (1 + 1e-9):
        raise AnonymityError(f"the noise would cost an epsilon of {spent}, more than {rule.epsilon}")
    return [int(value) for value in measurement(list(counts))] if counts else []


def corners(mesh: int) -> tuple[float, float, float, float]:
    """Return south, west, north and east of a mesh, degrees."""
    import jismesh.utils as ju  # noqa: PLC0415 - as above

    (south, west), (north, east) = ju.to_meshpoint(mesh, 0, 0), ju.to_meshpoint(mesh, 1, 1)
    return float(south), float(west), float(north), float(east)
