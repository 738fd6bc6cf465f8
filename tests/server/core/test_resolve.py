import dataclasses

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from server.core.eidtable import EidTable
from server.core.flags import Flag
from server.core.resolve import Resolver
from server.core.rows import KIND_EID, KIND_IBEACON, KIND_PLAIN_EID, KIND_UID, Heard
from server.core.tagclock import TagClock
from server.core.tags import Tag, Tags
from wire import eid, status

T0_MS = 1_795_402_800_000
KEYS = [bytes([n]) * 16 for n in range(1, 9)]
OFFSETS_MS = [1_700_000_000_000 + n * 7_777_777 for n in range(8)]
TAGS = Tags.of(
    [
        *(Tag(n, f"w-{n}", key, 10 if n % 2 else 12) for n, key in enumerate(KEYS)),
        Tag(90, "w-old", static_id=77, static_kind=KIND_IBEACON),
    ]
)
CLOCKS = [*(TagClock(float(offset)) for offset in OFFSETS_MS), TagClock(0.0)]


def _id(tag: int, at_ms: int) -> bytes:
    return eid.derive(KEYS[tag], TAGS[tag].rotation_exponent, (at_ms - OFFSETS_MS[tag]) // 1000)


def _sealed(tag: int, at_ms: int, name: bytes) -> bytes:
    step = status.step_of((at_ms - OFFSETS_MS[tag]) // 1000)
    return status.seal(status.StatusKeys.of(KEYS[tag]), name, status.TagStatus(step, moving=True))


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


def _slow(name: bytes, at_ms: int) -> int:
    """The obvious way: derive what each tag can show now, and compare."""
    for tag in range(len(KEYS)):
        for quantum in (-1, 0, 1):
            if _id(tag, at_ms + quantum * (1000 << TAGS[tag].rotation_exponent)) == name:
                return tag
    return -1


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(-3, 3), st.integers(0, 3 * 86_400_000)), max_size=20))
def test_the_table_finds_what_the_obvious_search_finds(rows: list[tuple[int, int, int]]) -> None:
    table = EidTable(TAGS)
    names = [_id(tag, T0_MS - ago + shift * 1_024_000) for tag, shift, ago in rows]
    times = np.array([T0_MS - ago for _, _, ago in rows], np.int64)
    ids = np.array([int.from_bytes(name, "little") for name in names], np.uint64)
    tags, quanta = table.find(ids, times, CLOCKS)
    for name, at_ms, tag, quantum in zip(names, times.tolist(), tags.tolist(), quanta.tolist(), strict=True):
        slow = _slow(name, at_ms)
        assert slow in (tag, -1)  # the table may look a little further
        if tag >= 0:
            exponent = TAGS[tag].rotation_exponent
            assert eid.derive(KEYS[tag], exponent, quantum << exponent) == name


def test_a_small_cache_gives_the_same_answers() -> None:
    times = np.array([T0_MS - n * 5_000_000 for n in range(30)], np.int64)
    ids = np.array([int.from_bytes(_id(3, int(at_ms)), "little") for at_ms in times], np.uint64)
    assert EidTable(TAGS, max_entries=10).find(ids, times, CLOCKS)[0].tolist() == [3] * 30


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(8)))
def test_rows_in_any_order_are_resolved_alike(order: list[int]) -> None:
    rows = [(KIND_EID, _id(n, T0_MS), _sealed(n, T0_MS, _id(n, T0_MS)), T0_MS) for n in order]
    resolved = Resolver(TAGS, CLOCKS).resolve(_heard(rows))
    assert resolved.tags.tolist() == list(order)
    assert set(resolved.flags.tolist()) == {Flag.SEALED | Flag.MOVING}
    assert set(resolved.clocks) == set(order)


def test_strangers_are_nobodys() -> None:
    rows = [(kind, b"\xaa" * 8, bytes(6), T0_MS) for kind in (KIND_EID, KIND_PLAIN_EID, KIND_UID, KIND_IBEACON)]
    assert Resolver(TAGS, CLOCKS).resolve(_heard(rows)).tags.tolist() == [-1] * 4


def test_a_static_id_is_known_by_its_kind_only() -> None:
    old = (77).to_bytes(8, "little")
    resolved = Resolver(TAGS, CLOCKS).resolve(
        _heard([(KIND_IBEACON, old, bytes(6), T0_MS), (KIND_UID, old, bytes(6), T0_MS)])
    )
    assert resolved.tags.tolist() == [8, -1]
    assert resolved.flags.tolist() == [Flag.STATIC_ID, 0]


@given(st.binary(min_size=6, max_size=6))
def test_noise_beside_an_id_is_forged(sealed: bytes) -> None:
    resolved = Resolver(TAGS, CLOCKS).resolve(_heard([(KIND_EID, _id(1, T0_MS), sealed, T0_MS)]))
    assert resolved.flags.tolist() == [Flag.FORGED]
    assert not resolved.clocks


def test_a_corrected_detector_teaches_no_clock() -> None:
    name = _id(1, T0_MS)
    heard = _heard([(KIND_EID, name, _sealed(1, T0_MS, name), T0_MS)])
    heard = dataclasses.replace(heard, clock_error_ms=np.array([120_000]))
    resolved = Resolver(TAGS, CLOCKS).resolve(heard)
    assert resolved.flags.tolist() == [Flag.SEALED | Flag.MOVING]
    assert not resolved.clocks
