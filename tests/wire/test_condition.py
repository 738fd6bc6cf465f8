from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.condition import CAMERA_STATES, Condition
from wire.errors import MessageError
from wire.messages import Heartbeat

SPECIAL = {
    "temp_cdeg": st.integers(-(2**31) + 1, 2**31 - 1),
    "camera": st.sampled_from(CAMERA_STATES),
    "footage_chain": st.binary(min_size=32, max_size=32),
}


def _values(name: str) -> st.SearchStrategy[object]:
    if name.startswith("is_"):
        return st.booleans()
    return SPECIAL.get(name, st.integers(0, 2**53 - 1))


CONDITIONS = st.builds(Condition, **{item.name: st.none() | _values(item.name) for item in fields(Condition)})


@given(CONDITIONS)
def test_a_condition_survives_the_heartbeat(condition: Condition) -> None:
    beat = Heartbeat("gw-001", condition=condition)
    assert Heartbeat.decode(beat.encode()) == beat


def test_a_heartbeat_without_a_condition_is_the_one_of_old_detectors() -> None:
    old = Heartbeat("gw-001")
    assert 13 not in old.encode()[:2]
    assert Heartbeat.decode(old.encode()).condition is None


def test_fields_that_came_later_are_ignored() -> None:
    assert Condition.from_map({1: True, 99: "new"}) == Condition(is_clock_synced=True)


@pytest.mark.parametrize(
    "table",
    [
        None,
        [],
        {1: 1},
        {3: -1},
        {3: True},
        {5: 2**31},
        {5: "hot"},
        {10: "sleeping"},
        {10: 3},
        {15: b"short"},
        {15: "x"},
    ],
)
def test_a_condition_of_other_kinds_is_refused(table: object) -> None:
    with pytest.raises(MessageError):
        Condition.from_map(table)
