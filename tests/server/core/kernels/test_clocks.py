from typing import NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from server.core.flags import Flag
from server.core.kept import TagClocks
from server.core.kernels import clocks
from server.core.rows import KIND_EID, KIND_IBEACON, KIND_PLAIN_EID
from server.core.tagclock import TagClock, found, judge, learn, step_beacon_ms

T0_MS, OFFSET_MS, TAGS = 1_795_402_800_000, 1_700_000_000_000, 3
SETTINGS = settings(deadline=None, max_examples=150)


class Row(NamedTuple):
    tag: int
    kind: int
    after_ms: int
    wrong_ms: int  # how far the tag's clock is from the true one
    body: int
    error_ms: int


times = st.sampled_from([0, 1_000, 59_999, 60_000, 61_000]) | st.integers(-4_000_000, 90_000_000)
rows_of_a_day = st.lists(
    st.builds(
        Row,
        st.integers(-1, TAGS - 1),
        st.sampled_from([KIND_EID, KIND_EID, KIND_EID, KIND_PLAIN_EID, KIND_IBEACON]),
        times,
        st.integers(-15_000, 15_000) | st.sampled_from([0, 700_000, -700_000]),
        st.sampled_from([-1, 0, 0x80, 0x40, 0x2F]),
        st.sampled_from([0, 0, 120_000]),
    ),
    max_size=40,
)
some_clocks = st.lists(
    st.builds(
        TagClock,
        st.floats(OFFSET_MS - 30_000, OFFSET_MS + 30_000),
        st.floats(-150, 150),
        learned_at_ms=st.none() | st.integers(T0_MS - 10**8, T0_MS),
        accepted_beacon_ms=st.none() | st.integers(T0_MS - OFFSET_MS - 10**8, T0_MS - OFFSET_MS),
        anchor_at_ms=st.none() | st.integers(T0_MS - 10**8, T0_MS),
        anchor_offset_ms=st.floats(OFFSET_MS - 30_000, OFFSET_MS + 30_000),
        is_lost=st.booleans(),
    ),
    min_size=TAGS,
    max_size=TAGS,
)


def _plain(known: list[TagClock], exponents: list[int], rows: list[tuple[Row, int, int, int]]) -> list[int]:
    """Judge by the model, changing `known`; return flags."""
    flags = []
    for row, quantum, body, at_ms in rows:
        if row.tag < 0 or row.kind > KIND_PLAIN_EID:
            flags.append(0)
            continue
        clock = known[row.tag]
        if row.kind == KIND_PLAIN_EID:
            flags.append(int(Flag.STRIPPED) if clock.learned_at_ms is not None else 0)
            continue
        if body < 0:
            flags.append(int(Flag.FORGED))
            continue
        told_ms = step_beacon_ms(quantum, exponents[row.tag], body & 255, clock.beacon_ms(at_ms))
        judged = judge(clock, at_ms=at_ms, beacon_ms=told_ms, clock_error_ms=row.error_ms)
        if not judged.is_of_its_time:
            flags.append(int(Flag.REPLAYED))
            continue
        if row.error_ms == 0 and (after := learn(clock, judged, at_ms=at_ms)) is not clock:
            known[row.tag] = after
        bits = body >> 8
        said = Flag.SEALED | (Flag.SOS if bits & 0x80 else 0) | (Flag.MOVING if bits & 0x40 else 0)
        flags.append(int(said | (Flag.CLOCK_LOST if bits & 0x20 else 0)))
    return flags


def _with_times(rows: list[Row], exponents: list[int]) -> list[tuple[Row, int, int, int]]:
    """Return each row with quantum, body and UTC."""
    made, now_ms = [], T0_MS
    for row in rows:
        now_ms += row.after_ms
        beacon_s = max(0, now_ms - OFFSET_MS + row.wrong_ms) // 1000
        exponent = exponents[max(0, row.tag)]
        made.append((row, beacon_s >> exponent, -1 if row.body < 0 else beacon_s // 4 & 255 | row.body << 8, now_ms))
    return made


@SETTINGS
@given(some_clocks, st.lists(st.integers(0, 15), min_size=TAGS, max_size=TAGS), rows_of_a_day)
def test_every_row_is_judged_and_every_clock_learnt_as_by_the_model(
    known: list[TagClock], exponents: list[int], rows: list[Row]
) -> None:
    here = TagClocks.of(known).clocks(np.array(exponents, np.uint8))
    timed, n = _with_times(rows, exponents), len(rows)
    columns = clocks.Rows(
        np.array([row.tag for row in rows], np.int32),
        np.array([quantum for _, quantum, _, _ in timed], np.int64),
        np.array([row.kind for row in rows], np.uint8),
        np.array([body for _, _, body, _ in timed], np.int32),
        np.array([at_ms for _, _, _, at_ms in timed], np.int64),
        np.array([row.error_ms for row in rows], np.int64),
    )
    flags, battery_dv, learnt = np.zeros(n, np.int16), np.full(n, -1, np.int16), np.empty(n, np.int32)
    before = list(known)
    expected = _plain(known, exponents, timed)
    count = clocks.judge(here, columns, flags, battery_dv, learnt)
    assert flags.tolist() == expected
    assert set(learnt[:count].tolist()) == {tag for tag in range(TAGS) if known[tag] is not before[tag]}
    assert [dv >= 0 for dv in battery_dv] == [bool(flag & Flag.SEALED) for flag in expected]
    after, model = TagClocks.read(here, np.arange(TAGS, dtype=np.int32)), TagClocks.of(known)
    for name in ("offset_ms", "rate_ppm", "anchor_offset_ms"):
        assert np.allclose(getattr(after, name), getattr(model, name), rtol=0, atol=0.6)  # of milliseconds
    for name in ("learned_ms", "accepted_ms", "anchor_ms"):
        assert np.array_equal(getattr(after, name), getattr(model, name))
    learnt_tags = set(learnt[:count].tolist())
    assert [bool(lost) for lost in after.is_lost] == [c.is_lost and t not in learnt_tags for t, c in enumerate(before)]


@SETTINGS
@given(some_clocks, st.integers(0, 15), st.integers(-86_400_000, 86_400_000))
def test_an_id_is_due_exactly_when_the_next_one_begins(known: list[TagClock], exponent: int, later_ms: int) -> None:
    here, tags = TagClocks.of(known).clocks(np.full(TAGS, exponent, np.uint8)), np.arange(TAGS, dtype=np.int32)
    now_ms, quanta = np.full(TAGS, T0_MS + later_ms), np.empty(TAGS, np.int64)
    clocks.quanta_at(here, tags, now_ms, quanta)
    assert quanta.tolist() == [c.beacon_ms(T0_MS + later_ms) // (1000 << exponent) for c in known]
    here.words[clocks.QUANTUM :: clocks.WORDS] = quanta
    due_ms, then = np.empty(TAGS, np.int64), np.empty(TAGS, np.int64)
    clocks.due_at(here, tags, due_ms)
    clocks.quanta_at(here, tags, due_ms + 2, then)
    assert then.tolist() == (quanta + 1).tolist()
    clocks.quanta_at(here, tags, due_ms - 2, then)
    assert then.tolist() == quanta.tolist()


@SETTINGS
@given(some_clocks, st.integers(4, 12), st.integers(0, 10**8))
def test_a_lost_clock_is_set_to_what_its_tag_says(known: list[TagClock], exponent: int, beacon_s: int) -> None:
    here, body = TagClocks.of(known).clocks(np.full(TAGS, exponent, np.uint8)), beacon_s // 4 & 255 | 0x2A00
    rows = clocks.Rows(
        np.array([1], np.int32), np.array([beacon_s >> exponent]), np.zeros(1, np.uint8), np.array([body], np.int32),
        np.array([T0_MS]), np.zeros(1, np.int64),
    )  # fmt: skip
    flags, battery_dv = np.zeros(1, np.int16), np.full(1, -1, np.int16)
    clocks.find_again(here, rows, flags, battery_dv)
    near_ms = (beacon_s >> exponent << exponent) * 1000
    expected = found(at_ms=T0_MS, beacon_ms=step_beacon_ms(beacon_s >> exponent, exponent, body & 255, near_ms))
    after, model = TagClocks.read(here, np.array([1], np.int32)), TagClocks.of([expected])
    assert all(np.array_equal(getattr(after, name), getattr(model, name)) for name in TagClocks.__slots__)
    assert (flags.tolist(), battery_dv.tolist()) == ([Flag.SEALED | Flag.CLOCK_LOST], [30])
