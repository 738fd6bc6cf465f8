"""A SQLite file that a power cut, a full disk or a damaged card does not take, for what a detector keeps.

In write-ahead mode; what a transaction wrote is on the disk when it returns, if it is not told otherwise. A ballast
beside the file is given up when the disk is full, so that what makes room again can still be written.
"""

import contextlib
import fcntl
import os
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Literal, Self

PAGE_OCTETS: Final = 4_096
_LOG_PAGES: Final = 64
"""How long SQLite's log grows before it is folded into the file: a full disk must hold this much twice, no more."""
_BALLAST_OCTETS: Final = 80 * PAGE_OCTETS


@dataclass(frozen=True, slots=True)
class FileKind:
    """What one kind of file has of its own.

    Attributes:
        noun: what messages call it, as "outbox".
        failed: returns the message for a fault of SQLite's that is neither of the two below.
        error: raised for every fault; the next two are subclasses of it.
        full: no room; nothing changed.
        broken: damaged; trying again does not help.
        min_pages: granted however small the limit.
        lay_out: called within the transaction that opens: makes the tables that are missing, refuses those of others.
    """

    noun: str
    failed: Callable[[sqlite3.Error], str]
    error: type[Exception]
    full: type[Exception]
    broken: type[Exception]
    min_pages: int
    lay_out: Callable[[sqlite3.Connection], None]

    @contextlib.contextmanager
    def named_errors(self) -> Iterator[None]:
        """Turn SQLite's errors into ours."""
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0)
            if code & 0xFF == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_SHMSIZE:
                raise self.full(f"the {self.noun} or its disk is full") from error
            if code & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
                raise self.broken(f"the {self.noun} is damaged") from error
            raise self.error(self.failed(error)) from error


@dataclass(slots=True)
class DurableFile:
    """One file, held by one process. May be used from any thread, one transaction at a time.

    Attributes:
        broken_file: where a damaged file was moved to when this one took its place, None if none was.
        mutex: held by each call; whoever holds it longer makes several of them one.
    """

    path: Path
    broken_file: Path | None
    mutex: threading.RLock
    _kind: FileKind
    _database: sqlite3.Connection
    _lock_file: IO[bytes]

    @classmethod
    def open(cls, path: Path, kind: FileKind, *, max_bytes: int, may_renew: bool) -> Self:
        """Return the file at `path`, made if there is none. The whole of it is checked first.

        Args:
            path: its directory must exist. `path`.lock, `path`-wal, `path`-shm and `path`.ballast lie beside it.
            kind: what it is to hold, and which errors are raised.
            max_bytes: how large the file may grow.
            may_renew: move a damaged file to `path`.broken, in the place of an earlier one, and begin anew.

        Raises:
            kind.broken: damaged, and may not be moved away.
            kind.error: in use by another process, refused by `kind.lay_out`, or the disk refuses.
        """
        lock_file = _locked(path.with_name(path.name + ".lock"), kind)
        broken_file = None
        try:
            try:
                database = _opened(path, kind, max_bytes)
            except kind.broken:
                if not may_renew:
                    raise
                broken_file = _moved_away(path, kind)
                database = _opened(path, kind, max_bytes)
        except BaseException:
            lock_file.close()
            raise
        file = cls(path, broken_file, threading.RLock(), kind, database, lock_file)
        file.keep_ballast()
        return file

    @contextlib.contextmanager
    def transaction(self, synchronous: Literal["FULL", "NORMAL"] = "FULL") -> Iterator[sqlite3.Connection]:
        """One write transaction: all of it or nothing.

        Args:
            synchronous: FULL: on the disk at the end. NORMAL: survives kill -9, and may be lost with the power.

        Raises:
            kind.full: no room; nothing changed.
            kind.error: the disk failed; nothing changed.
        """
        with self.reading() as database:
            database.execute(f"PRAGMA synchronous = {synchronous}")
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                database.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back by itself
                    database.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Return the connection to read from."""
        with self.mutex, self._kind.named_errors():
            yield self._database

    def drop_ballast(self) -> None:
        """Give up the reserve, and fold the log so that the next transaction overwrites it and needs no more disk."""
        _ballast_of(self.path).unlink(missing_ok=True)
        with contextlib.suppress(self._kind.error), self.reading() as database:  # the next attempt says what is wrong
            database.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()

    def keep_ballast(self) -> None:
        """Hold some disk in reserve, if there is any."""
        ballast = _ballast_of(self.path)
        if ballast.exists():
            return
        try:
            ballast.write_bytes(secrets.token_bytes(_BALLAST_OCTETS))  # random: not to be compressed away
        except OSError:
            ballast.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the files."""
        with self.mutex, contextlib.closing(self._lock_file), self._kind.named_errors():
            self._database.close()


def run(database: sqlite3.Connection, statements: str) -> None:
    """Run several statements within the transaction that is open."""
    for statement in statements.strip().rstrip(";").split(";"):
        database.execute(statement)


def _locked(path: Path, kind: FileKind) -> IO[bytes]:
    try:
        lock_file = path.open("ab")
    except OSError as error:
        raise kind.error(f"cannot open the {kind.noun}: {error.strerror}") from error
    try:
        fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock_file.close()
        raise kind.error(f"the {kind.noun} is in use by another process") from error
    return lock_file


def _ballast_of(path: Path) -> Path:
    return path.with_name(path.name + ".ballast")


def _moved_away(path: Path, kind: FileKind) -> Path:
    """Return where the damaged file is now; its log goes with it, what was in memory of it is gone."""
    target = path.with_name(path.name + ".broken")
    try:
        for ending in ("", "-wal"):
            part = path.with_name(path.name + ending)
            if part.exists():
                part.replace(target.with_name(target.name + ending))
            else:
                target.with_name(target.name + ending).unlink(missing_ok=True)
        path.with_name(path.name + "-shm").unlink(missing_ok=True)
    except OSError as error:
        raise kind.error(f"a damaged {kind.noun} cannot be moved away: {error.strerror}") from error
    return target


def _opened(path: Path, kind: FileKind, max_bytes: int) -> sqlite3.Connection:
    try:
        with kind.named_errors():
            return _connected(path, kind, max_bytes)
    except kind.full:  # a full disk must not keep a detector from starting and booking receipts
        _ballast_of(path).unlink(missing_ok=True)
        with kind.named_errors():
            return _connected(path, kind, max_bytes)


def _connected(path: Path, kind: FileKind, max_bytes: int) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    try:
        database.execute(f"PRAGMA page_size = {PAGE_OCTETS}")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
        database.execute(f"PRAGMA max_page_count = {max(kind.min_pages, max_bytes // PAGE_OCTETS)}")
        _check_whole(database, kind)
        database.execute("BEGIN IMMEDIATE")
        kind.lay_out(database)
        database.execute("COMMIT")
        _sync_directory(path.parent)
    except BaseException:
        database.close()
        raise
    return database


def _check_whole(database: sqlite3.Connection, kind: FileKind) -> None:
    if database.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
        raise kind.broken(f"the {kind.noun} is damaged")


def _sync_directory(directory: Path) -> None:
    """Make the names of new files durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
