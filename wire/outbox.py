"""The outbox: sealed batches on disk until the server's receipt, and the journal of what is not a batch yet.

One SQLite file in write-ahead mode. A put is one transaction and on the disk when `put` returns; a journal entry
survives the death of the process and may be lost with the power. Nothing leaves but by a receipt.
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
from typing import IO, Final, Self

from wire.errors import OutboxBrokenError, OutboxError, OutboxFull, OutboxFullError
from wire.messages import Receipt

__all__ = ["Outbox", "OutboxFull", "Pending", "Settled", "Totals"]

_PAGE_OCTETS: Final = 4_096
_MIN_PAGES: Final = 16
_LOG_PAGES: Final = 64
"""How long SQLite's log grows before it is folded into the file: a full disk must hold this much twice, no more."""
_BALLAST_OCTETS: Final = 80 * _PAGE_OCTETS
_SCHEMA = """
CREATE TABLE IF NOT EXISTS state (
    only INTEGER PRIMARY KEY CHECK (only = 1), layout INTEGER NOT NULL, epoch INTEGER NOT NULL,
    next_sequence INTEGER NOT NULL, put_rows INTEGER NOT NULL, accepted_rows INTEGER NOT NULL,
    refused_rows INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS batch (
    sequence INTEGER PRIMARY KEY, rows INTEGER NOT NULL, created_ms INTEGER NOT NULL, payload BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS journal (
    only INTEGER PRIMARY KEY CHECK (only = 1), state BLOB NOT NULL, position INTEGER NOT NULL);
"""
_LAYOUT: Final = 1


@dataclass(frozen=True, slots=True)
class Pending:
    """A batch without a receipt. `payload` is the sealed envelope, `created_ms` as given to `put`."""

    sequence: int
    rows: int
    payload: bytes
    created_ms: int


@dataclass(frozen=True, slots=True)
class Settled:
    """What a receipt ended: rows of accepted and of refused batches, and each refused batch with its reason."""

    accepted_rows: int = 0
    refused_rows: int = 0
    refused: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts over the life of the outbox; `put_rows` = accepted + refused + pending. `oldest_ms`: oldest pending."""

    put_rows: int
    accepted_rows: int
    refused_rows: int
    pending_batches: int
    pending_rows: int
    oldest_ms: int | None


class Outbox:
    """Batches of one detector, kept until receipted. May be called from any thread, one call at a time.

    Attributes:
        epoch: 32 bits, drawn anew with each new file.
        broken_file: where a damaged outbox was moved to when this one took its place, None if none was.
    """

    def __init__(
        self, database: sqlite3.Connection, lock_file: IO[bytes], path: Path, *, broken_file: Path | None = None
    ) -> None:
        self._database = database
        self._lock_file = lock_file
        self._ballast = _ballast_of(path)
        self._mutex = threading.Lock()
        self.broken_file = broken_file
        self.epoch = int(database.execute("SELECT epoch FROM state").fetchone()[0])

    @classmethod
    def open(cls, path: str | Path, *, max_bytes: int, may_renew: bool = False) -> Self:
        """Return the outbox in the file `path`, made if there is none.

        The whole file is checked first, about a second for 256 MB.

        Args:
            path: its directory must exist. `path`.lock, `path`-wal, `path`-shm and `path`.ballast lie beside it.
            max_bytes: how large the file may grow; at least 64 KiB are granted.
            may_renew: move a damaged file to `path`.broken, in the place of an earlier one, and begin anew with an
                epoch of its own: a detector must go on. See `broken_file`.

        Raises:
            OutboxBrokenError: damaged, and may not be moved away.
            OutboxError: in use by another process, unreadable, or not an outbox of this layout.
        """
        target = Path(path)
        lock_file = _locked(target.with_name(target.name + ".lock"))
        broken_file = None
        try:
            try:
                database = _opened(target, max_bytes)
            except OutboxBrokenError:
                if not may_renew:
                    raise
                broken_file = _moved_away(target)
                database = _opened(target, max_bytes)
            outbox = cls(database, lock_file, target, broken_file=broken_file)
        except BaseException:
            lock_file.close()
            raise
        outbox._keep_ballast()
        return outbox

    def put(
        self,
        rows: int,
        created_ms: int,
        seal: Callable[[int, int], bytes],
        *,
        journal: tuple[bytes, int] | None = None,
    ) -> int:
        """Return the sequence of a new batch, once it is on the disk for good.

        Args:
            rows: how many sightings it holds.
            created_ms: Unix milliseconds.
            seal: called with epoch and sequence; returns the envelope. If it raises, nothing is put.
            journal: state and position to remember in the same transaction.

        Raises:
            OutboxFull: no room; nothing changed. Room comes back with receipts.
            OutboxError: the disk failed; nothing changed.
        """
        with self._transaction() as database:
            sequence = int(database.execute("SELECT next_sequence FROM state").fetchone()[0])
            payload = seal(self.epoch, sequence)
            database.execute("INSERT INTO batch VALUES (?, ?, ?, ?)", (sequence, rows, created_ms, payload))
            database.execute("UPDATE state SET next_sequence = ?, put_rows = put_rows + ?", (sequence + 1, rows))
            if journal is not None:
                database.execute("INSERT OR REPLACE INTO journal VALUES (1, ?, ?)", journal)
            return sequence

    def pending(self, limit: int, after: int = 0) -> list[Pending]:
        """Return up to `limit` batches without a receipt, oldest first, with sequences above `after`."""
        with self._mutex, _named_errors():
            found = self._database.execute(
                "SELECT sequence, rows, payload, created_ms FROM batch WHERE sequence > ? ORDER BY sequence LIMIT ?",
                (after, limit),
            )
            return [Pending(*row) for row in found.fetchall()]

    def settle(self, receipt: Receipt) -> Settled:
        """Return what a receipt ended, after deleting it. Another epoch's receipt, or a second one, ends nothing.

        Raises:
            OutboxError: the disk failed; nothing changed, and the receipt will come again with the next resend.
        """
        if receipt.epoch != self.epoch:
            return Settled()
        try:
            return self._settle(receipt)
        except OutboxFullError:  # deleting needs some room, too: the ballast is kept for this
            self._ballast.unlink(missing_ok=True)
            with contextlib.suppress(OutboxError):  # the second attempt says what is wrong
                self._fold_log()
            return self._settle(receipt)

    def totals(self) -> Totals:
        """Return the counts, lifetime and pending."""
        with self._mutex, _named_errors():
            put, accepted, refused = self._database.execute(
                "SELECT put_rows, accepted_rows, refused_rows FROM state"
            ).fetchone()
            batches, rows = self._database.execute("SELECT count(*), coalesce(sum(rows), 0) FROM batch").fetchone()
            oldest = self._database.execute("SELECT created_ms FROM batch ORDER BY sequence LIMIT 1").fetchone()
        return Totals(put, accepted, refused, batches, rows, oldest[0] if oldest else None)

    def journal(self, state: bytes, position: int) -> None:
        """Remember open windows and the radio's position; survives kill -9, and may be lost with the power.

        Raises:
            OutboxFull: no room; the entry before stays.
            OutboxError: the disk failed; the entry before stays.
        """
        with self._transaction(synchronous="NORMAL") as database:
            database.execute("INSERT OR REPLACE INTO journal VALUES (1, ?, ?)", (state, position))

    def restore(self) -> tuple[bytes, int]:
        """Return the last journal entry, (b"", 0) if there is none."""
        with self._mutex, _named_errors():
            found = self._database.execute("SELECT state, position FROM journal").fetchone()
        return (bytes(found[0]), int(found[1])) if found else (b"", 0)

    def close(self) -> None:
        """Close the files. What is pending stays."""
        with self._mutex, contextlib.closing(self._lock_file), _named_errors():
            self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _settle(self, receipt: Receipt) -> Settled:
        # Not synced: a power cut may bring settled batches back, they are sent again and change nothing.
        with self._transaction(synchronous="NORMAL") as database:
            accepted = sum(_deleted_rows(database, sequence) or 0 for sequence in receipt.accepted)
            ended = [(sequence, reason, _deleted_rows(database, sequence)) for sequence, reason in receipt.refused]
            refused = sum(rows or 0 for _, _, rows in ended)
            database.execute(
                "UPDATE state SET accepted_rows = accepted_rows + ?, refused_rows = refused_rows + ?",
                (accepted, refused),
            )
        self._keep_ballast()
        return Settled(
            accepted, refused, tuple((sequence, reason) for sequence, reason, rows in ended if rows is not None)
        )

    @contextlib.contextmanager
    def _transaction(self, synchronous: str = "FULL") -> Iterator[sqlite3.Connection]:
        """One write transaction: all of it or nothing, on the disk at the end if `synchronous` is FULL."""
        with self._mutex, _named_errors():
            self._database.execute(f"PRAGMA synchronous = {synchronous}")
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back by itself
                    self._database.execute("ROLLBACK")
                raise

    def _fold_log(self) -> None:
        """Write the log's pages to their places, so that the next transaction overwrites it and needs no more disk."""
        with self._mutex, _named_errors():
            self._database.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()

    def _keep_ballast(self) -> None:
        """Hold some disk in reserve, so that receipts can still be booked when it is full."""
        if self._ballast.exists():
            return
        try:
            self._ballast.write_bytes(secrets.token_bytes(_BALLAST_OCTETS))  # random: not to be compressed away
        except OSError:
            self._ballast.unlink(missing_ok=True)


def _locked(path: Path) -> IO[bytes]:
    try:
        lock_file = path.open("ab")
    except OSError as error:
        raise OutboxError(f"cannot open the outbox: {error.strerror}") from error
    try:
        fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock_file.close()
        raise OutboxError("the outbox is in use by another process") from error
    return lock_file


def _ballast_of(path: Path) -> Path:
    return path.with_name(path.name + ".ballast")


def _moved_away(path: Path) -> Path:
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
        raise OutboxError(f"a damaged outbox cannot be moved away: {error.strerror}") from error
    return target


def _opened(path: Path, max_bytes: int) -> sqlite3.Connection:
    try:
        with _named_errors():
            return _connected(path, max_bytes)
    except OutboxFullError:  # a full disk must not keep a detector from starting and booking receipts
        _ballast_of(path).unlink(missing_ok=True)
        with _named_errors():
            return _connected(path, max_bytes)


def _connected(path: Path, max_bytes: int) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    try:
        database.execute(f"PRAGMA page_size = {_PAGE_OCTETS}")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
        database.execute(f"PRAGMA max_page_count = {max(_MIN_PAGES, max_bytes // _PAGE_OCTETS)}")
        _check_whole(database)
        database.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA.strip().rstrip(";").split(";"):
            database.execute(statement)
        database.execute(
            "INSERT OR IGNORE INTO state VALUES (1, ?, ?, 1, 0, 0, 0)", (_LAYOUT, 1 + secrets.randbelow(2**32 - 1))
        )
        database.execute("COMMIT")
        _check_layout(database)
        _sync_directory(path.parent)
    except BaseException:
        database.close()
        raise
    return database


def _check_whole(database: sqlite3.Connection) -> None:
    if database.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
        raise OutboxBrokenError("the outbox is damaged")


def _check_layout(database: sqlite3.Connection) -> None:
    if database.execute("SELECT layout FROM state").fetchone() != (_LAYOUT,):
        raise OutboxError("an outbox of a layout that we do not know")


def _sync_directory(directory: Path) -> None:
    """Make the names of new files durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _deleted_rows(database: sqlite3.Connection, sequence: int) -> int | None:
    """Return the rows of the batch just deleted, None if there was none."""
    found = database.execute("SELECT rows FROM batch WHERE sequence = ?", (sequence,)).fetchone()
    if found is None:
        return None
    database.execute("DELETE FROM batch WHERE sequence = ?", (sequence,))
    return int(found[0])


@contextlib.contextmanager
def _named_errors() -> Iterator[None]:
    """Turn SQLite's errors into ours."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0)
        if code & 0xFF == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_SHMSIZE:
            raise OutboxFull("the outbox or its disk is full") from error
        if code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise OutboxBrokenError("the outbox is damaged") from error
        raise OutboxError(f"the outbox failed: {getattr(error, 'sqlite_errorname', error)}") from error
