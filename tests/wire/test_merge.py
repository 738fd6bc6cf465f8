import random

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.merge import MAX_COUNT, Key, Merge, MergeError

A: Key = (0, b"aaaaaaaa")
B: Key = (0, b"bbbbbbbb")


def test_a_window_becomes_one_row_with_best_mean_and_count() -> None:
    merge = Merge(10_000)
    merge.hear(A, -80, at_ms=0)
    for at_ms, rssi_dbm in ((1_000, -70), (2_000, -60), (3_000, -75)):
        merge.hear(A, rssi_dbm, at_ms=at_ms, sealed=b"sealed")
    merge.close()
    first, row = merge.ready
    assert (first.count, first.first_heard_ms, first.rssi_best_dbm) == (1, 0, -80)
    assert (row.rssi_best_dbm, row.rssi_mean_dbm, row.count) == (-60, -68, 3)
    assert (row.first_heard_ms, row.last_heard_ms, row.best_heard_ms) == (1_000, 3_000, 2_000)
    assert row.sealed == b"sealed"


def test_the_first_sight_of_an_id_does_not_wait() -> None:
    merge = Merge(10_000)
    assert merge.hear(A, -80, at_ms=0)
    assert not merge.hear(A, -80, at_ms=1_000)
    assert len(merge.ready) == 1


def test_an_id_not_heard_for_long_is_new_again() -> None:
    merge = Merge(10_000, forget_ms=60_000)
    merge.hear(A, -80, at_ms=0)
    assert merge.hear(A, -80, at_ms=60_001)


def test_sealed_bytes_that_change_in_a_burst_do_not_wait() -> None:
    merge = Merge(10_000)
    merge.hear(A, -80, at_ms=0, sealed=b"before")
    hasty = [merge.hear(A, -80, at_ms=1_500 + 100 * n, sealed=b"urgent") for n in range(8)]
    assert hasty == [False, False, False, True, False, False, False, False]
    assert merge.ready[-1].sealed == b"urgent"


def test_changing_sealed_bytes_at_the_usual_pace_wait_for_the_window() -> None:
    merge = Merge(10_000)
    merge.hear(A, -80, at_ms=0, sealed=b"step 0")
    assert not any(merge.hear(A, -80, at_ms=1_000 * n, sealed=b"step %d" % n) for n in range(1, 9))


def test_packets_beyond_the_window_open_the_next() -> None:
    merge = Merge(10_000)
    for at_ms in (0, 1, 9_999, 10_000, 10_001):
        merge.hear(A, -80, at_ms=at_ms)
    merge.close()
    assert [(row.first_heard_ms, row.count) for row in merge.ready] == [(0, 1), (1, 2), (10_000, 2)]


def test_a_clock_set_back_by_a_day_opens_a_new_window() -> None:
    merge = Merge(10_000)
    merge.hear(A, -80, at_ms=100_000_000)
    merge.hear(A, -80, at_ms=100_000_001)
    merge.hear(A, -80, at_ms=13_600_000)
    merge.close()
    assert [row.count for row in merge.ready] == [1, 1, 1]
    assert all(row.first_heard_ms <= row.last_heard_ms for row in merge.ready)


def test_a_window_closes_by_the_clock_when_nobody_is_heard() -> None:
    merge = Merge(10_000)
    merge.hear(A, -80, at_ms=0)
    merge.hear(A, -80, at_ms=1)
    assert not merge.close_due(9_999)
    assert merge.close_due(10_000)
    assert [row.count for row in merge.ready] == [1, 1]


def test_telemetry_goes_with_the_open_row_of_its_tag() -> None:
    merge = Merge(10_000)
    assert not merge.hear_telemetry(A, b"t" * 16)
    merge.hear(A, -80, at_ms=0)
    assert not merge.hear_telemetry(A, b"t" * 16)
    merge.hear(A, -80, at_ms=1)
    assert merge.hear_telemetry(A, b"t" * 16)
    merge.close()
    assert [row.telemetry for row in merge.ready] == [None, b"t" * 16]


def test_a_flood_of_ids_is_refused_and_counted_beyond_the_limit() -> None:
    merge = Merge(10_000, max_rows=10)
    for n in range(100):
        merge.hear((0, n.to_bytes(8, "big")), -80, at_ms=n)
    assert merge.refused == 90
    assert len(merge.ready) == 10


def test_rows_that_nobody_takes_stay_open_and_lose_no_packet() -> None:
    merge = Merge(10_000, max_rows=3)
    for n in range(100):
        merge.hear(A, -80, at_ms=n * 10_000)
    assert len(merge.ready) == 3
    merge.settle(3)
    merge.close()
    assert sum(row.count for row in merge.ready) == 97


def test_rows_left_open_for_want_of_room_are_closed_when_there_is_some() -> None:
    merge = Merge(window_ms=1_000, max_rows=2)
    for n in range(2):
        merge.hear((0, bytes((n,)) * 8), -70, at_ms=0)
        merge.hear((0, bytes((n,)) * 8), -70, at_ms=1)
    assert merge.close_due(2_000)
    merge.settle(2)
    assert merge.close_due(2_000)
    assert [row.count for row in merge.ready] == [1, 1]
    assert not merge.close_due(9_000)


def test_a_full_counter_closes_the_row() -> None:
    merge = Merge(10_000)
    for _ in range(MAX_COUNT + 5):
        merge.hear(A, -80, at_ms=0)
    merge.close()
    assert [row.count for row in merge.ready] == [1, 3, MAX_COUNT, 1]


def test_a_count_stops_where_its_column_ends_when_no_row_can_be_closed() -> None:
    merge = Merge(window_ms=10_000, max_rows=1)
    for _ in range(MAX_COUNT + 9):
        merge.hear((0, bytes(8)), -70, at_ms=0)
    merge.settle(1)
    merge.close()
    assert [row.count for row in merge.ready] == [MAX_COUNT]


@given(
    st.lists(st.tuples(st.sampled_from([A, B]), st.integers(-100, -20), st.integers(0, 40_000)), max_size=80),
    st.integers(0, 80),
    st.integers(0, 3),
)
def test_no_packet_is_lost_or_doubled_by_a_restart_from_the_state(
    packets: list[tuple[Key, int, int]], restart_at: int, taken: int
) -> None:
    merge = Merge(10_000)
    total = 0
    for n, (key, rssi_dbm, at_ms) in enumerate(packets):
        if n == restart_at:
            put = min(taken, len(merge.ready))
            total += sum(row.count for row in merge.ready[:put])
            state = merge.dump(skip=put)
            merge = Merge(10_000)
            merge.load(state)
        merge.hear(key, rssi_dbm, at_ms=at_ms)
    merge.close()
    assert total + sum(row.count for row in merge.ready) == len(packets)


def test_an_empty_state_is_no_bytes() -> None:
    merge = Merge(10_000)
    assert merge.dump() == b""
    merge.load(b"")
    assert merge.ready == []


@pytest.mark.parametrize("state", [b"\xff", b"\x80", bytes.fromhex("83020000"), bytes.fromhex("8302 80 80"), b"\x01"])
def test_a_state_of_another_kind_is_refused(state: bytes) -> None:
    with pytest.raises(MergeError):
        Merge(10_000).load(state)


KEPT = [0, bytes(8), bytes(6), None, -50, -60, 3, 1_000, 2_000, 1_500]


@pytest.mark.parametrize(
    ("index", "value"),
    [(0, "0"), (1, bytes(7)), (1, "12345678"), (2, bytes(5)), (3, bytes(15)), (4, None), (6, 1.5), (9, b"")],
)
def test_a_kept_row_with_one_field_of_another_kind_is_refused(index: int, value: object) -> None:
    damaged = [*KEPT[:index], value, *KEPT[index + 1 :]]
    with pytest.raises(MergeError, match="unreadable"):
        Merge(window_ms=10_000).load(cbor2.dumps([1, [damaged], []]))


def test_an_open_row_that_counted_nothing_is_refused() -> None:
    with pytest.raises(MergeError, match="unreadable"):
        Merge(window_ms=10_000).load(cbor2.dumps([1, [], [[0, bytes(8), None, None, -50, 0, 0, 1, 1, 1]]]))


def test_a_full_table_forgets_the_ids_that_fell_silent() -> None:
    merge = Merge(window_ms=1_000, forget_ms=5_000, max_rows=2)
    for number, at_ms in ((1, 10_000), (2, 10_001), (3, 10_002), (4, 20_000)):
        merge.hear((0, bytes((number,)) * 8), -50, at_ms=at_ms)
        merge.close()
        merge.settle(9)
    assert merge.refused == 1


def test_the_oldest_packet_not_settled_is_known() -> None:
    merge = Merge(10_000)
    assert merge.oldest_ms() is None
    merge.hear((0, bytes(8)), -60, at_ms=5_000)  # the first sight is closed at once
    merge.hear((0, bytes(8)), -60, at_ms=6_000)
    assert merge.oldest_ms() == 5_000
    merge.settle(1)
    assert merge.oldest_ms() == 6_000
    merge.close()
    merge.settle(1)
    assert merge.oldest_ms() is None


def test_a_burst_is_told_in_haste_once_and_what_it_says_anew_once_a_second() -> None:
    merge = Merge(10_000)
    for n in range(60):
        merge.hear(A, -80, at_ms=10 * n, sealed=b"%6d" % n)
    assert [row.is_hasty for row in merge.ready] == [False, True]
    for n in range(100, 250):
        merge.hear(A, -80, at_ms=10 * n, sealed=b"%6d" % n)
    assert sum(row.is_hasty for row in merge.ready) == 3


def test_a_tag_that_comes_again_is_let_in_under_a_flood_and_then_stays() -> None:
    merge, tag, draw = Merge(10_000, max_rows=100), (0, b"the tag!"), random.Random(5)
    heard = told = 0
    for ms in range(120_000):
        merge.hear((0, draw.randbytes(8)), -40, at_ms=ms)
        if ms > 30_000 and ms % 1_000 == 0:
            refused = merge.refused
            merge.hear(tag, -90, at_ms=ms)
            heard += merge.refused == refused
        merge.close_due(ms)
        told += sum(row.count for row in merge.ready if row.id == tag[1])
        merge.settle(len(merge.ready))
    assert heard >= 87
    assert heard - 10 <= told <= heard
    assert merge.replaced == 1
    assert len(merge._tags) == 100


def test_one_that_is_new_never_drives_out_one_that_is_known() -> None:
    merge = Merge(1_000, max_rows=50)
    known = [(0, b"known%3d" % n) for n in range(10)]
    stranger = 0
    for ms in range(0, 60_000, 100):
        for key in known:
            merge.hear(key, -80, at_ms=ms)
        for _ in range(20):
            stranger += 1
            for _ in range(2):
                merge.hear((0, stranger.to_bytes(8, "big")), -40, at_ms=ms)
        merge.settle(len(merge.ready))
    assert merge.replaced > 5_000
    assert all(key in merge._tags for key in known)
