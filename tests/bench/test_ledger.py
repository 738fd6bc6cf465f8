import numpy as np

from bench.crowd import FOREIGN, ROWS, Timetable, Town
from bench.ledger import _at, _sums, expected

TOWN = Town(n_tags=96, n_detectors=6)


def test_what_is_expected_is_what_was_receipted() -> None:
    plan = Timetable(TOWN).draw(9, rows_per_s=1e5, speed=20)
    is_settled = np.arange(len(plan)) != 4
    table = expected(TOWN, plan, is_settled)
    assert table[:, 1].sum() == 8 * (ROWS - FOREIGN)
    assert set((table[:, 0] & 0xFFFFFFFF).tolist()) == set(plan.detectors[is_settled].tolist())
    assert np.all(np.diff(table[:, 0]) > 0)


def test_nothing_is_expected_of_nothing() -> None:
    plan = Timetable(TOWN).draw(3, rows_per_s=1e5, speed=20)
    assert len(expected(TOWN, plan, np.zeros(3, np.bool_))) == 0


def test_sums_are_by_key() -> None:
    assert _sums(np.array([5, 3, 5]), np.array([1, 2, 3])).tolist() == [[3, 2], [5, 4]]


def test_a_key_that_is_missing_counts_nothing() -> None:
    table = np.array([[3, 2], [5, 4]])
    assert _at(np.array([2, 3, 4, 5, 9]), table).tolist() == [0, 2, 0, 4, 0]
    assert _at(np.array([2]), np.empty((0, 2), np.int64)).tolist() == [0]
