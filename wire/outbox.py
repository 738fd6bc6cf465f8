"""The outbox: sealed batches on disk until the server's receipt, and the journal of what is not a batch yet.

One SQLite file in write-ahead mode. A put is one transaction and on the disk when `put` returns; a journal entry
survives the death of the process and may be lost with the power. Nothing leaves but by a receipt, or when the file has
reached its limit: then the oldest are thinned by the rule of `wire/thinning.py`, and counted.
"""

import contextlib
import fcntl
import os
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Self

from wire import thinning
from wire.errors import OutboxBrokenError, OutboxError, OutboxFull, OutboxFullError
from wire.messages import Receipt
from wire.thinning import Thinned

__all__ = ["Outbox", "OutboxFull", "Pending", "Settled", "Thinned", "Totals"]

_PAGE_OCTETS: Final = 4_096
_MIN_PAGES: Final = 16
_LOG_PAGES: Final = 64
"""How long SQLite's log grows before it is folded into the file: a full disk must hold this much twice, no more."""
_BALLAST_OCTETS: Final = 80 * _PAGE_OCTETS
_SCHEMA = """
CREATE TABLE IF NOT EXISTS state (
    only INTEGER PRIMARY KEY CHECK (only = 1), layout INTEGER NOT NULL, epoch INTEGER NOT NULL,
    next_sequence INTEGER NOT NULL, put_rows INTEGER NOT NULL, accepted_rows INTEGER NOT NULL,
    refused_rows INTEGER NOT NULL, pending_batches INTEGER NOT NULL DEFAULT 0,
    pending_rows INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS batch (
    sequence INTEGER PRIMARY KEY, rows INTEGER NOT NULL, created_ms INTEGER NOT NULL, payload BLOB NOT NULL,
    urgent INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS journal (
    only INTEGER PRIMARY KEY CHECK (only = 1), state BLOB NOT NULL, position INTEGER NOT NULL);
"""
_FROM_LAYOUT_1 = """
ALTER TABLE state ADD COLUMN pending_batches INTEGER NOT NULL DEFAULT 0;
ALTER TABLE state ADD COLUMN pending_rows INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batch ADD COLUMN urgent INTEGER NOT NULL DEFAULT 0;
UPDATE state SET layout = 2, pending_batches = (SELECT count(*) FROM batch),
    pending_rows = (SELECT coalesce(sum(rows), 0) FROM batch);
"""
_LAYOUT: Final = 2
_BATCH: Final = "SELECT sequence, rows, payload, created_ms FROM batch WHERE sequence = ?"


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
    """Counts over the life of the outbox; `put_rows` = accepted + refused + thinned + pending.

    Attributes:
        oldest_ms: when the oldest pending batch was put.
        thinned_rows: given up because the file had reached its limit; one that was on its way may have arrived.
        thinned_batches: that held them.
        thinned_from_ms: when the oldest of them was put, None if there was none.
        thinned_to_ms: when the newest of them was put.
    """

    put_rows: int
    accepted_rows: int
    refused_rows: int
    pending_batches: int
    pending_rows: int
    oldest_ms: int | None
    thinned_rows: int = 0
    thinned_batches: int = 0
    thinned_from_ms: int | None = None
    thinned_to_ms: int | None = None


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
        self._mutex = threading.RLock()
        self.broken_file = broken_file
        self.epoch = int(database.execute("SELECT epoch FROM state").fetchone()[0])
        self._soft_pages = int(_pragma(database, "max_page_count") * thinning.SOFT)

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
        is_urgent: bool = False,
    ) -> int:
        """Return the sequence of a new batch, once it is on the disk for good.

        Near the limit of the file, older batches are given up in the same transaction, see `wire/thinning.py`.

        Args:
            rows: how many sightings it holds.
            created_ms: Unix milliseconds.
            seal: called with epoch and sequence; returns the envelope. If it raises, nothing is put.
            journal: state and position to remember in the same transaction.
            is_urgent: may hold a call for help: sent first, given up last.

        Raises:
            OutboxFull: no room on the disk, or none was made yet by thinning; this batch is not put.
            OutboxError: the disk failed; nothing changed.
        """
        needed = (len(journal[0]) if journal else 0) // _PAGE_OCTETS + 2
        with self._mutex:
            try:
                return self._put((rows, created_ms, int(is_urgent)), seal, journal, needed)
            except OutboxFullError:
                # What was given up within that transaction has come back with it: give up without putting, then put.
                with self._transaction() as database:
                    self._thin(database, needed)
                return self._put((rows, created_ms, int(is_urgent)), seal, journal, needed)

    def _put(
        self,
        facts: tuple[int, int, int],
        seal: Callable[[int, int], bytes],
        journal: tuple[bytes, int] | None,
        needed: int,
    ) -> int:
        rows, created_ms, urgent = facts
        with self._transaction() as database:
            sequence = int(database.execute("SELECT next_sequence FROM state").fetchone()[0])
            payload = seal(self.epoch, sequence)
            pages = needed + len(payload) // _PAGE_OCTETS
            self._thin(database, pages)
            database.execute("INSERT INTO batch VALUES (?, ?, ?, ?, ?)", (sequence, rows, created_ms, payload, urgent))
            database.execute(
                "UPDATE state SET next_sequence = ?, put_rows = put_rows + ?, pending_batches = pending_batches + 1, "
                "pending_rows = pending_rows + ?",
                (sequence + 1, rows, rows),
            )
            if journal is not None:
                database.execute("INSERT OR REPLACE INTO journal VALUES (1, ?, ?)", journal)
            return sequence

    def _thin(self, database: sqlite3.Connection, pages: int) -> None:
        """Make room for so many pages as far as one transaction may."""
        gone = thinning.thin(database, is_full=lambda: self._is_full(pages))
        if gone.batches:
            database.execute(
                "UPDATE state SET pending_batches = pending_batches - ?, pending_rows = pending_rows - ?",
                (gone.batches, gone.rows),
            )

    def _is_full(self, pages: int) -> bool:
        """Whether so many pages more would pass the soft limit."""
        used = _pragma(self._database, "page_count") - _pragma(self._database, "freelist_count")
        return used + pages > self._soft_pages

    def pending(self, limit: int, after: int = 0) -> list[Pending]:
        """Return up to `limit` batches without a receipt, oldest first, with sequences above `after`."""
        with self._mutex, _named_errors():
            found = self._database.execute(
                "SELECT sequence, rows, payload, created_ms FROM batch WHERE sequence > ? ORDER BY sequence LIMIT ?",
                (after, limit),
            )
            return [Pending(*row) for row in found.fetchall()]

    def oldest(self, limit: int, after: int = 0) -> list[int]:
        """Return the sequences that `pending` would return the batches of."""
        return self._sequences(
            "SELECT sequence FROM batch WHERE sequence > ? ORDER BY sequence LIMIT ?", (after, limit)
        )

    def newest(self, limit: int) -> list[int]:
        """Return the sequences of up to `limit` batches without a receipt, newest first."""
        return self._sequences("SELECT sequence FROM batch ORDER BY sequence DESC LIMIT ?", (limit,))

    def urgent(self, limit: int) -> list[int]:
        """Return the sequences of up to `limit` urgent batches without a receipt, newest first."""
        return self._sequences("SELECT sequence FROM batch WHERE urgent = 1 ORDER BY sequence DESC LIMIT ?", (limit,))

    def batches(self, sequences: Sequence[int]) -> list[Pending]:
        """Return the batches of these sequences that are still without a receipt, in this order."""
        with self._mutex, _named_errors():
            found = [self._database.execute(_BATCH, (sequence,)).fetchone() for sequence in sequences]
        return [Pending(*row) for row in found if row is not None]

    def _sequences(self, query: str, values: tuple[int, ...]) -> list[int]:
        with self._mutex, _named_errors():
            return [int(row[0]) for row in self._database.execute(query, values)]

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
        """Return the counts, lifetime and pending, in the same time however much is pending."""
        with self._mutex, _named_errors():
            put, accepted, refused, batches, rows = self._database.execute(
                "SELECT put_rows, accepted_rows, refused_rows, pending_batches, pending_rows FROM state"
            ).fetchone()
            oldest = self._database.execute("SELECT created_ms FROM batch ORDER BY sequence LIMIT 1").fetchone()
            gone = thinning.total(self._database)
        oldest_ms = oldest[0] if oldest else None
        thinned = (gone.rows, gone.batches, gone.from_ms, gone.to_ms)
        return Totals(put, accepted, refused, batches, rows, oldest_ms, *thinned)

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
            found = [_deleted_rows(database, sequence) for sequence in receipt.accepted]
            ended = [(sequence, reason, _deleted_rows(database, sequence)) for sequence, reason in receipt.refused]
            found += [rows for _, _, rows in ended]
            refused = sum(rows or 0 for _, _, rows in ended)
            accepted = sum(rows or 0 for rows in found) - refused
            batches = sum(rows is not None for rows in found)
            database.execute(
                "UPDATE state SET accepted_rows = accepted_rows + ?, refused_rows = refused_rows + ?, "
                "pending_batches = pending_batches - ?, pending_rows = pending_rows - ?",
                (accepted, refused, batches, accepted + refused),
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
        if _is_of_layout_1(database):
            _run(database, _FROM_LAYOUT_1)
        _run(database, _SCHEMA)
        database.execute(
            "INSERT OR IGNORE INTO state VALUES (1, ?, ?, 1, 0, 0, 0, 0, 0)",
            (_LAYOUT, 1 + secrets.randbelow(2**32 - 1)),
        )
        _check_layout(database)
        _run(database, thinning.SCHEMA)
        database.execute("COMMIT")
        _sync_directory(path.parent)
    except BaseException:
        database.close()
        raise
    return database


def _check_whole(database: sqlite3.Connection) -> None:
    if database.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
        raise OutboxBrokenError("the outbox is damaged")


def _is_of_layout_1(database: sqlite3.Connection) -> bool:
    has_state = database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'state'").fetchone() is not None
    return has_state and database.execute("SELECT layout FROM state").fetchone() == (1,)


def _run(database: sqlite3.Connection, statements: str) -> None:
    """Run several statements within the transaction that is open."""
    for statement in statements.strip().rstrip(";").split(";"):
        database.execute(statement)


def _pragma(database: sqlite3.Connection, name: str) -> int:
    return int(database.execute(f"PRAGMA {name}").fetchone()[0])


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
