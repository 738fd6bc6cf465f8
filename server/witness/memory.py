"""What a witness must never forget: the largest head of each log that it cosigned. On the disk before it answers."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from privacy.transparency.tree import Head
from server.witness.errors import MemoryBrokenError, MemoryFullError, WitnessError
from wire.durable import DurableFile, FileKind

_MAX_BYTES: Final = 64 * 1024 * 1024


def _lay_out(database: sqlite3.Connection) -> None:
    database.execute(
        """CREATE TABLE IF NOT EXISTS head (
               origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL, note TEXT NOT NULL
           ) STRICT"""
    )


_KIND: Final = FileKind(
    noun="witness's memory",
    failed=lambda error: f"the witness's memory fails: {type(error).__name__}",
    error=WitnessError,
    full=MemoryFullError,
    broken=MemoryBrokenError,
    min_pages=64,
    lay_out=_lay_out,
)


@dataclass(frozen=True, slots=True)
class Seen:
    """A head that was cosigned, and the note with the cosignature."""

    head: Head
    note: str


@dataclass(slots=True)
class Memory:
    """One file; one process has it."""

    _file: DurableFile

    @classmethod
    def create(cls, path: Path) -> None:
        """Make an empty memory.

        Raises:
            WitnessError: there is one already: a witness must not forget.
        """
        if path.exists():
            raise WitnessError(f"{path.name} is there already, and a witness must not forget")
        DurableFile.open(path, _KIND, max_bytes=_MAX_BYTES, may_renew=False).close()

    @classmethod
    def open(cls, path: Path) -> Memory:
        """Return the memory at `path`, which must be there: one that is lost must not be made up for by an empty one.

        Raises:
            WitnessError: missing, damaged, or another process has it.
        """
        if not path.exists():
            raise WitnessError(f"{path.name} is missing: a witness that forgot must be retired")
        return cls(DurableFile.open(path, _KIND, max_bytes=_MAX_BYTES, may_renew=False))

    @contextmanager
    def remembering(self, origin: str) -> Iterator[Remembering]:
        """Hold everybody else off while one checkpoint is judged; what is kept is on the disk at the end.

        Raises:
            WitnessError: it cannot be kept; nothing must be answered then.
        """
        with self._file.transaction() as database:
            yield Remembering(database, origin)

    def seen(self, origin: str) -> Seen | None:
        """Return the largest head of a log that was cosigned; None: none was."""
        with self._file.reading() as database:
            return Remembering(database, origin).seen()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@dataclass(frozen=True, slots=True)
class Remembering:
    """One transaction about one log."""

    _database: sqlite3.Connection
    _origin: str

    def seen(self) -> Seen | None:
        """Return the largest head that was cosigned; None: none was."""
        row = self._database.execute("SELECT size, root, note FROM head WHERE origin = ?", (self._origin,)).fetchone()
        return None if row is None else Seen(Head(int(row[0]), bytes(row[1])), str(row[2]))

    def keep(self, seen: Seen) -> None:
        """Put a head in the place of the one before."""
        self._database.execute(
            """INSERT INTO head (origin, size, root, note) VALUES (?, ?, ?, ?)
               ON CONFLICT (origin) DO UPDATE SET size = excluded.size, root = excluded.root, note = excluded.note""",
            (self._origin, seen.head.size, seen.head.root, seen.note),
        )
