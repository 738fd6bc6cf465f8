"""The file that outbox and journal share; what they put into it is tested beside them."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire.durable import DurableFile, FileKind, run

MIB = 1 << 20


class FaultError(Exception):
    """Any fault of the ledger."""


class RoomError(FaultError):
    """The ledger is full."""


class DamageError(FaultError):
    """The ledger is damaged."""


LEDGER = FileKind(
    "ledger",
    failed=lambda error: f"the ledger failed: {error}",
    error=FaultError,
    full=RoomError,
    broken=DamageError,
    min_pages=16,
    lay_out=lambda database: run(database, "CREATE TABLE IF NOT EXISTS line (number INTEGER, text BLOB);"),
)


def opened(path: Path, *, may_renew: bool = False) -> DurableFile:
    return DurableFile.open(path, LEDGER, max_bytes=MIB, may_renew=may_renew)


def write(file: DurableFile, lines: int) -> None:
    for number in range(lines):
        with file.transaction() as database:
            database.execute("INSERT INTO line VALUES (?, ?)", (number, bytes(3_000)))


def count(file: DurableFile) -> int:
    with file.reading() as database:
        return int(database.execute("SELECT count(*) FROM line").fetchone()[0])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[DurableFile]:
    file = opened(path)
    yield file
    file.close()


def test_a_second_process_is_kept_out(path: Path, ledger: DurableFile) -> None:
    with pytest.raises(FaultError, match="the ledger is in use by another process"):
        opened(path)
    ledger.close()
    opened(path).close()


def test_a_directory_that_is_not_there_is_an_error_of_the_kind(tmp_path: Path) -> None:
    with pytest.raises(FaultError, match="cannot open the ledger"):
        opened(tmp_path / "gone" / "ledger.db")


def test_a_directory_in_the_place_of_the_file_is_an_error_of_the_kind(path: Path) -> None:
    path.mkdir()
    with pytest.raises(FaultError):
        opened(path)


@given(st.binary(min_size=512, max_size=5_000))  # what is shorter SQLite takes for a file just made
@settings(max_examples=30)
def test_a_file_that_is_no_database_is_an_error_of_the_kind(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("foreign") / "ledger.db"
    path.write_bytes(data)
    with pytest.raises(FaultError):
        opened(path)


def test_a_file_damaged_while_it_is_open_is_said_to_be_damaged(path: Path, ledger: DurableFile) -> None:
    write(ledger, 80)
    ledger.drop_ballast()
    with path.open("r+b") as file:
        file.seek(4_096)
        file.write(b"\xff" * 100_000)
    with ledger.reading() as database:
        database.execute("PRAGMA shrink_memory")  # what is cached is not read again
    with pytest.raises(DamageError, match="the ledger is damaged"):
        count(ledger)


def test_a_damaged_file_goes_only_where_it_may_and_takes_the_place_of_an_earlier_one(path: Path) -> None:
    broken = path.with_name("ledger.db.broken")
    for noise in (b"a" * 5_000, b"b" * 6_000):
        path.write_bytes(noise)
        with pytest.raises(DamageError):
            opened(path)
        assert path.read_bytes() == noise
        file = opened(path, may_renew=True)
        assert (file.broken_file, broken.read_bytes(), count(file)) == (broken, noise, 0)
        file.close()


@pytest.mark.parametrize("fault", [sqlite3.OperationalError("locked"), ZeroDivisionError()])
def test_a_transaction_that_fails_leaves_nothing(ledger: DurableFile, fault: Exception) -> None:
    def fail() -> None:
        with ledger.transaction() as database:
            database.execute("INSERT INTO line VALUES (1, x'00')")
            raise fault

    with pytest.raises(ZeroDivisionError if isinstance(fault, ZeroDivisionError) else FaultError):
        fail()
    assert count(ledger) == 0


def test_a_file_at_its_limit_says_so_and_keeps_what_it_holds(ledger: DurableFile) -> None:
    with pytest.raises(RoomError, match="the ledger or its disk is full"):
        write(ledger, 1_000)
    assert 200 < count(ledger) < 1_000


def test_a_layout_that_is_refused_leaves_the_file_to_others(path: Path) -> None:
    def refused(_: sqlite3.Connection) -> None:
        raise FaultError("not ours")

    stranger = FileKind("ledger", LEDGER.failed, FaultError, RoomError, DamageError, 16, refused)
    with pytest.raises(FaultError, match="not ours"):
        DurableFile.open(path, stranger, max_bytes=MIB, may_renew=True)
    opened(path).close()
