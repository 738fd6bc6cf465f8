"""What a full queue gives up, and what not."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire.messages import Receipt
from wire.outbox import Outbox

MIB = 1 << 20


def fill(outbox: Outbox, batches: int, octets: int, *, urgent_each: int = 0) -> None:
    for n in range(1, batches + 1):
        is_urgent = urgent_each > 0 and n % urgent_each == 0
        outbox.put(1, n * 1000, lambda *_: bytes(octets), is_urgent=is_urgent)


def left(outbox: Outbox) -> list[int]:
    return outbox.oldest(1_000_000)


@pytest.mark.parametrize(
    ("octets", "most"), [(100, MIB // 8), (900, MIB // 4), (3_500, MIB), (5_000, MIB), (30_000, MIB)]
)
def test_a_queue_at_its_limit_takes_every_batch_and_the_file_does_not_grow(
    tmp_path: Path, octets: int, most: int
) -> None:
    path, batches = tmp_path / "outbox.db", 3 * most // octets
    with Outbox.open(path, max_bytes=most) as outbox:
        fill(outbox, batches, octets)
        totals = outbox.totals()
        assert path.stat().st_size <= most
        assert totals.put_rows == batches == totals.pending_rows + totals.thinned_rows
        assert totals.pending_batches == len(left(outbox)) > 0.3 * most / max(octets, 4096 if octets > 3_000 else 1)
        assert (totals.thinned_from_ms or 0) <= 3_000
        assert 0 < (totals.thinned_to_ms or 0) < batches * 1000


def test_what_is_old_gets_thinner_and_nowhere_is_a_hole(tmp_path: Path) -> None:
    with Outbox.open(tmp_path / "outbox.db", max_bytes=2 * MIB) as outbox:
        fill(outbox, 2_000, 3_500)
        kept = left(outbox)
    quarters = [sum(500 * part < n <= 500 * (part + 1) for n in kept) for part in range(4)]
    assert quarters == sorted(quarters)
    assert quarters[0] > 10
    assert max(after - before for before, after in zip([0, *kept], [*kept, 2_001], strict=True)) < 70
    assert kept[-50:] == list(range(1_951, 2_001))


def test_urgent_batches_stay_while_there_are_others(tmp_path: Path) -> None:
    with Outbox.open(tmp_path / "outbox.db", max_bytes=MIB) as outbox:
        fill(outbox, 1_000, 3_500, urgent_each=20)
        assert outbox.urgent(1_000)[::-1] == list(range(20, 1_001, 20))
        assert outbox.totals().thinned_batches > 700


def test_with_nothing_but_urgent_batches_these_are_thinned(tmp_path: Path) -> None:
    with Outbox.open(tmp_path / "outbox.db", max_bytes=MIB) as outbox:
        fill(outbox, 1_000, 3_500, urgent_each=1)
        assert outbox.totals().thinned_batches > 700
        kept = len(left(outbox))
        outbox.put(1, 1, lambda *_: bytes(3_500))
        outbox.put(1, 1, lambda *_: bytes(3_500))
        fill(outbox, 50, 3_500)
        assert len(outbox.urgent(1_000)) > kept - 50


def test_room_that_receipts_make_ends_the_thinning(tmp_path: Path) -> None:
    with Outbox.open(tmp_path / "outbox.db", max_bytes=MIB) as outbox:
        fill(outbox, 500, 3_500)
        thinned = outbox.totals().thinned_rows
        outbox.settle(Receipt(outbox.epoch, tuple(left(outbox)[:100])))
        fill(outbox, 90, 3_500)
        totals = outbox.totals()
        assert totals.thinned_rows == thinned
        assert totals.put_rows == 590 == totals.accepted_rows + totals.thinned_rows + totals.pending_rows


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 20_000), st.booleans(), st.booleans()), min_size=40, max_size=150))
def test_every_row_is_pending_thinned_or_receipted(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, bool, bool]]
) -> None:
    with Outbox.open(tmp_path_factory.mktemp("box") / "outbox.db", max_bytes=MIB // 4) as outbox:
        for octets, is_urgent, is_receipted in steps:
            outbox.put(octets, 1, lambda *_, size=octets: bytes(size), is_urgent=is_urgent)
            if is_receipted:
                outbox.settle(Receipt(outbox.epoch, tuple(outbox.oldest(1))))
        totals = outbox.totals()
        rows = [(batch.rows, len(batch.payload)) for batch in outbox.pending(1_000)]
    assert all(count == octets for count, octets in rows)
    assert (totals.pending_batches, totals.pending_rows) == (len(rows), sum(count for count, _ in rows))
    assert totals.put_rows == totals.accepted_rows + totals.thinned_rows + totals.pending_rows


_PUTS = """
import sys
from wire.outbox import Outbox
with Outbox.open(sys.argv[1], max_bytes=1 << 20) as outbox:
    while True:
        print(outbox.put(1, 1, lambda *_: bytes(3_500)), flush=True)
"""


def test_a_kill_while_thinning_leaves_the_counts_right(tmp_path: Path) -> None:
    path, last = tmp_path / "outbox.db", 0
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", _PUTS, path], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(400):
                last = int(process.stdout.readline())
            os.kill(process.pid, signal.SIGKILL)
            last = max([last, *(int(line) for line in process.stdout if line.endswith("\n"))])
        with Outbox.open(path, max_bytes=MIB) as outbox:
            totals = outbox.totals()
            assert totals.put_rows in {last, last + 1}
            assert totals.put_rows == totals.thinned_rows + totals.pending_rows
            assert totals.pending_batches == len(left(outbox))
            assert outbox.newest(1) == [totals.put_rows]


def test_an_outbox_of_the_layout_before_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with sqlite3.connect(path) as database:
        database.executescript("""
            CREATE TABLE state (only INTEGER PRIMARY KEY CHECK (only = 1), layout INTEGER NOT NULL,
                epoch INTEGER NOT NULL, next_sequence INTEGER NOT NULL, put_rows INTEGER NOT NULL,
                accepted_rows INTEGER NOT NULL, refused_rows INTEGER NOT NULL);
            CREATE TABLE batch (sequence INTEGER PRIMARY KEY, rows INTEGER NOT NULL, created_ms INTEGER NOT NULL,
                payload BLOB NOT NULL);
            CREATE TABLE journal (only INTEGER PRIMARY KEY CHECK (only = 1), state BLOB NOT NULL,
                position INTEGER NOT NULL);
            INSERT INTO state VALUES (1, 1, 77, 9, 30, 20, 3);
            INSERT INTO batch VALUES (7, 4, 5, x'aa'), (8, 3, 6, x'bb');
            INSERT INTO journal VALUES (1, x'cc', 12);
        """)
    database.close()
    with Outbox.open(path, max_bytes=MIB) as outbox:
        totals = outbox.totals()
        assert (totals.put_rows, totals.pending_batches, totals.pending_rows) == (30, 2, 7)
        assert outbox.epoch == 77
        assert outbox.restore() == (b"\xcc", 12)
        assert outbox.put(1, 7, lambda *_: b"x", is_urgent=True) == 9
        assert [batch.payload for batch in outbox.pending(9)] == [b"\xaa", b"\xbb", b"x"]
