import hashlib
import os
import secrets
import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.camera import segment
from edge.camera.ring import DAY_MS, Ring
from edge.camera.segment import Head
from edge.errors import EdgeError, RingError
from tests.edge.camera.conftest import START_MS, Diary, SetClock
from wire.camera_settings import CameraSettings
from wire.orders import Freeze

FOURTEEN_DAYS = CameraSettings(1)
FOREVER_MS = 1 << 50


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


def opened(folder: Path, clock: SetClock, diary: Any) -> Ring:
    ring = Ring(folder, clock, diary, Counter())
    ring.open()
    return ring


def record(ring: Ring, start_ms: int, *, octets: int = 100, strand_id: bytes = b"s" * 16) -> Path:
    head = Head(
        camera="gate-1",
        id=secrets.token_bytes(16),
        start_ms=start_ms,
        mask_version=1,
        strand_id=strand_id,
        strand_wrapped=b"wrapped" + strand_id,
        width=64,
        height=48,
        fps=15,
        codec="libx264",
        previous=ring.chain,
    )
    writer = ring.begin(head, b"k" * 32)
    for number in range(10):
        writer.second(bytes(octets), at_ms=start_ms + 1000 * number, frames=1, samples_sha256=bytes(32))
    ring.end(writer)
    return writer.path


def proofs(diary: Diary) -> list[list[Any]]:
    return [proof for body in diary.of("footage.deleted") for proof in body["segments"]]


def test_footage_is_deleted_at_its_limit_and_not_before(tmp_path: Path, clock: SetClock, diary: Diary) -> None:
    ring = opened(tmp_path, clock, diary)
    paths = [record(ring, START_MS + 10_000 * number) for number in range(3)]
    chains = [segment.read(path).chain for path in paths]
    hashes = [hashlib.sha256(path.read_bytes()).digest() for path in paths]
    clock.passed_ms = 14 * DAY_MS + 10_000
    assert ring.sweep(FOURTEEN_DAYS) == 0
    clock.passed_ms += 10_001
    assert ring.sweep(FOURTEEN_DAYS) == 2
    assert [path.exists() for path in paths] == [False, False, True]
    (body,) = diary.of("footage.deleted")
    assert body["reason"] == "age"
    assert [proof[1:3] for proof in body["segments"]] == [[hashes[0], chains[0]], [hashes[1], chains[1]]]
    assert [proof[3:] for proof in body["segments"]] == [
        [START_MS + 10_000 * number, START_MS + 10_000 * (number + 1)] for number in range(2)
    ]
    assert segment.read(paths[2]).head.previous == chains[1]  # the proof links to what is kept


def test_the_oldest_goes_when_there_is_too_much(tmp_path: Path, clock: SetClock, diary: Diary) -> None:
    ring = opened(tmp_path, clock, diary)
    paths = [record(ring, START_MS + 10_000 * number, octets=600_000) for number in range(3)]
    assert ring.sweep(CameraSettings(1, max_mb=13)) == 1
    assert [path.exists() for path in paths] == [False, True, True]
    assert diary.of("footage.deleted")[0]["reason"] == "bytes"
    assert ring.totals()[0] <= 13_000_000


def test_what_is_frozen_is_kept_until_its_freeze_ends_by_itself(tmp_path: Path, clock: SetClock, diary: Diary) -> None:
    ring = opened(tmp_path, clock, diary)
    paths = [record(ring, START_MS + 10_000 * number, octets=2_000_000) for number in range(3)]
    ring.freeze(Freeze("case-1", START_MS + 12_000, START_MS + 13_000, START_MS + 20 * DAY_MS))
    clock.passed_ms = 15 * DAY_MS
    assert ring.sweep(CameraSettings(1, max_mb=10)) == 2
    assert [path.exists() for path in paths] == [False, True, False]
    ring.close()
    ring = opened(tmp_path, clock, diary)
    assert ring.sweep(FOURTEEN_DAYS) == 0
    clock.passed_ms = 20 * DAY_MS
    assert ring.sweep(FOURTEEN_DAYS) == 1


def test_a_thaw_deletes_what_is_over_its_time_and_only_that(tmp_path: Path, clock: SetClock, diary: Diary) -> None:
    ring = opened(tmp_path, clock, diary)
    old = record(ring, START_MS)
    ring.freeze(Freeze("case-1", START_MS, START_MS + 1, FOREVER_MS))
    ring.freeze(Freeze("case-2", START_MS, START_MS + 1, FOREVER_MS))
    clock.passed_ms = 15 * DAY_MS
    young = record(ring, clock.now_ms())
    ring.freeze(Freeze("case-1", clock.now_ms(), clock.now_ms() + 1, FOREVER_MS))
    assert ring.thaw("case-1", FOURTEEN_DAYS) == {"case": "case-1", "windows": 2, "deleted": 0}
    assert ring.thaw("case-2", FOURTEEN_DAYS) == {"case": "case-2", "windows": 1, "deleted": 1}
    assert ring.thaw("case-2", FOURTEEN_DAYS) == {"case": "case-2", "windows": 0, "deleted": 0}
    assert (old.exists(), young.exists()) == (False, True)
    assert diary.of("footage.deleted")[0]["reason"] == "thaw"


def test_a_freeze_says_what_there_is_what_is_missing_and_which_strands_open_it(
    tmp_path: Path, clock: SetClock, diary: Diary
) -> None:
    ring = opened(tmp_path, clock, diary)
    for number, strand_id in ((0, b"a"), (1, b"a"), (3, b"b")):
        record(ring, START_MS + 10_000 * number, strand_id=strand_id * 16)
    body = ring.freeze(Freeze("case-1", START_MS + 5_000, START_MS + 45_000, FOREVER_MS))
    assert body == {
        "case": "case-1",
        "segments": 3,
        "from_ms": START_MS + 5_000,
        "to_ms": START_MS + 40_000,
        "gaps": [[START_MS + 20_000, START_MS + 30_000], [START_MS + 40_000, START_MS + 45_000]],
        "strands": [[b"a" * 16, b"wrapped" + b"a" * 16], [b"b" * 16, b"wrapped" + b"b" * 16]],
    }
    nothing = ring.freeze(Freeze("case-2", START_MS - 10, START_MS, FOREVER_MS))
    assert (nothing["segments"], nothing["gaps"]) == (0, [[START_MS - 10, START_MS]])


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_frozen_when_nothing_else_is_deleted_and_nothing_frozen_is(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    clock, diary = SetClock(), Diary()
    ring = opened(tmp_path_factory.mktemp("ring"), clock, diary)
    days = data.draw(st.sets(st.integers(0, 20).map(lambda half: 2 * half), min_size=1, max_size=6))
    windows = data.draw(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 3), st.integers(1, 60)), max_size=3))
    for day, length, until in windows:
        from_ms = START_MS + day * DAY_MS
        ring.freeze(Freeze("c", from_ms, from_ms + length * DAY_MS, START_MS + until * DAY_MS))
    kept: dict[int, Path] = {}
    for now in range(0, 60, 2):
        clock.passed_ms = now * DAY_MS
        if now in days:
            kept[now] = record(ring, clock.now_ms())
        clock.passed_ms += 11_000
        ring.sweep(FOURTEEN_DAYS)
        for day, path in list(kept.items()):
            is_frozen = any(start <= day < start + length and until > now for start, length, until in windows)
            if now - day >= 14 and not is_frozen:
                assert not kept.pop(day).exists()
            else:
                assert path.exists()
    ring.close()


def test_a_clock_that_nobody_vouches_for_does_not_make_footage_old(
    tmp_path: Path, clock: SetClock, diary: Diary
) -> None:
    clock.synced = False
    ring = opened(tmp_path, clock, diary)
    path = record(ring, START_MS)
    clock.set_ms = 400 * DAY_MS
    assert ring.sweep(FOURTEEN_DAYS) == 0
    clock.passed_ms = 14 * DAY_MS + 10_001
    assert ring.sweep(FOURTEEN_DAYS) == 1
    assert not path.exists()


def test_a_clock_that_is_synchronised_is_trusted_at_once(tmp_path: Path, clock: SetClock, diary: Diary) -> None:
    clock.synced = False
    ring = opened(tmp_path, clock, diary)
    record(ring, START_MS)
    clock.set_ms = 15 * DAY_MS
    assert ring.sweep(FOURTEEN_DAYS) == 0
    clock.synced = True
    assert ring.sweep(FOURTEEN_DAYS) == 1


def test_footage_of_a_clock_that_ran_ahead_grows_old_from_when_that_was_found(
    tmp_path: Path, clock: SetClock, diary: Diary
) -> None:
    clock.set_ms, clock.synced = 900 * DAY_MS, False
    ring = opened(tmp_path, clock, diary)
    path = record(ring, clock.now_ms())
    clock.set_ms, clock.synced = 0, True
    assert ring.sweep(FOURTEEN_DAYS) == 0
    clock.passed_ms = 15 * DAY_MS
    assert ring.sweep(FOURTEEN_DAYS) == 1
    assert not path.exists()


def test_two_segments_of_one_moment_have_two_names(tmp_path: Path, clock: SetClock, diary: Diary) -> None:
    ring = opened(tmp_path, clock, diary)
    assert record(ring, START_MS) != record(ring, START_MS)
    assert len(ring.segments_in(START_MS, START_MS + 1)) == 2


def test_a_window_is_found_by_its_time(tmp_path: Path, clock: SetClock, diary: Diary) -> None:
    ring = opened(tmp_path, clock, diary)
    paths = [record(ring, START_MS + 10_000 * number) for number in range(4)]
    found = ring.segments_in(START_MS + 10_000, START_MS + 20_001)
    assert [item.path for item in found] == paths[1:3]
    assert ring.segments_in(START_MS - 5_000, START_MS) == []


@pytest.mark.parametrize("harm", ["missing", "junk", "half"])
def test_a_lost_index_is_made_anew_from_the_files(tmp_path: Path, clock: SetClock, diary: Diary, harm: str) -> None:
    ring = opened(tmp_path, clock, diary)
    paths = [record(ring, START_MS + 10_000 * number) for number in range(5)]
    chain, totals = ring.chain, ring.totals()
    ring.freeze(Freeze("case-1", START_MS, START_MS + 1, FOREVER_MS))
    ring.close()
    file = tmp_path / "ring.db"
    for name in ("ring.db-wal", "ring.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    if harm == "missing":
        file.unlink()
    else:
        file.write_bytes(b"junk" * 1000 if harm == "junk" else file.read_bytes()[:5000])
    again = opened(tmp_path, clock, diary)
    assert (again.chain, again.totals()) == (chain, totals)
    clock.passed_ms = 20 * DAY_MS
    assert again.sweep(FOURTEEN_DAYS) == 4
    assert paths[0].exists()


def test_a_clock_that_ran_ahead_before_a_restart_makes_nothing_old(
    tmp_path: Path, clock: SetClock, diary: Diary
) -> None:
    ring = opened(tmp_path, clock, diary)
    path = record(ring, START_MS)
    ring.sweep(FOURTEEN_DAYS)
    clock.set_ms, clock.synced = 900 * DAY_MS, False
    record(ring, clock.now_ms())
    ring.close()
    again = opened(tmp_path, clock, diary)
    assert again.sweep(FOURTEEN_DAYS) == 0
    assert path.exists()


def test_the_chain_is_found_by_its_links_though_a_clock_has_jumped(
    tmp_path: Path, clock: SetClock, diary: Diary
) -> None:
    ring = opened(tmp_path, clock, diary)
    for start_ms in (START_MS + 90 * DAY_MS, START_MS, START_MS + 10_000):
        record(ring, start_ms)
    chain = ring.chain
    ring.close()
    (tmp_path / "ring.db").unlink()
    assert opened(tmp_path, clock, diary).chain == chain


def test_torn_segments_are_mended_and_the_chain_goes_on(tmp_path: Path, clock: SetClock, diary: Diary) -> None:
    ring = opened(tmp_path, clock, diary)
    record(ring, START_MS)
    path = record(ring, START_MS + 10_000)
    ring.close()
    os.truncate(path, path.stat().st_size - 200)
    sqlite3.connect(tmp_path / "ring.db").execute("UPDATE segment SET is_open = 1").connection.commit()
    again = opened(tmp_path, clock, diary)
    tail = segment.read(path).tail
    assert tail is not None
    assert tail.is_cut
    assert again.chain == tail.chain
    assert again.counts["segments_mended"] == 1
    assert segment.read(record(again, START_MS + 20_000)).head.previous == tail.chain


def test_a_file_without_a_whole_head_is_nothing(tmp_path: Path, clock: SetClock, diary: Diary) -> None:
    ring = opened(tmp_path, clock, diary)
    path = record(ring, START_MS)
    chain = ring.chain
    ring.close()
    torn = path.with_name(f"{START_MS + 10_000}-00000000.seg")
    torn.write_bytes(path.read_bytes()[:40])
    again = opened(tmp_path, clock, diary)
    assert not torn.exists()
    assert again.chain == chain
    assert again.counts["segments_torn"] == 1


def test_a_damaged_segment_is_kept_and_deleted_when_its_time_is_over(
    tmp_path: Path, clock: SetClock, diary: Diary
) -> None:
    ring = opened(tmp_path, clock, diary)
    path = record(ring, START_MS, octets=5_000)
    ring.close()
    (tmp_path / "ring.db").unlink()
    with path.open("r+b") as file:
        file.write(bytes(100))
    again = opened(tmp_path, clock, diary)
    assert path.exists()
    assert again.segments_in(START_MS, START_MS + 1) == []
    clock.passed_ms = 15 * DAY_MS
    assert again.sweep(FOURTEEN_DAYS) == 1
    assert not path.exists()


def test_footage_that_somebody_took_away_is_told(tmp_path: Path, clock: SetClock, diary: Diary) -> None:
    ring = opened(tmp_path, clock, diary)
    path = record(ring, START_MS)
    chain = ring.chain
    ring.close()
    path.unlink()
    again = opened(tmp_path, clock, diary)
    assert diary.of("footage.missing") == [{"segments": [path.relative_to(again.footage).as_posix()]}]
    assert again.chain == chain


class Failing:
    """A journal whose disk is full for a while."""

    def __init__(self) -> None:
        self.is_full = True
        self.entries: list[tuple[str, Mapping[str, Any]]] = []

    def __call__(self, kind: str, body: Mapping[str, Any]) -> None:
        if self.is_full:
            raise EdgeError("full")
        self.entries.append((kind, body))


def test_a_proof_that_could_not_be_written_is_written_later(tmp_path: Path, clock: SetClock) -> None:
    journal = Failing()
    ring = opened(tmp_path, clock, journal)
    path = record(ring, START_MS)
    digest = hashlib.sha256(path.read_bytes()).digest()
    clock.passed_ms = 15 * DAY_MS
    with pytest.raises(EdgeError):
        ring.sweep(FOURTEEN_DAYS)
    assert not path.exists()
    ring.close()
    journal.is_full = False
    again = opened(tmp_path, clock, journal)
    ((kind, body),) = journal.entries
    assert kind == "footage.deleted"
    assert body["segments"][0][1] == digest
    again.sweep(FOURTEEN_DAYS)
    assert len(journal.entries) == 1


def test_a_deletion_that_was_only_written_down_is_done_at_the_next_start(
    tmp_path: Path, clock: SetClock, diary: Diary
) -> None:
    ring = opened(tmp_path, clock, diary)
    path = record(ring, START_MS)
    ring._write_down(ring._index.rows(), "age")
    ring.close()
    again = opened(tmp_path, clock, diary)
    assert not path.exists()
    assert len(proofs(diary)) == 1
    assert again.totals() == (0, None)


def test_many_deletions_make_entries_of_bounded_size(tmp_path: Path, clock: SetClock, diary: Diary) -> None:
    ring = opened(tmp_path, clock, diary)
    row = None
    for number in range(450):
        if row is None:
            record(ring, START_MS)
            row = ring._index.rows()[0]
        else:
            ring._index.put(replace(row, path=f"2027-01-15/{number}.seg"))
    clock.passed_ms = 15 * DAY_MS
    assert ring.sweep(FOURTEEN_DAYS) == 450
    assert [len(body["segments"]) for body in diary.of("footage.deleted")] == [200, 200, 50]


def test_a_damaged_list_of_frozen_windows_stops_every_deletion(tmp_path: Path, clock: SetClock, diary: Diary) -> None:
    ring = opened(tmp_path, clock, diary)
    record(ring, START_MS)
    ring.freeze(Freeze("case-1", START_MS, START_MS + 1, FOREVER_MS))
    ring.close()
    (tmp_path / "frozen.cbor").write_bytes(b"x")
    with pytest.raises(RingError):
        opened(tmp_path, clock, diary)
