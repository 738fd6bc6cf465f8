import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.core.flags import Flag
from server.core.kept import TagClocks
from server.core.kernels.aes import Aes, Portable, load
from server.core.kernels.engine import Capacity, Engine
from server.core.resolve import Resolved, Resolver
from server.core.rows import KIND_EID, KIND_IBEACON, KIND_PLAIN_EID, KIND_UID, Heard
from server.core.slots import Slots
from server.core.tagclock import FIRST_CONTACT_MS, TagClock
from server.core.tags import Tag, Tags
from wire import eid, status

T0_MS = 1_795_402_800_000
KEYS = [bytes([n]) * 16 for n in range(1, 9)]
EXPONENTS = [10, 12, 4, 10]
OFFSETS_MS = [1_700_000_000_000 + n * 7_777_777 for n in range(8)]
TAGS = Tags.of(
    [
        *(Tag(n, f"w-{n}", key, EXPONENTS[n % 4]) for n, key in enumerate(KEYS)),
        Tag(90, "w-old", static_id=77, static_kind=KIND_IBEACON),
    ]
)
CLOCKS = [*(TagClock(float(offset)) for offset in OFFSETS_MS), TagClock(0.0)]


def _id(tag: int, at_ms: int) -> bytes:
    return eid.derive(KEYS[tag], EXPONENTS[tag % 4], (at_ms - OFFSETS_MS[tag]) // 1000)


def _sealed(tag: int, at_ms: int, name: bytes, *, is_lost: bool = False) -> bytes:
    step = status.step_of((at_ms - OFFSETS_MS[tag]) // 1000)
    told = status.TagStatus(step, moving=True, clock_lost=is_lost)
    return status.seal(status.StatusKeys.of(KEYS[tag]), name, told)


@contextlib.contextmanager
def _resolver(clocks: Sequence[TagClock] = CLOCKS, aes: Callable[[], Aes] = load) -> Iterator[Resolver]:
    made = Resolver(TAGS, TagClocks.of(clocks).clocks(TAGS.exponents), Engine(Capacity(len(TAGS), 1)), aes)
    try:
        yield made
    finally:
        made.close()


def _resolve(rows: list[tuple[int, bytes, bytes, int]], now_ms: int = T0_MS) -> Resolved:
    with _resolver() as resolver:
        return resolver.resolve(_heard(rows), now_ms)


def _heard(rows: list[tuple[int, bytes, bytes, int]]) -> Heard:
    """Columns of (kind, id, sealed, last_ms) rows."""
    n = len(rows)
    ids = np.array([int.from_bytes(row[1], "little") for row in rows], np.uint64)
    sealed = np.frombuffer(b"".join(row[2] for row in rows), np.uint8).reshape(n, 6)
    times = np.array([row[3] for row in rows], np.int64)
    ints, nan = np.ones(n, np.int32), np.full(n, np.nan)
    rssi = np.full(n, -70, np.int16)
    kinds = np.array([row[0] for row in rows], np.uint8)
    return Heard(ints, ints, kinds, ids, sealed, rssi, rssi, ints, times, times, nan, nan, nan.astype(np.float32),
                 np.zeros(n, np.int64))  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.floats(-1, 1), st.integers(0, 3 * 86_400_000)), max_size=20))
def test_now_and_days_later_an_id_is_found_though_its_tags_clock_is_off(rows: list[tuple[int, float, int]]) -> None:
    errors_ms = [round(share * min(FIRST_CONTACT_MS, 1000 << EXPONENTS[tag % 4])) for tag, share, _ in rows]
    names = [_id(tag, T0_MS - ago + off) for (tag, _, ago), off in zip(rows, errors_ms, strict=True)]
    times = [T0_MS - ago for _, _, ago in rows]
    with _resolver() as resolver:
        resolver.ids.go_on(T0_MS)
        kinds = np.full(len(rows), KIND_PLAIN_EID, np.uint8)
        ids = np.array([int.from_bytes(name, "little") for name in names], np.uint64)
        tags, quanta = resolver.ids.find(kinds, ids, np.array(times, np.int64), T0_MS)
    assert tags.tolist() == [tag for tag, _, _ in rows]
    for name, tag, quantum in zip(names, tags.tolist(), quanta.tolist(), strict=True):
        assert eid.derive(KEYS[tag], EXPONENTS[tag % 4], quantum << EXPONENTS[tag % 4]) == name


def test_a_small_cache_of_slots_gives_the_same_answers() -> None:
    times = np.array([T0_MS - n * 5_000_000 for n in range(30)], np.int64)
    ids = np.array([int.from_bytes(_id(3, int(at_ms)), "little") for at_ms in times], np.uint64)
    rows, clocks = np.arange(8, dtype=np.int32), TagClocks.of(CLOCKS).clocks(TAGS.exponents)
    assert Slots(TAGS, rows, clocks, load(), max_entries=10).find(ids, times)[0].tolist() == [3] * 30


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(8)), st.sampled_from([load, Portable]))
def test_rows_in_any_order_are_resolved_alike(order: list[int], aes: Callable[[], Aes]) -> None:
    rows = [(KIND_EID, _id(n, T0_MS), _sealed(n, T0_MS, _id(n, T0_MS)), T0_MS) for n in order]
    with _resolver(aes=aes) as resolver:
        resolved = resolver.resolve(_heard(rows), T0_MS)
    assert resolved.tags.tolist() == list(order)
    assert set(resolved.flags.tolist()) == {Flag.SEALED | Flag.MOVING}
    assert resolved.learnt.tolist() == sorted(order)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 3_000_000), min_size=1, max_size=12))
def test_as_time_goes_on_every_tag_is_known_by_the_ids_it_shows_around_now(gaps_ms: list[int]) -> None:
    now_ms = T0_MS
    with _resolver() as resolver:
        for gap_ms in gaps_ms:
            now_ms += gap_ms
            for ago_ms in (0, 900_000):
                rows = [(KIND_PLAIN_EID, _id(n, now_ms - ago_ms), bytes(6), now_ms - ago_ms) for n in range(8)]
                assert resolver.resolve(_heard(rows), now_ms).tags.tolist() == list(range(8))


def test_ids_are_there_before_their_time() -> None:
    with _resolver() as resolver:
        for minute in range(60):
            now_ms = T0_MS + minute * 60_000
            resolver.ids.settle()
            rows = [(KIND_PLAIN_EID, _id(n, now_ms), bytes(6), now_ms) for n in range(8)]
            assert resolver.resolve(_heard(rows), now_ms).tags.tolist() == list(range(8))
        assert resolver.ids.derived_late == 0


def test_an_id_that_the_background_did_not_make_in_time_is_made_on_the_spot() -> None:
    with _resolver() as resolver:
        resolver.resolve(_heard([]), T0_MS)
        resolver.ids._being_made.clear()  # as if it were still at work
        later_ms = T0_MS + 1_024_000
        rows = [(KIND_PLAIN_EID, _id(n, later_ms), bytes(6), later_ms) for n in (0, 3)]
        assert resolver.resolve(_heard(rows), later_ms).tags.tolist() == [0, 3]
        assert resolver.ids.derived_late > 0


def _restarted(tag: int, at_ms: int, *, is_lost: bool = True) -> tuple[int, bytes, bytes, int]:
    """A row of a tag that went on from the time of an hour ago, whether or not it says so."""
    then_ms = at_ms - 3_600_000
    name = _id(tag, then_ms)
    return KIND_EID, name, _sealed(tag, then_ms, name, is_lost=is_lost), at_ms


@pytest.mark.parametrize("tag", [0, 2])
def test_a_marked_tag_that_lost_its_clock_is_found_again_and_known_from_then_on(tag: int) -> None:
    clocks = [dataclasses.replace(clock, is_lost=n == tag) for n, clock in enumerate(CLOCKS)]
    with _resolver(clocks) as resolver:
        resolved = resolver.resolve(_heard([_restarted(tag, T0_MS + 2_000)]), T0_MS + 2_000)
        assert (resolved.tags.tolist(), resolved.learnt.tolist()) == ([tag], [tag])
        assert resolved.flags.tolist() == [Flag.SEALED | Flag.MOVING | Flag.CLOCK_LOST]
        later_ms = T0_MS + 1_500_000
        assert resolver.resolve(_heard([_restarted(tag, later_ms)]), later_ms).tags.tolist() == [tag]


def test_the_ids_of_a_lost_tag_are_made_anew_as_time_goes_on() -> None:
    clocks = [dataclasses.replace(clock, is_lost=n == 0) for n, clock in enumerate(CLOCKS)]
    with _resolver(clocks) as resolver:
        for hour in range(0, 60, 6):
            now_ms = T0_MS + hour * 3_600_000
            resolver.resolve(_heard([]), now_ms)
            resolver.ids.settle()
        assert resolver.resolve(_heard([_restarted(0, now_ms)]), now_ms).tags.tolist() == [0]


@pytest.mark.parametrize(("is_marked", "is_lost"), [(False, True), (True, False)])
def test_a_tag_in_another_time_is_nobody_unless_marked_and_saying_so(*, is_marked: bool, is_lost: bool) -> None:
    clocks = [dataclasses.replace(clock, is_lost=is_marked and n == 0) for n, clock in enumerate(CLOCKS)]
    with _resolver(clocks) as resolver:
        resolver.resolve(_heard([]), T0_MS)
        resolver.ids.settle()
        rows = [_restarted(0, T0_MS + 2_000, is_lost=is_lost)]
        assert resolver.resolve(_heard(rows), T0_MS + 2_000).tags.tolist() == [-1]


def test_strangers_are_nobodys() -> None:
    rows = [(kind, b"\xaa" * 8, bytes(6), T0_MS) for kind in (KIND_EID, KIND_PLAIN_EID, KIND_UID, KIND_IBEACON)]
    assert _resolve(rows).tags.tolist() == [-1] * 4


def test_a_static_id_is_known_by_its_kind_only() -> None:
    old = (77).to_bytes(8, "little")
    resolved = _resolve([(KIND_IBEACON, old, bytes(6), T0_MS), (KIND_UID, old, bytes(6), T0_MS)])
    assert resolved.tags.tolist() == [8, -1]
    assert resolved.flags.tolist() == [Flag.STATIC_ID, 0]


@settings(max_examples=20, deadline=None)
@given(st.binary(min_size=6, max_size=6))
def test_noise_beside_an_id_is_forged(sealed: bytes) -> None:
    resolved = _resolve([(KIND_EID, _id(1, T0_MS), sealed, T0_MS)])
    assert resolved.flags.tolist() == [Flag.FORGED]
    assert not len(resolved.learnt)


def test_a_corrected_detector_teaches_no_clock() -> None:
    name = _id(1, T0_MS)
    heard = _heard([(KIND_EID, name, _sealed(1, T0_MS, name), T0_MS)])
    heard = dataclasses.replace(heard, clock_error_ms=np.array([120_000]))
    with _resolver() as resolver:
        resolved = resolver.resolve(heard, T0_MS)
    assert resolved.flags.tolist() == [Flag.SEALED | Flag.MOVING]
    assert not len(resolved.learnt)
