"""Published counts: what somebody who compares all of them, and knows all people but one, can tell of that one."""

import itertools
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.anonymity import (
    AnonymityError,
    Cell,
    Disclosure,
    Release,
    corners,
    fewest,
    laplace,
    release,
)

RULE = Disclosure()
MESHES = (52341607, 52341608, 52341617)
DOMAIN = tuple(Cell(mesh, hour) for mesh in MESHES for hour in range(6, 22))
HERE, THERE = Cell(MESHES[0], 7), Cell(MESHES[1], 15)
Shown = Callable[[int, int], bool]
"""Whether a cell is shown, by its true count and its count with noise."""


def _ours(count: int, told: int) -> bool:
    return count >= RULE.k and told >= RULE.threshold


def _outcomes(count: int, shown: Shown, scale: float) -> dict[int | None, float]:
    """Return how likely a cell of `count` people is published as each number; None: not shown. Exact but for tails."""
    a = math.exp(-1 / scale)
    found: dict[int | None, float] = {None: 0.0}
    for noise in range(-200, 201):
        told, chance = count + noise, (1 - a) / (1 + a) * a ** abs(noise)
        key = told if shown(count, told) else None
        found[key] = found.get(key, 0.0) + chance
    return found


def _excess(before: Mapping[int | None, float], after: Mapping[int | None, float], epsilon: float) -> float:
    """Return the smallest delta with which the two can be told apart at `epsilon`, the worse way round."""
    keys = set(before) | set(after)
    ways = ((before, after), (after, before))
    factor = math.exp(epsilon)
    return max(sum(max(0.0, one.get(key, 0) - factor * other.get(key, 0)) for key in keys) for one, other in ways)


def test_one_person_more_changes_a_cell_by_no_more_than_the_rule_says() -> None:
    share = RULE.epsilon / RULE.cells_a_day
    for count in range(120):
        before, after = (_outcomes(people, _ours, RULE.scale) for people in (count, count + 1))
        assert _excess(before, after, share) <= RULE.delta / RULE.cells_a_day * (1 + 1e-6)


def test_a_lower_threshold_would_break_the_promise() -> None:
    """The threshold is as low as may be: one less, and ten is told from nine."""
    lower = _outcomes(RULE.k, lambda count, told: count >= RULE.k and told >= RULE.threshold - 1, RULE.scale)
    none = _outcomes(RULE.k - 1, _ours, RULE.scale)
    assert _excess(lower, none, RULE.epsilon / RULE.cells_a_day) > RULE.delta / RULE.cells_a_day


def test_showing_every_noised_count_of_ten_tells_ten_from_nine() -> None:
    """The attack on k and noise without a margin: the cell is there or it is not."""
    ten, nine = (_outcomes(count, lambda count, told: min(count, told) >= 10, RULE.scale) for count in (10, 9))
    assert _excess(ten, nine, RULE.epsilon) > 0.5


def _published(counts: Mapping[Cell, int]) -> Release:
    return release(counts, DOMAIN, RULE, _quick_noise)


def _quick_noise(counts: Sequence[int], rule: Disclosure) -> list[int]:
    """Draw the noise by inversion: thousands of releases, which OpenDP would draw for minutes."""
    a = math.exp(-1 / rule.scale)

    def geometric() -> int:
        return int(math.log(1 - _RANDOM.random()) / math.log(a))

    return [count + geometric() - geometric() for count in counts]


def _k_only(counts: Mapping[Cell, int]) -> Release:
    return Release({cell: count for cell, count in counts.items() if count >= 10}, 0)


def _differences(made: Iterable[Release]) -> Counter[tuple[object, ...]]:
    """Return how often each view occurs: all pairs of cells of a release with the difference of their counts."""
    views: Counter[tuple[object, ...]] = Counter()
    for one in made:
        pairs = itertools.combinations((one.shown.get(cell) for cell in (HERE, THERE)), 2)
        views[*((a, b, None if a is None or b is None else a - b) for a, b in pairs), one.suppressed] += 1
    return views


_RANDOM = random.Random(20_260_401)
_TIMES = 8_000


def _advantage(publish: Callable[[Mapping[Cell, int]], Release], with_: int) -> float:
    """Return how much better than chance one tells whether a person is in the data: the best test on half the releases
    that were made with and without, tried on the other half."""
    with_them = {HERE: with_, THERE: with_}
    without = {cell: count - 1 for cell, count in with_them.items()}
    learnt = [_differences(publish(counts) for _ in range(_TIMES // 2)) for counts in (with_them, without)]
    tried = [_differences(publish(counts) for _ in range(_TIMES // 2)) for counts in (with_them, without)]
    says_with = {view for view in learnt[0] if learnt[0][view] > learnt[1][view]}
    hit, wrong = (sum(seen[view] for view in says_with) / (_TIMES // 2) for seen in tried)
    return hit - wrong


@pytest.mark.parametrize("crowd", [9, 10, 11, RULE.threshold, 90])
def test_differencing_all_published_pairs_finds_nobody(crowd: int) -> None:
    factor = math.exp(RULE.epsilon)
    bound = (factor - 1 + 2 * RULE.delta) / (factor + 1)
    assert _advantage(_published, crowd) <= bound + 3 / math.sqrt(_TIMES / 2)


@pytest.mark.parametrize("crowd", [10, 11, 90])
def test_the_same_attack_on_a_crowd_of_ten_without_noise_finds_everybody(crowd: int) -> None:
    assert _advantage(_k_only, crowd) == 1.0


_counts = st.dictionaries(st.sampled_from(DOMAIN), st.integers(0, 300))


@settings(max_examples=50, deadline=None)
@given(_counts)
def test_nothing_of_a_small_crowd_is_shown(counts: dict[Cell, int]) -> None:
    made = _published(counts)
    assert all(counts[cell] >= RULE.k for cell in made.shown)
    assert all(told >= RULE.threshold > RULE.k for told in made.shown.values())
    assert len(made.shown) + made.suppressed == len(DOMAIN)
    assert fewest(counts, made, RULE) >= RULE.k


def test_cells_that_nobody_was_in_count_as_suppressed() -> None:
    assert _published({}).suppressed == _published({HERE: 1}).suppressed == len(DOMAIN)


def test_a_count_outside_the_domain_is_refused() -> None:
    with pytest.raises(AnonymityError, match="domain"):
        release({Cell(53394611, 7): 80}, DOMAIN, RULE)


@pytest.mark.parametrize(
    "rule",
    [{"k": 9}, {"epsilon": 1.5}, {"epsilon": 0.0}, {"delta": 0.01}, {"delta": 0.0}, {"cells_a_day": 0}],
)
def test_a_rule_that_protects_nobody_is_refused(rule: dict[str, float]) -> None:
    with pytest.raises(AnonymityError):
        Disclosure(**rule)  # type: ignore[arg-type]


def test_opendp_draws_the_noise_that_the_threshold_reckons_with() -> None:
    drawn = Counter(laplace([0] * 40_000, RULE))
    a = math.exp(-1 / RULE.scale)
    for noise in range(-4, 5):
        expected = (1 - a) / (1 + a) * a ** abs(noise)
        assert drawn[noise] / 40_000 == pytest.approx(expected, abs=4 * math.sqrt(expected / 40_000))


def test_a_crowd_is_shown_with_the_noise_of_opendp() -> None:
    made = release({HERE: 500}, DOMAIN, RULE)
    assert set(made.shown) == {HERE}
    assert abs(made.shown[HERE] - 500) < 100


def test_a_mesh_is_about_a_kilometre() -> None:
    south, west, north, east = corners(52341607)
    assert south <= 34.7569 < north
    assert west <= 134.8413 < east
    assert 0.9 < (north - south) * 111.2 < 1.0
