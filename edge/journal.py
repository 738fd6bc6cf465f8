"""The gateway's own log, on disk: append-only, each entry names the hash of the one before; see wire/entry.py.

It is also the stream of reports: an entry is sent to the city until a receipt settles it. Settled entries leave from
the front when they are old or many; the hash of the last that left stays, so that the rest can still be verified.
"""

import contextlib
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from edge.errors import JournalBrokenError, JournalError, JournalFullError
from wire import entry as entries
from wire.durable import DurableFile, FileKind, run
from wire.entry import Entry
from wire.errors import MessageError

MAX_BYTES: Final = 64_000_000
KEPT_MS: Final = 400 * 86_400_000
FILE: Final = "journal.db"
_LAYOUT: Final = 1
_ROW_OCTETS: Final = 64
"""What a row takes beside its entry, about."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS state (
    only INTEGER PRIMARY KEY CHECK (only = 1), layout INTEGER NOT NULL, epoch INTEGER NOT NULL,
    made_at_ms INTEGER NOT NULL, sequence INTEGER NOT NULL, digest BLOB NOT NULL,
    pruned_sequence INTEGER NOT NULL, pruned_digest BLOB NOT NULL, octets INTEGER NOT NULL,
    order_sequence INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS entry (
    sequence INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, encoded BLOB NOT NULL, is_settled INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS entry_unsent ON entry (sequence) WHERE is_settled = 0;
CREATE TABLE IF NOT EXISTS command (
    sequence INTEGER PRIMARY KEY, kind TEXT NOT NULL, digest BLOB NOT NULL, encoded BLOB, entry INTEGER NOT NULL,
    is_open INTEGER NOT NULL);
"""
_KIND: Final = FileKind(
    "journal",
    failed=lambda error: f"the journal cannot be used: {type(error).__name__}",
    error=JournalError,
    full=JournalFullError,
    broken=JournalBrokenError,
    min_pages=32,
    lay_out=lambda database: run(database, _SCHEMA),
)


def wall_ms() -> int:
    """Return the machine's wall time, Unix milliseconds."""
    return time.time_ns() // 1_000_000


@dataclass(slots=True)
class Journal:
    """The log of one gateway. May be called from any thread.

    Attributes:
        epoch: 32 bits, drawn anew with each new file.
        made_at_ms: when the file was made: it knows nothing of orders before.
        added: called after each entry, in the thread that added it; for the uplink.
    """

    _file: DurableFile
    _now_ms: Callable[[], int]
    _max_octets: int
    epoch: int
    made_at_ms: int
    added: Callable[[], None] = lambda: None

    @classmethod
    def open(cls, path: Path, *, max_bytes: int = MAX_BYTES, now_ms: Callable[[], int] = wall_ms) -> Self:
        """Return the journal in the file `path`, made if there is none.

        A damaged one is moved aside; the new one has an epoch of its own and begins with "journal.renewed".

        Raises:
            JournalError: in use by another process, of another layout, or the disk refuses.
        """
        file = DurableFile.open(path, _KIND, max_bytes=max_bytes, may_renew=True)
        try:
            epoch, made_at_ms = _stated(file, now_ms())
            journal = cls(file, now_ms, max_bytes * 2 // 5, epoch, made_at_ms)
            if file.broken_file is not None:
                journal.add("journal.renewed", {"bytes": file.broken_file.stat().st_size})
        except BaseException:
            file.close()
            raise
        return journal

    @property
    def broken_file(self) -> Path | None:
        """Where a damaged journal was moved to when this one took its place, None if none was."""
        return self._file.broken_file

    @property
    def order_sequence(self) -> int:
        """The sequence of the newest order carried out, refused for good or under way; 0: none."""
        with self._file.reading() as database:
            return int(database.execute("SELECT order_sequence FROM state").fetchone()[0])

    def add(self, kind: str, body: Mapping[str, Any] | None = None) -> Entry:
        """Return the new entry, once it is on the disk for good.

        Raises:
            JournalFullError: no room; nothing changed. Room comes back with receipts.
            JournalError: the disk failed; nothing changed.
        """
        with self.adding(kind, body or {}) as (_, entry):
            return entry

    @contextlib.contextmanager
    def adding(self, kind: str, body: Mapping[str, Any]) -> Iterator[tuple[sqlite3.Connection, Entry]]:
        """Add an entry together with whatever the block writes: all of it is on the disk at its end, or nothing.

        Raises:
            JournalFullError: no room; nothing changed.
            JournalError: the disk failed; nothing changed.
        """
        with self._file.transaction() as database:
            last, digest = database.execute("SELECT sequence, digest FROM state").fetchone()
            entry = Entry(last + 1, self._now_ms(), kind, body, bytes(digest))
            self._append(database, entry)
            yield database, entry
        self.added()

    def _append(self, database: sqlite3.Connection, entry: Entry) -> None:
        encoded = entry.encode()
        if len(encoded) > entries.MAX_OCTETS:
            raise JournalError("an entry is too large")
        database.execute("INSERT INTO entry VALUES (?, ?, ?, 0)", (entry.sequence, entry.at_ms, encoded))
        database.execute(
            "UPDATE state SET sequence = ?, digest = ?, octets = octets + ?",
            (entry.sequence, entries.digest(encoded), len(encoded) + _ROW_OCTETS),
        )
        self._prune(database)

    def unsent(self, limit: int, after: int = 0) -> list[tuple[int, bytes]]:
        """Return up to `limit` entries without a receipt, oldest first: sequence and encoding."""
        with self._file.reading() as database:
            found = database.execute(
                "SELECT sequence, encoded FROM entry WHERE is_settled = 0 AND sequence > ? ORDER BY sequence LIMIT ?",
                (after, limit),
            )
            return [(int(sequence), bytes(encoded)) for sequence, encoded in found.fetchall()]

    def settle(self, sequences: Iterable[int]) -> None:
        """Remember that the city has these entries; unknown ones do not matter.

        Raises:
            JournalError: the disk failed; nothing changed, and the receipt will come again with the next resend.
        """
        known = list(sequences)
        try:
            self._settle(known)
        except JournalFullError:  # booking needs some room, too: the ballast is kept for this
            self._file.drop_ballast()
            self._settle(known)
        self._file.keep_ballast()

    def _settle(self, sequences: list[int]) -> None:
        with self._file.transaction() as database:
            database.executemany("UPDATE entry SET is_settled = 1 WHERE sequence = ?", [(one,) for one in sequences])
            self._prune(database)

    def send_again(self, sequence: int) -> None:
        """Take back the receipt of an entry: the city asks for it again."""
        with self._file.transaction() as database:
            database.execute("UPDATE entry SET is_settled = 0 WHERE sequence = ?", (sequence,))
        self.added()

    def tail(self, n: int) -> list[Entry]:
        """Return the newest `n` entries, oldest first."""
        with self._file.reading() as database:
            return _tail(database, n)

    def verify(self) -> int | None:
        """Return the sequence of the first entry that is not what it should be, None if all are."""
        with self._file.reading() as database:
            return _first_fault(database)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Return the connection to read from."""
        with self._file.reading() as database:
            yield database

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Return the connection inside a transaction that adds no entry."""
        with self._file.transaction() as database:
            yield database

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _prune(self, database: sqlite3.Connection) -> None:
        """Let settled entries go from the front, as far as they are too old or too much."""
        limit_ms = self._now_ms() - KEPT_MS
        octets = int(database.execute("SELECT octets FROM state").fetchone()[0])
        while True:
            row = database.execute("SELECT sequence, at_ms, encoded, is_settled FROM entry ORDER BY sequence LIMIT 1")
            found = row.fetchone()
            if found is None or not found[3] or not (found[1] < limit_ms or octets > self._max_octets):
                return
            octets -= len(found[2]) + _ROW_OCTETS
            database.execute("DELETE FROM entry WHERE sequence = ?", (found[0],))
            database.execute("DELETE FROM command WHERE entry = ? AND is_open = 0", (found[0],))
            database.execute(
                "UPDATE state SET pruned_sequence = ?, pruned_digest = ?, octets = ?",
                (found[0], entries.digest(bytes(found[2])), octets),
            )


@dataclass(frozen=True, slots=True)
class Look:
    """What one sees of a journal from outside.

    Attributes:
        epoch: of the file.
        entries: the newest, oldest first.
        total: entries that are kept.
        unsent: how many of them the city has not receipted.
        fault: sequence of the first entry that is not what it should be; None: all are, or nobody asked.
    """

    epoch: int
    entries: list[Entry]
    total: int
    unsent: int
    fault: int | None


def look(path: Path, n: int, *, verify: bool) -> Look:
    """Return what is in the journal at `path`, also while a gateway writes it.

    Raises:
        JournalError: there is none, or it cannot be read.
    """
    if not path.exists():
        raise JournalError("there is no journal yet")
    with (
        _KIND.named_errors(),
        contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as found,
    ):
        found.execute("BEGIN")  # one moment for all that follows
        epoch = int(found.execute("SELECT epoch FROM state").fetchone()[0])
        total, settled = found.execute("SELECT count(*), coalesce(sum(is_settled), 0) FROM entry").fetchone()
        return Look(epoch, _tail(found, n), total, total - settled, _first_fault(found) if verify else None)


def _stated(file: DurableFile, now_ms: int) -> tuple[int, int]:
    with file.transaction() as database:
        database.execute(
            "INSERT OR IGNORE INTO state VALUES (1, ?, ?, ?, 0, ?, 0, ?, 0, 0)",
            (_LAYOUT, 1 + secrets.randbelow(2**32 - 1), now_ms, entries.FIRST, entries.FIRST),
        )
        layout, epoch, made_at_ms = database.execute("SELECT layout, epoch, made_at_ms FROM state").fetchone()
    if layout != _LAYOUT:
        raise JournalError("a journal of a layout that we do not know")
    return int(epoch), int(made_at_ms)


def _tail(database: sqlite3.Connection, n: int) -> list[Entry]:
    rows = database.execute("SELECT encoded FROM entry ORDER BY sequence DESC LIMIT ?", (n,)).fetchall()
    try:
        return [Entry.decode(bytes(encoded)) for (encoded,) in reversed(rows)]
    except MessageError as error:
        raise JournalBrokenError("the journal holds what is no entry") from error


def _first_fault(database: sqlite3.Connection) -> int | None:
    pruned, pruned_digest, last, digest = database.execute(
        "SELECT pruned_sequence, pruned_digest, sequence, digest FROM state"
    ).fetchone()
    newest, at = bytes(pruned_digest), int(pruned)

    def encoded() -> Iterator[bytes]:
        nonlocal newest, at
        for (one,) in database.execute("SELECT encoded FROM entry ORDER BY sequence"):
            newest, at = entries.digest(bytes(one)), at + 1
            yield bytes(one)

    fault = entries.first_fault(encoded(), bytes(pruned_digest), pruned + 1)
    if fault is not None:
        return fault
    return None if (at, newest) == (last, bytes(digest)) else at + 1
