"""The gateway's own log: what can be changed in it is found, what cannot be lost is not."""

import concurrent.futures
import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge import journal as journals
from edge.errors import JournalError, JournalFullError
from edge.journal import KEPT_MS, Journal
from wire import entry as entries

NOW_MS = 1_800_000_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with Journal.open(path, now_ms=lambda: NOW_MS) as made:
        yield made


def test_entries_are_numbered_and_chained(journal: Journal) -> None:
    first, second = journal.add("mask.set", {"version": 1}), journal.add("camera.moved")
    assert (first.sequence, first.at_ms, first.previous) == (1, NOW_MS, entries.FIRST)
    assert (second.sequence, second.previous) == (2, entries.digest(first.encode()))
    assert journal.tail(5) == [first, second]
    assert journal.tail(1) == [second]
    assert journal.unsent(5) == [(1, first.encode()), (2, second.encode())]
    assert journal.verify() is None


def test_the_chain_goes_on_after_a_new_start(path: Path) -> None:
    with Journal.open(path) as first:
        first.add("a.b")
        epoch = first.epoch
    with Journal.open(path) as second:
        assert second.epoch == epoch
        assert second.add("c.d").sequence == 2
        assert second.verify() is None


def test_a_settled_entry_is_sent_no_more_and_stays(journal: Journal) -> None:
    for _ in range(3):
        journal.add("a.b")
    journal.settle([1, 3, 99])
    assert [sequence for sequence, _ in journal.unsent(9)] == [2]
    assert len(journal.tail(9)) == 3
    journal.send_again(1)
    assert [sequence for sequence, _ in journal.unsent(9)] == [1, 2]


def test_threads_that_add_at_once_make_one_chain(journal: Journal) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: journal.add("a.b", {"n": n}).sequence, range(100)))
    assert sorted(made) == list(range(1, 101))
    assert journal.verify() is None


def _exchange(database: sqlite3.Connection) -> None:
    second, third = (_encoded(database, sequence) for sequence in (2, 3))
    database.execute("UPDATE entry SET encoded = ? WHERE sequence = 2", (third,))
    database.execute("UPDATE entry SET encoded = ? WHERE sequence = 3", (second,))


def _change(database: sqlite3.Connection) -> None:
    changed = _encoded(database, 3).replace(b"a.b", b"x.y")
    database.execute("UPDATE entry SET encoded = ? WHERE sequence = 3", (changed,))


def _encoded(database: sqlite3.Connection, sequence: int) -> bytes:
    return bytes(database.execute("SELECT encoded FROM entry WHERE sequence = ?", (sequence,)).fetchone()[0])


TAMPERINGS: dict[str, tuple[Callable[[sqlite3.Connection], object], int]] = {
    "an entry changed": (_change, 4),  # it is one still; the one after does not name it
    "the newest changed": (lambda d: d.execute("UPDATE entry SET encoded = x'a0' WHERE sequence = 5"), 5),
    "an entry made noise": (lambda d: d.execute("UPDATE entry SET encoded = x'00' WHERE sequence = 2"), 2),
    "an entry taken": (lambda d: d.execute("DELETE FROM entry WHERE sequence = 4"), 4),
    "the last one taken": (lambda d: d.execute("DELETE FROM entry WHERE sequence = 5"), 5),
    "the first one taken": (lambda d: d.execute("DELETE FROM entry WHERE sequence = 1"), 1),
    "two exchanged": (_exchange, 2),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_verify_finds_an_entry_that_is_not_what_it_was(path: Path, name: str) -> None:
    with Journal.open(path) as made:
        for n in range(5):
            made.add("a.b", {"n": n})
    tamper, fault = TAMPERINGS[name]
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        tamper(database)
    with Journal.open(path) as made:
        assert made.verify() == fault
    assert journals.look(path, 0, verify=True).fault == fault


def test_a_damaged_file_is_moved_aside_and_the_new_one_says_so(path: Path) -> None:
    with Journal.open(path) as first:
        first.add("a.b")
        epoch = first.epoch
    noise = os.urandom(20_000)
    path.write_bytes(noise)
    with Journal.open(path) as second:
        assert second.epoch != epoch
        assert [(one.sequence, one.kind, one.body) for one in second.tail(9)] == [
            (1, "journal.renewed", {"bytes": 20_000})
        ]
        assert second.broken_file is not None
        assert second.broken_file.read_bytes() == noise
    with Journal.open(path) as third:
        assert third.broken_file is None
        assert len(third.tail(9)) == 1


def fill(journal: Journal, octets: int) -> None:
    while True:
        journal.add("a.b", {"octets": os.urandom(octets)})


def test_settled_entries_leave_by_age_and_the_rest_still_verifies(path: Path) -> None:
    now_ms = NOW_MS
    with Journal.open(path, now_ms=lambda: now_ms) as made:
        for _ in range(6):
            made.add("a.b")
        now_ms += KEPT_MS + 1
        made.settle([1, 2, 3, 5])
        assert [one.sequence for one in made.tail(9)] == [4, 5, 6]
        assert made.verify() is None
        assert made.add("c.d").sequence == 7
        assert made.verify() is None


@pytest.mark.parametrize("octets", [300, 1_500, 2_100, 9_000])
def test_settled_entries_leave_when_there_are_too_many_and_unsettled_ones_never(path: Path, octets: int) -> None:
    with Journal.open(path, max_bytes=400_000) as made:
        for n in range(1, 650_000 // (octets + 1_000) + 1):
            made.add("a.b", {"octets": os.urandom(octets)})
            made.settle([n])
        assert path.stat().st_size < 450_000
        assert len(made.tail(2_000)) > 90_000 // (octets + 200)
        assert made.verify() is None
        with pytest.raises(JournalFullError):
            fill(made, octets)
        left = made.unsent(5_000)
        assert [sequence for sequence, _ in left] == list(range(n + 1, n + 1 + len(left)))
        assert made.verify() is None
        made.settle(sequence for sequence, _ in left[: len(left) // 2])
        made.add("room.found")


def test_a_full_disk_refuses_entries_and_books_receipts(tiny_disk: Path) -> None:
    with Journal.open(tiny_disk / "journal.db") as made:
        with pytest.raises(JournalFullError):
            fill(made, 20_000)
        put = len(made.tail(100))
        assert put > 5
        made.settle(range(1, put + 1))
        assert made.unsent(9) == []
        assert made.verify() is None


def test_two_programs_do_not_share_a_journal(journal: Journal, path: Path) -> None:
    with pytest.raises(JournalError, match="in use"):
        Journal.open(path)
    journal.add("a.b")
    assert journals.look(path, 9, verify=True).total == 1


def test_adding_wakes_whoever_sends(journal: Journal) -> None:
    woken: list[int] = []
    journal.added = lambda: woken.append(1)
    journal.add("a.b")
    assert woken == [1]
