import numpy as np
import pytest

from bench.world import BATCH_ROWS, BUCKET_MS, REPEATS, Sightings, Size, Stream, World, hear, make, sample

SIZE = Size(n_tags=3_000, n_active=1_000, n_detectors=300)


@pytest.fixture(scope="module")
def world() -> World:
    return make(SIZE)


@pytest.fixture(scope="module")
def heard(world: World) -> Sightings:
    return hear(world, 1)


def test_the_same_town_is_heard_the_same_way(world: World, heard: Sightings) -> None:
    again = hear(make(SIZE), 1)
    assert np.array_equal(again.ids, heard.ids)
    assert np.array_equal(again.heard_at_ms, heard.heard_at_ms)
    assert not np.array_equal(hear(world, 2).ids, heard.ids)


def test_nine_sightings_in_ten_are_repeats(heard: Sightings) -> None:
    ours = heard.tags >= 0
    pairs = np.unique(heard.tags[ours].astype(np.int64) << 32 | heard.detectors[ours])
    assert len(pairs) == len(heard) / REPEATS


def test_one_sighting_in_twenty_is_of_a_foreign_tag(world: World, heard: Sightings) -> None:
    is_foreign = heard.tags < 0
    assert 0.045 < is_foreign.mean() < 0.055
    assert not np.isin(heard.ids[is_foreign], world.ids).any()


def test_every_other_id_is_one_of_its_tags_three(world: World, heard: Sightings) -> None:
    ours = heard.tags >= 0
    assert np.all(np.any(world.ids[:, heard.tags[ours]] == heard.ids[ours], axis=0))


def test_a_bucket_holds_its_own_time_only(heard: Sightings) -> None:
    assert len(np.unique(heard.heard_at_ms // BUCKET_MS)) == 1


def test_a_batch_is_of_one_detector_and_numbered_on(heard: Sightings) -> None:
    rows = np.diff(heard.batch_starts)
    assert rows.sum() == len(heard)
    assert rows.max() <= BATCH_ROWS
    assert np.array_equal(np.repeat(heard.batch_detectors, rows), heard.detectors)
    keys = heard.batch_detectors.astype(np.int64) << 32 | heard.batch_sequences
    assert len(np.unique(keys)) == len(keys)


def test_a_sample_has_as_many_repeats_a_pair(heard: Sightings) -> None:
    part = sample(heard, 10)
    ours = part.tags >= 0
    pairs = np.unique(part.tags[ours].astype(np.int64) << 32 | part.detectors[ours])
    assert len(part) == pytest.approx(len(heard) / 10, rel=0.05)
    assert len(pairs) == pytest.approx(len(part) / REPEATS, rel=0.05)
    assert part.batch_starts[-1] == len(part)


def test_a_stream_goes_on_in_time(world: World) -> None:
    stream = Stream(world, distinct=3)
    buckets = [int(next(stream).heard_at_ms[0]) // BUCKET_MS for _ in range(8)]
    assert np.all(np.diff(buckets) == 1)
