import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from server.core.kernels import eidtable

TAGS = 12
SETTINGS = settings(deadline=None, max_examples=60)
# Few lines and few fingerprints, so that lines overflow and fingerprints meet.
crowded_ids = st.builds(
    lambda high, low: (high << 28) | low, st.integers(1, 2**35 - 1), st.sampled_from([0, 1, 2**27, 2**28 - 1])
)
all_ids = crowded_ids | st.integers(-(2**63), 2**63 - 1).filter(lambda eid: eid != 0)


def _array(eids: list[int]) -> NDArray[np.int64]:
    return np.array(eids, np.int64)


def _resolve(table: eidtable.EidTable, eids: list[int]) -> list[int]:
    return [tag for tag, _ in _resolve_turns(table, eids)]


def _resolve_turns(table: eidtable.EidTable, eids: list[int]) -> list[tuple[int, int]]:
    tags, turns = np.empty(len(eids), np.int32), np.empty(len(eids), np.int32)
    found = eidtable.resolve(table, _array(eids), tags, turns)
    assert found == np.count_nonzero(tags >= 0)
    return list(zip(tags.tolist(), turns.tolist(), strict=True))


def _prints(eid: int) -> int:
    return eid >> 28


@SETTINGS
@given(st.lists(st.tuples(st.integers(0, TAGS - 1), all_ids), max_size=60, unique_by=lambda step: _prints(step[1])))
def test_rotating_tags_own_exactly_their_last_three_ids(steps: list[tuple[int, int]]) -> None:
    table = eidtable.create(TAGS)
    owned: dict[int, list[int]] = {tag: [0, 0, 0] for tag in range(TAGS)}
    for tag, eid in steps:
        assert eidtable.rotate(table, np.array([tag], np.int32), _array([eid])) == 0
        owned[tag] = [*owned[tag][1:], eid]
    expected = {eid: tag for tag, eids in owned.items() for eid in eids if eid}
    asked = [eid for _, eid in steps]
    turns = {eid: turn for eids in owned.values() for turn, eid in zip((-1, 0, 1), eids, strict=True) if eid}
    assert _resolve_turns(table, asked) == [(expected.get(eid, -1), turns.get(eid, 0)) for eid in asked]
    assert np.count_nonzero(table.lines) == len(expected)


@SETTINGS
@given(
    st.lists(st.tuples(all_ids, all_ids, all_ids), min_size=1, max_size=TAGS).filter(
        lambda rows: len({_prints(eid) for row in rows for eid in row}) == 3 * len(rows)
    ),
    st.data(),
)
def test_removed_ids_are_gone_and_all_others_stay(rows: list[tuple[int, int, int]], data: st.DataObject) -> None:
    table = eidtable.create(TAGS)
    tags = np.arange(len(rows), dtype=np.int32)
    assert eidtable.load(table, tags, np.array(rows, np.int64)) == 0
    owner = {eid: tag for tag, row in enumerate(rows) for eid in row}
    gone = data.draw(st.lists(st.sampled_from(sorted(owner)), unique=True))
    owners = np.array([owner[eid] for eid in gone], np.int32)
    assert eidtable.remove(table, _array(gone), owners) == len(gone)
    assert _resolve(table, list(owner)) == [-1 if eid in gone else tag for eid, tag in owner.items()]
    assert eidtable.remove(table, _array(gone), owners) == 0


@given(st.integers(-(2**63), 2**63 - 1).filter(lambda eid: eid >> 28 not in (0, -1)), st.integers(1, 2**28 - 1))
@SETTINGS
def test_a_ghost_with_the_right_fingerprint_is_nobody(eid: int, other_bits: int) -> None:
    table = eidtable.create(TAGS)
    eidtable.load(table, np.array([3], np.int32), np.array([[0, eid, 0]], np.int64))
    assert _resolve(table, [eid, eid ^ other_bits]) == [3, -1]


@pytest.mark.parametrize("eid", [0, 1, (1 << 28) - 1, 1 << 28, -1, -(1 << 28), 1 << 63])
def test_ids_that_look_like_marks_of_the_table_do_no_harm(eid: int) -> None:
    table = eidtable.create(TAGS)
    eid = int(np.array([eid % 2**64], np.uint64).view(np.int64)[0])
    eidtable.load(table, np.array([3], np.int32), np.array([[0, 7 << 40, 0]], np.int64))
    assert _resolve(table, [eid]) == [-1]


def test_of_two_ids_that_cannot_be_told_apart_the_second_is_left_out_and_counted() -> None:
    table = eidtable.create(TAGS)
    first, second = 5 << 28 | 1, 5 << 28 | 2
    assert eidtable.insert(table, _array([first]), np.array([0], np.int32)) == 0
    assert eidtable.insert(table, _array([first]), np.array([0], np.int32)) == 0
    assert eidtable.insert(table, _array([second]), np.array([1], np.int32)) == 1


def test_years_of_rotations_leave_no_trace() -> None:
    rng = np.random.default_rng(7)
    table = eidtable.create(1000)
    tags = np.arange(1000, dtype=np.int32)
    for _ in range(100):
        ids = rng.integers(-(2**63), 2**63 - 1, 1000)
        assert eidtable.rotate(table, rng.permutation(tags), ids) == 0
    fresh = eidtable.create(1000)
    assert eidtable.rebuild(fresh, table.ids.copy()) == 0
    assert np.count_nonzero(table.lines) == np.count_nonzero(fresh.lines) == 3000
    asked = [int(eid) for eid in table.ids.reshape(-1, eidtable.STRIDE)[:, : eidtable.GENERATIONS].ravel()]
    assert _resolve(table, asked) == _resolve(fresh, asked) == [i // 3 for i in range(3000)]


def test_more_tags_than_a_word_can_name_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        eidtable.create(2**28)
