import math
from collections import defaultdict
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.core.fix import EMPTY_TRACK, Placed, Track, advance, consolidate
from server.core.kernels import fences, fix, places
from server.core.kernels.columns import Columns
from server.core.kernels.engine import Capacity, Engine, Outcome
from server.core.kernels.fix import Kind
from server.core.kernels.suppress import Verdict
from server.core.suppress import Contribution

SETTINGS = settings(deadline=None, max_examples=40)
BUCKET_MS, START_MS = 10_000, 1_795_402_800_000
TAGS, DETECTORS = 6, 5
CAPACITY = Capacity(tags=TAGS, detectors=DETECTORS, poses=50, events=50)
LAT_DEG = np.array([34.7500, 34.7504, 34.7508, 34.7512, np.nan])
LON_DEG = np.array([134.850, 134.851, 134.850, 134.851, np.nan])


class Row(NamedTuple):
    tag: int  # TAGS: a stranger
    detector: int
    rssi_dbm: int
    ago_ms: int


class Step(NamedTuple):
    after_ms: int
    rows: list[Row]


# No two rows of a detector are equally strong, so that a moving one has one best place.
steps_of_a_day = st.lists(
    st.builds(
        Step,
        st.sampled_from([0, 900, 4_000, 10_000, 70_000]),
        st.lists(
            st.builds(
                Row,
                st.integers(0, TAGS),
                st.integers(0, DETECTORS - 1),
                st.integers(-100, -40),
                st.integers(-12_000, 60_000),
            ),
            max_size=25,
        ),
    ),
    max_size=8,
)


def _engine(capacity: Capacity = CAPACITY) -> Engine:
    engine = Engine(capacity, bucket_ms=BUCKET_MS)
    kinds = ["fixed", "fixed", "phone", "fixed", "vehicle"]
    rows = np.arange(DETECTORS, dtype=np.int32)
    engine.place_detectors(rows, kinds=kinds, lat_deg=LAT_DEG, lon_deg=LON_DEG, accuracy_m=np.full(DETECTORS, 5.0))
    pairs = np.arange(TAGS, dtype=np.int32)
    home = fences.Fences.of([fences.Circle(34.75, 134.85, 60.0, dwell_ms=0)])
    engine.load_fences(home, fences.Watches.of(pairs, np.zeros(TAGS, np.int32), registered=TAGS))
    return engine


def _driven(at_ms: int) -> tuple[float, float, float]:
    """Return where the moving detector was."""
    return 34.75 + (at_ms - START_MS) % 100_000 * 1e-8, 134.8505, 8.0


def _columns(rows: list[Row], now_ms: int) -> Columns:
    heard_at_ms = np.array([now_ms - row.ago_ms for row in rows], np.int64)
    moves = np.array([row.detector == DETECTORS - 1 for row in rows], bool)
    drive = np.array([_driven(int(t)) for t in heard_at_ms]).reshape(-1, 3)
    lat_deg, lon_deg, accuracy_m = np.where(moves[:, None], drive, np.nan).T if rows else np.empty((3, 0))
    return Columns.of(
        np.array([row.tag if row.tag < TAGS else -1 for row in rows], np.int32),
        np.array([row.detector for row in rows], np.int32),
        np.array([row.rssi_dbm for row in rows], np.int16),
        heard_at_ms,
        lat_deg=lat_deg,
        lon_deg=lon_deg,
        accuracy_m=accuracy_m.astype(np.float32),
    )


def _run(engine: Engine, steps: list[Step]) -> list[Outcome]:
    now_ms, out = START_MS, []
    for step in [*steps, Step(BUCKET_MS * 5, [])]:
        now_ms += step.after_ms
        out.append(_copy(engine.step(_columns(step.rows, now_ms), now_ms)))
    return out


def _copy(out: Outcome) -> Outcome:
    return Outcome(
        out.verdicts.copy(),
        out.kept.copy(),
        fix.Fixes._make(column.copy() for column in out.fixes),
        out.whole,
        fences.Events._make(column.copy() for column in out.events),
    )


def _same(one: list[Outcome], other: list[Outcome]) -> bool:
    flat = [[a for o in outs for a in (o.verdicts, o.kept, *o.fixes, *o.events)] for outs in (one, other)]
    return len(flat[0]) == len(flat[1]) and all(np.array_equal(a, b) for a, b in zip(*flat, strict=True))


class Reference:
    """The same in dicts, with the plain model for places."""

    def __init__(self) -> None:
        self.open: dict[int, dict[int, dict[int, Contribution]]] = {}
        self.tracks: dict[int, Track] = defaultdict(lambda: EMPTY_TRACK)
        self.late: dict[int, dict[int, dict[int, Contribution]]] = {}
        self.newest: int | None = None

    def close(self, now_ms: int) -> list[tuple[int, int, int]]:
        """Return tag, bucket and kind of the fixes of what is over."""
        self.newest = max(self.newest or 0, now_ms // BUCKET_MS)
        over = sorted(b for b in self.open if b <= self.newest - 2)
        return sorted(fix for bucket in over for fix in self._place(bucket, self.open.pop(bucket)))

    def close_late(self) -> list[tuple[int, int, int]]:
        """Return likewise the fixes of what came late in a step."""
        late, self.late = self.late, {}
        return sorted(fix for bucket in sorted(late) for fix in self._place(bucket, late[bucket]))

    def _place(self, bucket: int, tags: dict[int, dict[int, Contribution]]) -> list[tuple[int, int, int]]:
        found = []
        for tag, heard in tags.items():
            track = self.tracks[tag]
            raw = consolidate(bucket, heard.values(), track.last)
            if track.last is not None and raw.position.at_ms < track.last.at_ms:
                found.append((tag, bucket, int(Kind.HISTORY)))
                continue
            # What comes late of the bucket that the tag is in already is one more measurement, not the same one again.
            self.tracks[tag], _, placed = advance(replace(track, bucket=-1), raw)
            found.append((tag, bucket, int(Kind.MOVED if placed is Placed.MOVED else Kind.DOUBTFUL)))
        return found

    def take(self, row: Row, now_ms: int) -> Verdict:
        bucket = (now_ms - row.ago_ms) // BUCKET_MS
        if row.tag == TAGS:
            return Verdict.UNKNOWN
        assert self.newest is not None
        if bucket > self.newest:
            return Verdict.EARLY
        is_late = bucket <= self.newest - 2
        known = self._contribute(self.late if is_late else self.open, row, now_ms)
        if is_late:
            return Verdict.LATE
        return Verdict.KEPT if known is None else Verdict.REPEAT

    @staticmethod
    def _contribute(
        buckets: dict[int, dict[int, dict[int, Contribution]]], row: Row, now_ms: int
    ) -> Contribution | None:
        heard = buckets.setdefault((now_ms - row.ago_ms) // BUCKET_MS, {}).setdefault(row.tag, {})
        known = heard.get(row.detector)
        new = _contribution(row, now_ms - row.ago_ms)
        # Of what was heard equally loud the farthest north counts, then east: whatever order it came in.
        best = max((new, known or new), key=lambda c: (c.rssi_dbm, c.lat_deg, c.lon_deg))
        heard[row.detector] = best
        newest_ms = max(c.at_ms for c in (*heard.values(), known or new, new))
        for detector, c in heard.items():  # the kernels know the newest time of a line only
            heard[detector] = Contribution(
                detector, c.rssi_dbm, 1, newest_ms, c.lat_deg, c.lon_deg, c.accuracy_m, c.weight
            )
        return known


def _contribution(row: Row, at_ms: int) -> Contribution:
    moving = row.detector == DETECTORS - 1
    fixed = (float(LAT_DEG[row.detector]), float(LON_DEG[row.detector]), 5.0)
    weight = {2: 0.3, 4: 0.6}.get(row.detector, 1.0)
    return Contribution(row.detector, row.rssi_dbm, 1, at_ms, *(_driven(at_ms) if moving else fixed), weight)


@SETTINGS
@given(steps_of_a_day)
def test_a_day_goes_as_in_dicts_and_the_plain_model(steps: list[Step]) -> None:
    engine, reference, now_ms = _engine(), Reference(), START_MS
    for step in [*steps, Step(BUCKET_MS * 5, [])]:
        now_ms += step.after_ms
        expected_fixes = reference.close(now_ms)
        expected = [reference.take(row, now_ms) for row in step.rows]
        out = engine.step(_columns(step.rows, now_ms), now_ms)
        assert [Verdict(int(v)) for v in out.verdicts] == expected
        assert out.kept.tolist() == [i for i, verdict in enumerate(expected) if verdict is Verdict.KEPT]
        found = list(zip(out.fixes.tags.tolist(), (out.fixes.at_ms // BUCKET_MS).tolist(), out.fixes.kinds.tolist(),
                         strict=True))  # fmt: skip
        assert sorted(found[: out.whole]) == expected_fixes
        assert sorted(found[out.whole :]) == reference.close_late()
    for tag, track in reference.tracks.items():
        assert track.last is not None
        assert math.isclose(engine.last.words[8 * tag], track.last.lat_deg * 1e7, abs_tol=20, rel_tol=0)
        assert math.isclose(engine.last.words[8 * tag + 1], track.last.lon_deg * 1e7, abs_tol=20, rel_tol=0)
        assert engine.last.longs[4 * tag + 1] == track.last.at_ms
    room = places.create_found(TAGS)
    assert places.within(engine.index, 347_500_000, 1_348_500_000, 5_000.0, 0, room) == len(reference.tracks)


@SETTINGS
@given(steps_of_a_day, st.integers(0, 7))
def test_an_engine_restored_goes_on_as_the_one_dumped(steps: list[Step], at: int) -> None:
    engine, other = _engine(), _engine()
    _run(engine, steps[:at])
    other.restore(engine.dump())
    later = [step._replace(after_ms=step.after_ms + BUCKET_MS * 5 * (at + 2)) for step in steps[at:]]
    assert _same(_run(engine, later), _run(other, later))


@SETTINGS
@given(steps_of_a_day)
def test_the_same_steps_give_the_same_rows(steps: list[Step]) -> None:
    assert _same(_run(_engine(), steps), _run(_engine(), steps))


@SETTINGS
@given(steps_of_a_day)
def test_nothing_grows(steps: list[Step]) -> None:
    engine = _engine()
    before, where = engine.sizes(), {name: array.ctypes.data for name, array in engine._state().items()}
    _run(engine, steps)
    after = {name: array.ctypes.data for name, array in engine._state().items()}
    assert engine.sizes() == before
    assert {name for name in where if where[name] != after[name]} <= {"index.at_ms"}  # two snapshots take turns


def test_more_rows_than_one_pass_takes_are_the_same_rows() -> None:
    rng, n = np.random.default_rng(1), 150_000
    tags, detectors = rng.integers(0, TAGS, n).astype(np.int32), rng.integers(0, 4, n).astype(np.int32)
    rssi_dbm, at_ms = rng.integers(-100, -40, n).astype(np.int8), START_MS + rng.integers(0, 10_000, n)
    out = _engine().step(Columns.of(tags, detectors, rssi_dbm, at_ms), START_MS + 10_000)
    assert len(out.verdicts) == n
    pairs = {(int(t), int(d), int(b)) for t, d, b in zip(tags, detectors, at_ms // BUCKET_MS, strict=True)}
    kept = [(int(tags[i]), int(detectors[i]), int(at_ms[i] // BUCKET_MS)) for i in out.kept]
    assert (len(kept), set(kept)) == (len(pairs), pairs)


def test_what_finds_no_room_is_counted_and_the_rest_goes_on() -> None:
    engine = _engine(Capacity(tags=TAGS, detectors=DETECTORS, active_tags=2, poses=1, held=1, cells=1, events=0))
    crowd = [Row(tag, tag % DETECTORS, -60, 0) for tag in range(TAGS)] + [Row(0, 4, -60, i) for i in range(5)]
    _run(engine, [Step(0, crowd), Step(BUCKET_MS, crowd), Step(BUCKET_MS * 50, crowd)])
    counters = engine.counters()
    assert counters["full"] > 0
    assert counters["lost_poses"] > 0
    assert counters["kept"] + counters["repeat"] + counters["full"] + counters["nowhere"] == 3 * len(crowd)


def test_a_step_back_in_arrival_closes_nothing_and_a_gap_of_hours_everything() -> None:
    engine = _engine()
    engine.step(_columns([Row(1, 1, -60, 0)], START_MS), START_MS)
    assert engine.step(_columns([], START_MS - 10**7), START_MS - 10**7).fixes.tags.size == 0
    out = engine.step(_columns([Row(2, 1, -60, 0)], START_MS + 10**8), START_MS + 10**8)
    assert (out.fixes.tags.tolist(), out.verdicts.tolist()) == ([1], [Verdict.KEPT])


def test_parts_of_another_engine_are_refused() -> None:
    with pytest.raises(ValueError, match="capacity"):
        _engine().restore(_engine(Capacity(tags=TAGS, detectors=DETECTORS)).dump())


def test_columns_of_different_lengths_are_refused() -> None:
    two, one = np.zeros(2, np.int32), np.zeros(1, np.int32)
    with pytest.raises(ValueError, match="length"):
        Columns.of(two, one, np.zeros(2, np.int8), np.zeros(2, np.int64))
