"""Orders to gateways that stand on a case, and the exports that came of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from server.store.connection import Connection, at, ms_of

_QUIET_S: Final = 10.0
"""After so long without a word the connection is tried: a half-open one would be silent for ever."""
OrderKind: TypeAlias = Literal["freeze", "thaw", "export"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRow:
    """An order of a case and what became of it.

    Attributes:
        camera: number of the window; None: of all of the gateway's.
        state: as of any order: "pending", "sent", "done", "refused" or "failed".
        result: CBOR of what the gateway told of it.
    """

    detector: str
    sequence: int
    camera: int | None
    kind: OrderKind
    export: str | None
    at_ms: int
    state: str
    reason: str
    result: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrder:
    """An order that a case gives now.

    Attributes:
        sequence: of the row in `gateway_order`, of this transaction.
        entry: id of its entry in the log.
    """

    case: str
    detector: str
    sequence: int
    kind: OrderKind
    at_ms: int
    entry: int
    camera: int | None = None
    export: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportState:
    """The export of a window.

    Attributes:
        camera: number of the window.
        state: "expected", "arriving", "whole" or "refused"; see server/store/export.py.
        sha256: of the sealed file; None while it is not here.
        whole_ms: when it was here whole.
        destroyed_ms: when the city's copy was destroyed.
    """

    camera: int
    id: str
    detector: str
    state: str
    size_bytes: int | None
    sha256: bytes | None
    whole_ms: int | None
    destroyed_ms: int | None


async def add(conn: Connection, new: NewOrder) -> None:
    """Write down that an order stands on a case; the database refuses one that its state does not allow."""
    await conn.execute(
        """INSERT INTO case_order (detector_id, sequence, case_id, camera, kind, export_id, at, entry_id)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s)""",
        (new.detector, new.sequence, new.case, new.camera, new.kind, new.export, at(new.at_ms), new.entry),
    )


async def given(conn: Connection, case_id: str) -> list[OrderRow]:
    """Return the orders of a case, the first one first."""
    cursor = await conn.execute(
        """SELECT o.detector_id, o.sequence, o.camera, o.kind, o.export_id, o.at, g.state, g.reason, g.result
           FROM case_order AS o JOIN gateway_order AS g USING (detector_id, sequence)
           WHERE o.case_id = %s ORDER BY o.at, o.detector_id, o.sequence""",
        (case_id,),
    )
    return [
        OrderRow(
            detector=row[0],
            sequence=row[1],
            camera=row[2],
            kind=row[3],
            export=row[4],
            at_ms=ms_of(row[5]),
            state=row[6],
            reason=row[7],
            result=None if row[8] is None else bytes(row[8]),
        )
        for row in await cursor.fetchall()
    ]


async def exports(conn: Connection, case_id: str) -> list[ExportState]:
    """Return every export of a case, by window, the newest one of each first."""
    cursor = await conn.execute(
        """SELECT o.camera, e.id, e.detector_id, e.state, e.size_bytes,
                  CASE WHEN e.state = 'whole' THEN e.sha256 END,
                  CASE WHEN e.state = 'whole' THEN e.settled_at END, e.destroyed_at
           FROM case_order AS o JOIN export AS e ON e.id = o.export_id
           WHERE o.case_id = %s ORDER BY o.camera, o.at DESC, o.sequence DESC""",
        (case_id,),
    )
    return [
        ExportState(
            camera=row[0],
            id=row[1],
            detector=row[2],
            state=row[3],
            size_bytes=row[4],
            sha256=None if row[5] is None else bytes(row[5]),
            whole_ms=None if row[6] is None else ms_of(row[6]),
            destroyed_ms=None if row[7] is None else ms_of(row[7]),
        )
        for row in await cursor.fetchall()
    ]


async def destroyed(conn: Connection, export: str, *, at_ms: int) -> None:
    """Write down that the city's copy of an export is no more."""
    await conn.execute("UPDATE export SET destroyed_at = %s WHERE id = %s", (at(at_ms), export))


async def changes(conn: Connection) -> AsyncGenerator[None]:
    """Yield at first, and whenever a step was taken, an order settled or an export came on; ends by an error only.

    Raises:
        DatabaseError: the database went away, or the connection is half open.
    """
    await conn.execute("LISTEN footage_case")
    await conn.execute("LISTEN gateway_order")
    yield
    while True:
        async for _ in conn.notifies(timeout=_QUIET_S):
            yield
        await conn.execute("SELECT 1")
        yield
