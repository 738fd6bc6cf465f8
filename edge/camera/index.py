"""Which segments are kept, in SQLite: a copy of what the files say, made anew whenever it is missing or damaged."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge.camera.segment import FIRST, Segment
from edge.errors import RingError

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS segment (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    path TEXT NOT NULL UNIQUE,
    start_ms INTEGER NOT NULL,
    end_ms INTEGER NOT NULL,
    age_ms INTEGER NOT NULL,
    octets INTEGER NOT NULL,
    chain BLOB NOT NULL,
    strand_id BLOB NOT NULL,
    strand_wrapped BLOB NOT NULL,
    sha256 BLOB NOT NULL,
    is_open INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS segment_by_start ON segment (start_ms);
CREATE TABLE IF NOT EXISTS last (one INTEGER PRIMARY KEY CHECK (one = 1), chain BLOB NOT NULL) STRICT;
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One segment as the index knows it.

    Attributes:
        path: below the footage folder.
        start_ms: wall time, Unix milliseconds, as the head says.
        end_ms: wall time; of an open segment its start.
        age_ms: wall time that its age is counted from: `end_ms`, or earlier if that turned out to lie in the future.
        octets: of the file; of an open segment as far as known.
        chain: 32 octets.
        strand_id: 16 octets; b"" if the head cannot be read.
        strand_wrapped: the strand's key, sealed to the city.
        sha256: of the file; b"" where it was not read as a whole yet.
        is_open: it is being written.
    """

    path: str
    start_ms: int
    end_ms: int
    age_ms: int
    octets: int
    chain: bytes
    strand_id: bytes
    strand_wrapped: bytes
    sha256: bytes = b""
    is_open: bool = False

    @classmethod
    def of(cls, path: str, segment: Segment, sha256: bytes = b"") -> "Row":
        """Return the row of a segment that was read."""
        return cls(
            path,
            segment.head.start_ms,
            segment.end_ms,
            segment.end_ms,
            segment.octets,
            segment.chain if segment.tail is None else segment.tail.chain,
            segment.head.strand_id,
            segment.head.strand_wrapped,
            sha256,
            segment.tail is None,
        )


class Index:
    """The rows of one ring."""

    def __init__(self, path: Path) -> None:
        """Open the index; a damaged one is thrown away.

        Raises:
            RingError: not even a new one can be made; may be tried again when the disk is well.
        """
        try:
            self._connection = _connect(path)
        except sqlite3.Error:
            try:
                for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
                    path.with_name(name).unlink(missing_ok=True)
                self._connection = _connect(path)
            except (sqlite3.Error, OSError) as error:
                raise RingError("the index of the footage cannot be made") from error

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def put(self, row: Row) -> None:
        """Add a segment, or say anew how it is.

        Raises:
            RingError: the disk is full, read-only or gone.
        """
        values = (*(getattr(row, name) for name in Row.__slots__[:-1]), int(row.is_open))
        columns = ", ".join(Row.__slots__)
        changes = ", ".join(f"{name} = excluded.{name}" for name in Row.__slots__[1:])
        with self._writing() as connection:
            connection.execute(
                f"INSERT INTO segment ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "  # noqa: S608 -- our own names
                f"ON CONFLICT (path) DO UPDATE SET {changes}",
                values,
            )

    def drop(self, paths: Iterable[str]) -> None:
        """Forget segments.

        Raises:
            RingError: as `put`.
        """
        with self._writing() as connection:
            connection.executemany("DELETE FROM segment WHERE path = ?", [(path,) for path in paths])

    def rejuvenate(self, now_ms: int) -> None:
        """Count the age of what claims to be from after `now_ms` from `now_ms` on.

        Raises:
            RingError: as `put`.
        """
        with self._writing() as connection:
            connection.execute("UPDATE segment SET age_ms = ? WHERE age_ms > ?", (now_ms, now_ms + 60_000))

    def remember(self, chain: bytes) -> None:
        """Keep the newest chain value, for when no segment is left.

        Raises:
            RingError: as `put`.
        """
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO last VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET chain = excluded.chain", (chain,)
            )

    def remembered(self) -> bytes:
        """Return the newest chain value; `FIRST` before any segment."""
        found = self._one("SELECT chain FROM last")
        return bytes(found[0]) if found else FIRST

    def rows(self) -> list[Row]:
        """Return all segments, in the order in which they came in."""
        return self._select("ORDER BY number")

    def aged(self, limit_ms: int) -> list[Row]:
        """Return the closed segments whose age counts from before `limit_ms`, the oldest first."""
        return self._select("WHERE age_ms < ? AND NOT is_open ORDER BY age_ms, number", limit_ms)

    def oldest(self) -> list[Row]:
        """Return the closed segments, the oldest first."""
        return self._select("WHERE NOT is_open ORDER BY age_ms, number")

    def between(self, from_ms: int, to_ms: int) -> list[Row]:
        """Return the segments that share time with a window, in the order of their time; open ones count as endless."""
        where = "WHERE start_ms < ? AND (end_ms > ? OR is_open) ORDER BY start_ms, number"
        return self._select(where, to_ms, from_ms)

    def totals(self) -> tuple[int, int | None]:
        """Return octets of all segments, and the start of the oldest."""
        found = self._one("SELECT COALESCE(SUM(octets), 0), MIN(start_ms) FROM segment")
        return (int(found[0]), found[1]) if found else (0, None)

    def _select(self, clause: str, *values: int) -> list[Row]:
        columns = ", ".join(Row.__slots__)
        try:
            found = self._connection.execute(f"SELECT {columns} FROM segment {clause}", values).fetchall()  # noqa: S608 -- our own clauses
        except sqlite3.Error as error:
            raise RingError("the index of the footage cannot be read") from error
        return [Row(**{**dict(zip(Row.__slots__, row, strict=True)), "is_open": bool(row[-1])}) for row in found]

    def _one(self, query: str) -> Any:  # noqa: ANN401 -- as the query says
        try:
            found = self._connection.execute(query).fetchone()
        except sqlite3.Error as error:
            raise RingError("the index of the footage cannot be read") from error
        return found

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._connection:
                yield self._connection
        except sqlite3.Error as error:
            raise RingError("the index of the footage cannot be written") from error


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(_SCHEMA)
        (result,) = connection.execute("PRAGMA quick_check").fetchone()
        if result != "ok":
            raise sqlite3.DatabaseError(result)
    except sqlite3.Error:
        connection.close()
        raise
    return connection
