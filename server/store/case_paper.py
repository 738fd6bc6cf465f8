"""Papers of cases, sealed: what is kept in the database opens with keys/papers.bin alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg.types.json import Jsonb

from server.store.connection import Connection, at, ms_of


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperRow:
    """A paper without its content.

    Attributes:
        findings: what the machine found: code, severity, ja, en of each.
        sha256: of what was uploaded.
    """

    id: str
    kind: str
    name: str
    media_type: str
    size_bytes: int
    sha256: bytes
    findings: Sequence[dict[str, str]]
    added_ms: int

    @property
    def is_good(self) -> bool:
        """Whether the machine found no error; what it warned of is for people to look at."""
        return all(one["severity"] != "error" for one in self.findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPaper:
    """A paper as it is added.

    Attributes:
        sealed: its content, see server/cases/sealing.py.
        entry: id of its entry in the log.
    """

    row: PaperRow
    case: str
    added_by: str
    sealed: bytes = field(repr=False)
    entry: int


async def add(conn: Connection, paper: NewPaper) -> None:
    """Keep a paper; of its kind it is the one that counts from now on."""
    row = paper.row
    await conn.execute(
        """INSERT INTO case_paper (id, case_id, kind, name, media_type, size_bytes, sha256, findings, sealed, added_at,
                                   added_by, entry_id)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
        (
            row.id,
            paper.case,
            row.kind,
            row.name,
            row.media_type,
            row.size_bytes,
            row.sha256,
            Jsonb(list(row.findings)),
            paper.sealed,
            at(row.added_ms),
            paper.added_by,
            paper.entry,
        ),
    )


async def current(conn: Connection, case_id: str) -> list[PaperRow]:
    """Return the paper of each kind that counts, by kind."""
    cursor = await conn.execute(
        """SELECT DISTINCT ON (kind) id, kind, name, media_type, size_bytes, sha256, findings, added_at
           FROM case_paper WHERE case_id = %s ORDER BY kind, added_at DESC, entry_id DESC""",
        (case_id,),
    )
    return [_paper(row) for row in await cursor.fetchall()]


async def content(conn: Connection, case_id: str, paper: str) -> tuple[PaperRow, bytes] | None:
    """Return a paper of a case and its sealed content."""
    cursor = await conn.execute(
        """SELECT id, kind, name, media_type, size_bytes, sha256, findings, added_at, sealed
           FROM case_paper WHERE case_id = %s AND id = %s""",
        (case_id, paper),
    )
    row = await cursor.fetchone()
    return None if row is None else (_paper(row), bytes(row[8]))


def _paper(row: tuple[Any, ...]) -> PaperRow:
    return PaperRow(
        id=row[0],
        kind=row[1],
        name=row[2],
        media_type=row[3],
        size_bytes=row[4],
        sha256=bytes(row[5]),
        findings=row[6],
        added_ms=ms_of(row[7]),
    )
