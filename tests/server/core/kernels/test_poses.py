import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from server.core.kernels import poses, suppress
from server.core.kernels.columns import Columns

NEWEST = 1000
STANDS, DRIVES, UNKNOWN = 0, 1, 2
places_deg = st.sampled_from([(34.75, 134.85, 5.0), (34.75, 134.86, 5.0), (34.75, 134.85, -1.0), (91.0, 0.0, 1.0)])
no_place = st.just((float("nan"), float("nan"), float("nan")))
rows = st.lists(st.tuples(st.integers(-1, 4), places_deg | no_place), max_size=40)


@settings(deadline=None, max_examples=60)
@given(rows)
def test_each_row_of_a_moving_detector_refers_to_its_place_of_that_moment(
    steps: list[tuple[int, tuple[float, float, float]]],
) -> None:
    ring = poses.create(100, 2)
    n = len(steps)
    numbers = np.empty(n, np.int32)
    if n:
        numbers, lost = _run(ring, steps)
        assert lost == 0
    for (detector, (lat_deg, lon_deg, accuracy_m)), number in zip(steps, numbers, strict=True):
        if detector not in (DRIVES, 3) or not abs(lat_deg) <= 90:
            assert number == 0
            continue
        expected = [round(lat_deg * 1e7), round(lon_deg * 1e7), 10_000 if accuracy_m < 0 else round(accuracy_m * 100)]
        assert ring.ring[4 * number :][:3].tolist() == expected


def _run(
    ring: poses.Poses, steps: list[tuple[int, tuple[float, float, float]]], newest: int = NEWEST
) -> tuple[np.ndarray, int]:
    n = len(steps)
    openings = suppress.create(1, 1, bucket_ms=10_000)
    openings.newest[:] = newest, newest - 1
    stations = np.array([[1, 1, 1, 9], [0, 0, 0, -9], [0, 0, 0, 0], [0, 0, 0, -9]], np.int32).reshape(-1)
    place = np.array([place for _, place in steps])
    columns = Columns.of(
        np.zeros(n, np.int32),
        np.array([detector for detector, _ in steps], np.int32),
        np.zeros(n, np.int8),
        np.zeros(n, np.int64),
        lat_deg=place[:, 0],
        lon_deg=place[:, 1],
        accuracy_m=place[:, 2].astype(np.float32),
    )
    numbers = np.empty(n, np.int32)
    lost = poses.note(ring, openings, stations, columns, numbers)
    return numbers, lost


def test_a_ring_that_is_full_of_open_buckets_counts_and_one_that_is_not_goes_round() -> None:
    ring = poses.create(2, 2)
    drive = [(DRIVES, (34.0 + i, 134.0, 5.0)) for i in range(3)]
    numbers, lost = _run(ring, drive)
    assert (numbers.tolist(), lost) == ([1, 2, 0], 1)
    ring.marks[:2] = 2  # both buckets were opened after
    numbers, lost = _run(ring, drive[:1])
    assert (numbers.tolist(), lost) == ([1], 0)


def test_the_same_place_again_takes_no_second_row() -> None:
    ring = poses.create(9, 2)
    numbers, _ = _run(ring, [(DRIVES, (34.0, 134.0, 5.0))] * 5 + [(3, (34.0, 134.0, 5.0))])
    assert numbers.tolist() == [1] * 5 + [2]
