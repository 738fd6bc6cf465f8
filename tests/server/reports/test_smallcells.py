"""What may be published of small counts, tried on all small tables."""

import itertools
from collections import defaultdict
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.reports.smallcells import Merged, Tally, merge

Table = tuple[tuple[int, ...], ...]
View = tuple[object, ...]


def _view(table: Table, limit: int) -> View:
    """Return all that a reader sees of a table; rows are the same closed list in every table."""
    merged = merge([Tally((str(name),), counts) for name, counts in enumerate(table)], limit)
    rest = merged.rest and tuple(
        None if hide else count for count, hide in zip(merged.rest.counts, merged.hidden, strict=True)
    )
    return (*((one.name, one.counts) for one in merged.shown), rest)


def _all(rows: int, width: int, most: int) -> Iterator[Table]:
    for flat in itertools.product(range(most + 1), repeat=rows * width):
        yield tuple(flat[start : start + width] for start in range(0, rows * width, width))


def _told(rows: int, width: int, most: int, limit: int) -> list[tuple[View, int, int]]:
    """Return the small counts that follow from what is shown, for a reader who knows the method and the rows.

    Views whose sum is above `most` are left out: tables with larger counts, which are not tried, give them as well.
    """
    tables: dict[View, list[Table]] = defaultdict(list)
    for table in _all(rows, width, most):
        tables[_view(table, limit)].append(table)
    found = []
    for view, same in tables.items():
        rest = view[-1]
        if isinstance(rest, tuple) and any(count is not None and count > most for count in rest):
            continue
        for row, column in itertools.product(range(rows), range(width)):
            values = {table[row][column] for table in same}
            if len(values) == 1 and 0 < min(values) < limit:
                found.append((view, row, column))
    return found


@pytest.mark.parametrize(
    ("rows", "width", "most", "limit"),
    [(1, 1, 9, 3), (2, 1, 9, 3), (3, 1, 9, 3), (4, 1, 7, 3), (3, 1, 9, 4), (1, 2, 9, 3), (2, 2, 5, 3), (3, 2, 3, 3)],
)
def test_no_small_count_follows_from_what_is_shown(rows: int, width: int, most: int, limit: int) -> None:
    assert _told(rows, width, most, limit) == []


def test_the_trial_finds_a_method_that_only_hides_the_small_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def naive(tallies: list[Tally], limit: int) -> Merged:
        shown = tuple(one for one in tallies if not 0 < one.counts[0] < limit and one.counts[0])
        rest = sum(one.counts[0] for one in tallies if 0 < one.counts[0] < limit)
        return Merged(shown, Tally(("",), (rest,)) if rest else None, (False,))

    monkeypatch.setitem(globals(), "merge", naive)
    assert _told(3, 1, 7, 3)


_tables = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12), st.integers(0, 500)), min_size=1, max_size=12).map(
    lambda rows: [Tally((f"{name:02}",), row[:2], row[2:]) for name, row in enumerate(rows)]
)


@given(_tables, st.integers(2, 6))
def test_no_small_count_is_shown_and_sums_stay(tallies: list[Tally], limit: int) -> None:
    merged = merge(tallies, limit)
    for one in merged.shown:
        assert not any(0 < count < limit for count in one.counts)
        assert one in tallies
    rows = [*merged.shown, *([merged.rest] if merged.rest else [])]
    for place in (0, 1):
        assert sum(row.counts[place] for row in rows) == sum(one.counts[place] for one in tallies)
    if merged.rest is not None:
        for count, hide in zip(merged.rest.counts, merged.hidden, strict=True):
            assert hide == (0 < count < limit)


@given(_tables, st.integers(2, 6), st.randoms())
def test_the_order_in_which_rows_come_changes_nothing(tallies: list[Tally], limit: int, random: object) -> None:
    shuffled = list(tallies)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert merge(shuffled, limit) == merge(tallies, limit)
