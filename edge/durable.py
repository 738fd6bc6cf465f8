"""A SQLite file that a power cut, a full disk or a damaged card does not take, for what a gateway keeps.

Synchronous FULL: what a transaction wrote is on the disk when it returns. A ballast beside the file is given up when
the disk is full, so that what makes room again can still be written.
"""

import contextlib
import fcntl
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Self

from edge.errors import JournalBrokenError, JournalError, JournalFullError

_PAGE_OCTETS: Final = 4_096
_MIN_PAGES: Final = 32
_LOG_PAGES: Final = 64
_BALLAST_OCTETS: Final = 80 * _PAGE_OCTETS


@dataclass(slots=True)
class DurableFile:
    """One file, held by one process. May be used from any thread, one transaction at a time.

    Attributes:
        broken_file: where a damaged file was moved to when this one took its place, None if none was.
    """

    path: Path
    broken_file: Path | None
    _database: sqlite3.Connection
    _lock_file: IO[bytes]
    _mutex: threading.RLock

    @classmethod
    def open(cls, path: Path, schema: str, *, max_bytes: int) -> Self:
        """Return the file at `path`, made if there is none; a damaged one is moved to `path`.broken.

        Args:
            path: its directory must exist.
            schema: statements that do nothing where they were done before.
            max_bytes: how large the file may grow; at least 128 KiB are granted.

        Raises:
            JournalError: in use by another process, or the disk refuses.
        """
        lock_file = _locked(path.with_name(path.name + ".lock"))
        broken_file = None
        try:
            try:
                database = _opened(path, schema, max_bytes)
            except JournalBrokenError:
                broken_file = _moved_away(path)
                database = _opened(path, schema, max_bytes)
        except BaseException:
            lock_file.close()
            raise
        file = cls(path, broken_file, database, lock_file, threading.RLock())
        file.keep_ballast()
        return file

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One write transaction: all of it or nothing, on the disk at the end.

        Raises:
            JournalFullError: no room; nothing changed.
            JournalError: the disk failed; nothing changed.
        """
        with self._mutex, named_errors():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back by itself
                    self._database.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Return the connection to read from."""
        with self._mutex, named_errors():
            yield self._database

    def drop_ballast(self) -> None:
        """Give up the reserve, and fold the log so that the next transaction overwrites it and needs no more disk."""
        _ballast_of(self.path).unlink(missing_ok=True)
        with contextlib.suppress(JournalError), self.reading() as database:  # the next attempt says what is wrong
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
        with self._mutex, contextlib.closing(self._lock_file), named_errors():
            self._database.close()


@contextlib.contextmanager
def named_errors() -> Iterator[None]:
    """Turn SQLite's errors into ours."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0)
        if code & 0xFF == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_SHMSIZE:
            raise JournalFullError("the journal or its disk is full") from error
        if code & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            raise JournalBrokenError("the journal is damaged") from error
        raise JournalError(f"the journal cannot be used: {type(error).__name__}") from error


def _locked(path: Path) -> IO[bytes]:
    try:
        lock_file = path.open("ab")
    except OSError as error:
        raise JournalError(f"cannot open the journal: {error.strerror}") from error
    try:
        fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock_file.close()
        raise JournalError("the journal is in use by another process") from error
    return lock_file


def _ballast_of(path: Path) -> Path:
    return path.with_name(path.name + ".ballast")


def _moved_away(path: Path) -> Path:
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
        raise JournalError(f"a damaged journal cannot be moved away: {error.strerror}") from error
    return target


def _opened(path: Path, schema: str, max_bytes: int) -> sqlite3.Connection:
    try:
        with named_errors():
            return _connected(path, schema, max_bytes)
    except JournalFullError:  # a full disk must not keep a gateway from starting
        _ballast_of(path).unlink(missing_ok=True)
        with named_errors():
            return _connected(path, schema, max_bytes)


def _connected(path: Path, schema: str, max_bytes: int) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    try:
        database.execute(f"PRAGMA page_size = {_PAGE_OCTETS}")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
        database.execute(f"PRAGMA max_page_count = {max(_MIN_PAGES, max_bytes // _PAGE_OCTETS)}")
        _check_whole(database)
        database.execute("BEGIN IMMEDIATE")
        for statement in schema.strip().rstrip(";").split(";"):
            database.execute(statement)
        database.execute("COMMIT")
        _sync_directory(path.parent)
    except BaseException:
        database.close()
        raise
    return database


def _check_whole(database: sqlite3.Connection) -> None:
    if database.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
        raise JournalBrokenError("the journal is damaged")


def _sync_directory(directory: Path) -> None:
    """Make the names of new files durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
