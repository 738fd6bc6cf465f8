import numpy as np
import pytest

from bench import crowd
from bench.crowd import BUCKET_MS, CROWD, HEARERS, ROWS, Plan, Timetable, Town
from server.registry.schema import parse

TOWN = Town(n_tags=480, n_detectors=40)


def draw(batches: int = 300, rows_per_s: float = 200_000) -> Plan:
    return Timetable(TOWN).draw(batches, rows_per_s=rows_per_s, speed=crowd.speed_for(TOWN, rows_per_s))


def test_a_town_without_a_crowd_is_none() -> None:
    with pytest.raises(ValueError, match="needs a crowd"):
        Town(CROWD - 1, HEARERS)


def test_the_same_town_has_the_same_keys() -> None:
    again = Town(480, 40)
    assert np.array_equal(again.identity_keys, TOWN.identity_keys)
    assert again.detector_key(7).public_key() == TOWN.detector_key(7).public_key()
    assert again.detector_key(7).public_key() != TOWN.detector_key(8).public_key()


def test_a_registry_in_parts_names_every_tag_and_detector_once() -> None:
    parts = [parse(part) for part in crowd.registries(TOWN, tags_each=100)]
    assert [len(part.tags) for part in parts] == [0, 100, 100, 100, 100, 80]
    assert len({tag.id for part in parts for tag in part.tags}) == TOWN.n_tags
    assert len({detector.public_key for part in parts for detector in part.detectors}) == TOWN.n_detectors


def test_neighbours_by_number_are_neighbours_in_the_street() -> None:
    north_m, east_m = (np.diff(TOWN.places, axis=0) * 111_195).T
    assert np.hypot(north_m, east_m * np.cos(np.radians(34.75))) == pytest.approx(40, rel=0.01)


def test_sequences_of_a_detector_follow_each_other_through_all_plans() -> None:
    timetable = Timetable(TOWN)
    plans = [timetable.draw(90, rows_per_s=1e5, speed=5), timetable.draw(60, rows_per_s=1e5, speed=5)]
    both = plans[0] + plans[1]
    for detector in np.unique(both.detectors):
        sequences = both.sequences[both.detectors == detector]
        assert sequences.tolist() == list(range(1, len(sequences) + 1))


def test_nothing_may_be_asked_for() -> None:
    timetable = Timetable(TOWN)
    assert len(timetable.draw(0, rows_per_s=1e5, speed=5)) == 0
    assert timetable.now_ms >= crowd.START_MS


def test_three_detectors_hear_a_visit() -> None:
    plan = draw()
    assert np.array_equal(np.unique(plan.visits, return_counts=True)[1], np.full(100, HEARERS))
    assert plan.detectors.max() < TOWN.n_detectors
    pairs = set(zip(plan.visits.tolist(), plan.detectors.tolist(), strict=True))
    assert len(pairs) == len(plan)


@pytest.mark.parametrize("rows_per_s", [5_000, 40_000, 1_000_000])
def test_a_crowd_comes_by_once_a_bucket(rows_per_s: float) -> None:
    plan = draw(rows_per_s=rows_per_s)
    firsts = plan.take(slice(None, None, HEARERS))
    seen = set(zip((firsts.visits % TOWN.n_crowds).tolist(), (firsts.due_ms // BUCKET_MS).tolist(), strict=True))
    assert len(seen) == len(firsts)


def test_batches_are_due_at_the_pace_that_was_asked_for() -> None:
    speed = crowd.speed_for(TOWN, 200_000)
    plan = draw(rows_per_s=200_000)
    took_s = (plan.due_ms[-1] - plan.due_ms[0]) / 1000 / speed
    assert (len(plan) - 1) * ROWS / took_s == pytest.approx(200_000, rel=0.01)


def test_a_slow_load_needs_no_fast_clock() -> None:
    assert crowd.speed_for(TOWN, 10) == 1.0


def test_a_batch_holds_each_tag_ten_times_but_for_five() -> None:
    assert sorted(crowd.rows_of_tags().tolist()) == [9] * 5 + [10] * 43
