"""What the clerk works with, and a case while it is looked after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from privacy.cases import Step
from privacy.terms import Role
from privacy.transparency.record import Fact, Record
from server.cases import steps
from server.cases.facts import Whole
from server.cases.office import Office
from server.cases.steps import Wish
from server.permit.ask import Asker
from server.store import audit
from server.store import case as cases
from server.store.connection import Connection

CLERK: Final = Asker("clerk", Role.CLERK)
"""Who asks when the system itself does something."""


@dataclass(frozen=True, slots=True)
class Room:
    """What is the same for every case.

    Attributes:
        office: of the city.
        exports: folder of the sealed files.
        upload_url: where gateways bring exports, up to the id.
    """

    office: Office
    exports: Path
    upload_url: str


@dataclass(frozen=True, slots=True)
class Tending:
    """A case under its lock, in a transaction.

    Attributes:
        conn: of the role clerk.
        room: see there.
        whole: the case.
        now_ms: wall time.
    """

    conn: Connection
    room: Room
    whole: Whole
    now_ms: int

    async def write(self, kind: str, facts: Mapping[str, Fact]) -> int:
        """Return the id of an entry about the case."""
        row = self.whole.row
        said = {"case": row.number, "agency": row.agency_id, "purpose": row.purpose.value, **facts}
        return await audit.append(self.conn, Record(kind, self.now_ms, Role.CLERK, said))


async def locked(conn: Connection, room: Room, case_id: str, now_ms: int) -> Tending | None:
    """Return a case under its lock, None where it is gone; the caller is in a transaction."""
    row = await cases.find(conn, case_id, is_locked=True)
    return None if row is None else Tending(conn, room, await room.office.whole(conn, row, now_ms), now_ms)


async def step(tending: Tending, wanted: Step) -> None:
    """Take a step for the system itself, in the transaction that holds the case.

    Raises:
        RefusedError: a rule speaks against it. Look before with `may`: each refusal is an entry in the log.
    """
    await steps.take_on(tending.conn, tending.room.office, CLERK, tending.whole.row.id, Wish(step=wanted))
