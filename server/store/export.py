"""Exports of footage that the city waits for, and which parts of them have come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from server.store.connection import Connection, at, ms_of
from server.store.errors import ExportExistsError

State: TypeAlias = Literal["expected", "arriving", "whole", "refused"]


@dataclass(frozen=True, slots=True)
class Expected:
    """An export that was ordered.

    Attributes:
        id: of the export, as in the order.
        detector: the gateway that makes it.
        case: id of the case.
        from_ms: start of the window.
        to_ms: its end, not part of it.
        recipient: age recipient.
    """

    id: str
    detector: str
    case: str
    from_ms: int
    to_ms: int
    recipient: str


@dataclass(frozen=True, slots=True)
class ExportRow:
    """An export as it stands.

    Attributes:
        expected: what was ordered.
        state: how far it has come.
        sha256: of the whole file, None while it is expected.
        parts: of the file, None while it is expected.
        size_bytes: of the file, once it is whole.
        begun_ms: gateway's clock, when the present try began.
        public_keys: DER of the gateway's key, and of that before its last rotation while that one is still believed;
            none where it is not enrolled or is revoked.
    """

    expected: Expected
    state: State
    sha256: bytes | None
    parts: int | None
    size_bytes: int | None
    begun_ms: int | None
    public_keys: tuple[bytes, ...]


async def expect(conn: Connection, export: Expected) -> None:
    """Let a gateway bring an export; to be called in the transaction that orders it. The same again changes nothing.

    Raises:
        ExportExistsError: another export has this id.
        DatabaseError: there is no such detector.
    """
    cursor = await conn.execute(
        """INSERT INTO export (id, detector_id, case_id, from_at, to_at, recipient) VALUES (%s, %s, %s, %s, %s, %s)
           ON CONFLICT (id) DO NOTHING""",
        (export.id, export.detector, export.case, at(export.from_ms), at(export.to_ms), export.recipient),
    )
    if cursor.rowcount == 0:
        there = await find(conn, export.id)
        if there is None or there.expected != export:
            raise ExportExistsError


async def find(conn: Connection, export: str) -> ExportRow | None:
    """Return an export."""
    rows = await _select(conn, export)
    return rows[0] if rows else None


async def everything(conn: Connection) -> list[ExportRow]:
    """Return all exports, the newest first."""
    return await _select(conn, None)


async def _select(conn: Connection, export: str | None) -> list[ExportRow]:
    cursor = await conn.execute(
        """SELECT e.id, e.detector_id, e.case_id, e.from_at, e.to_at, e.recipient, e.state, e.sha256, e.parts,
                  e.size_bytes, e.begun_at, CASE WHEN d.revoked_at IS NULL THEN d.public_key END,
                  CASE WHEN d.revoked_at IS NULL AND d.previous_until > now() THEN d.previous_key END
           FROM export AS e JOIN detector AS d ON d.id = e.detector_id
           WHERE %(id)s::text IS NULL OR e.id = %(id)s ORDER BY e.created_at DESC, e.id""",
        {"id": export},
    )
    return [
        ExportRow(
            Expected(row[0], row[1], row[2], ms_of(row[3]), ms_of(row[4]), row[5]),
            row[6],
            row[7],
            row[8],
            row[9],
            None if row[10] is None else ms_of(row[10]),
            tuple(bytes(key) for key in row[11:13] if key is not None),
        )
        for row in await cursor.fetchall()
    ]


async def begin(conn: Connection, export: str, sha256: bytes, *, parts: int, begun_ms: int) -> bool:
    """Begin a try to bring an export, and forget the parts of those before; return whether it is one.

    A whole export has no more tries, and none begins that is not newer than the present one.
    """
    async with conn.transaction():
        cursor = await conn.execute(
            """UPDATE export SET state = 'arriving', sha256 = %s, parts = %s, begun_at = %s, settled_at = NULL
               WHERE id = %s AND state <> 'whole' AND (begun_at IS NULL OR begun_at < %s)""",
            (sha256, parts, at(begun_ms), export, at(begun_ms)),
        )
        if cursor.rowcount == 0:
            return False
        await conn.execute("DELETE FROM export_part WHERE export_id = %s", (export,))
    return True


async def add_part(conn: Connection, export: str, sha256: bytes, part: int) -> None:
    """Note that a part is on disk."""
    await conn.execute(
        """INSERT INTO export_part (export_id, sha256, part)
           SELECT id, sha256, %s FROM export WHERE id = %s AND sha256 = %s AND state = 'arriving'
           ON CONFLICT DO NOTHING""",
        (part, export, sha256),
    )


async def parts(conn: Connection, export: str, sha256: bytes) -> list[int]:
    """Return which parts are on disk, ascending."""
    cursor = await conn.execute(
        "SELECT part FROM export_part WHERE export_id = %s AND sha256 = %s ORDER BY part", (export, sha256)
    )
    return [row[0] for row in await cursor.fetchall()]


async def settle(conn: Connection, export: str, sha256: bytes, size_bytes: int | None) -> None:
    """End the present try: whole with this size, or refused (None), for then it was not what it said."""
    async with conn.transaction():
        await conn.execute(
            """UPDATE export SET state = %s, size_bytes = %s, settled_at = now()
               WHERE id = %s AND sha256 = %s AND state = 'arriving'""",
            ("refused" if size_bytes is None else "whole", size_bytes, export, sha256),
        )
        await conn.execute("DELETE FROM export_part WHERE export_id = %s AND sha256 = %s", (export, sha256))
