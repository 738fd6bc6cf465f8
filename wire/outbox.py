"""The outbox: sealed batches on disk until the server's receipt, and the journal of what is not a batch yet.

One SQLite file in write-ahead mode. A put is one transaction and on the disk when `put` returns; a journal entry
survives the death of the process and may be lost with the power. Nothing leaves but by a receipt, or when the file has
reached its limit: then the oldest are thinned by the rule of `wire/thinning.py`, and counted.
"""

import secrets
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from wire import thinning
from wire.durable import PAGE_OCTETS, DurableFile, FileKind, run
from wire.errors import OutboxBrokenError, OutboxError, OutboxFull, OutboxFullError
from wire.messages import Receipt
from wire.thinning import Thinned

__all__ = ["Outbox", "OutboxFull", "Pending", "Settled", "Thinned", "Totals"]

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

    def __init__(self, file: DurableFile) -> None:
        self._file = file
        self.broken_file = file.broken_file
        with file.reading() as database:
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
        file = DurableFile.open(Path(path), _KIND, max_bytes=max_bytes, may_renew=may_renew)
        try:
            return cls(file)
        except BaseException:
            file.close()
            raise

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
        needed = (len(journal[0]) if journal else 0) // PAGE_OCTETS + 2
        with self._file.mutex:
            try:
                return self._put((rows, created_ms, int(is_urgent)), seal, journal, needed)
            except OutboxFullError:
                # What was given up within that transaction has come back with it: give up without putting, then put.
                with self._file.transaction() as database:
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
        with self._file.transaction() as database:
            sequence = int(database.execute("SELECT next_sequence FROM state").fetchone()[0])
            payload = seal(self.epoch, sequence)
            pages = needed + len(payload) // PAGE_OCTETS
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
        gone = thinning.thin(database, is_full=lambda: self._is_full(database, pages))
        if gone.batches:
            database.execute(
                "UPDATE state SET pending_batches = pending_batches - ?, pending_rows = pending_rows - ?",
                (gone.batches, gone.rows),
            )

    def _is_full(self, database: sqlite3.Connection, pages: int) -> bool:
        """Whether so many pages more would pass the soft limit."""
        used = _pragma(database, "page_count") - _pragma(database, "freelist_count")
        return used + pages > self._soft_pages

    def pending(self, limit: int, after: int = 0) -> list[Pending]:
        """Return up to `limit` batches without a receipt, oldest first, with sequences above `after`."""
        with self._file.reading() as database:
            found = database.execute(
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
        with self._file.reading() as database:
            found = [database.execute(_BATCH, (sequence,)).fetchone() for sequence in sequences]
        return [Pending(*row) for row in found if row is not None]

    def _sequences(self, query: str, values: tuple[int, ...]) -> list[int]:
        with self._file.reading() as database:
            return [int(row[0]) for row in database.execute(query, values)]

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
            self._file.drop_ballast()
            return self._settle(receipt)

    def totals(self) -> Totals:
        """Return the counts, lifetime and pending, in the same time however much is pending."""
        with self._file.reading() as database:
            put, accepted, refused, batches, rows = database.execute(
                "SELECT put_rows, accepted_rows, refused_rows, pending_batches, pending_rows FROM state"
            ).fetchone()
            oldest = database.execute("SELECT created_ms FROM batch ORDER BY sequence LIMIT 1").fetchone()
            gone = thinning.total(database)
        oldest_ms = oldest[0] if oldest else None
        thinned = (gone.rows, gone.batches, gone.from_ms, gone.to_ms)
        return Totals(put, accepted, refused, batches, rows, oldest_ms, *thinned)

    def journal(self, state: bytes, position: int) -> None:
        """Remember open windows and the radio's position; survives kill -9, and may be lost with the power.

        Raises:
            OutboxFull: no room; the entry before stays.
            OutboxError: the disk failed; the entry before stays.
        """
        with self._file.transaction(synchronous="NORMAL") as database:
            database.execute("INSERT OR REPLACE INTO journal VALUES (1, ?, ?)", (state, position))

    def restore(self) -> tuple[bytes, int]:
        """Return the last journal entry, (b"", 0) if there is none."""
        with self._file.reading() as database:
            found = database.execute("SELECT state, position FROM journal").fetchone()
        return (bytes(found[0]), int(found[1])) if found else (b"", 0)

    def close(self) -> None:
        """Close the files. What is pending stays."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _settle(self, receipt: Receipt) -> Settled:
        # Not synced: a power cut may bring settled batches back, they are sent again and change nothing.
        with self._file.transaction(synchronous="NORMAL") as database:
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
        self._file.keep_ballast()
        return Settled(
            accepted, refused, tuple((sequence, reason) for sequence, reason, rows in ended if rows is not None)
        )


def _lay_out(database: sqlite3.Connection) -> None:
    if _is_of_layout_1(database):
        run(database, _FROM_LAYOUT_1)
    run(database, _SCHEMA)
    database.execute(
        "INSERT OR IGNORE INTO state VALUES (1, ?, ?, 1, 0, 0, 0, 0, 0)",
        (_LAYOUT, 1 + secrets.randbelow(2**32 - 1)),
    )
    if database.execute("SELECT layout FROM state").fetchone() != (_LAYOUT,):
        raise OutboxError("an outbox of a layout that we do not know")
    run(database, thinning.SCHEMA)


def _is_of_layout_1(database: sqlite3.Connection) -> bool:
    has_state = database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'state'").fetchone() is not None
    return has_state and database.execute("SELECT layout FROM state").fetchone() == (1,)


def _pragma(database: sqlite3.Connection, name: str) -> int:
    return int(database.execute(f"PRAGMA {name}").fetchone()[0])


def _deleted_rows(database: sqlite3.Connection, sequence: int) -> int | None:
    """Return the rows of the batch just deleted, None if there was none."""
    found = database.execute("SELECT rows FROM batch WHERE sequence = ?", (sequence,)).fetchone()
    if found is None:
        return None
    database.execute("DELETE FROM batch WHERE sequence = ?", (sequence,))
    return int(found[0])


_KIND: Final = FileKind(
    "outbox",
    failed=lambda error: f"the outbox failed: {getattr(error, 'sqlite_errorname', error)}",
    error=OutboxError,
    full=OutboxFullError,
    broken=OutboxBrokenError,
    min_pages=16,
    lay_out=_lay_out,
)
