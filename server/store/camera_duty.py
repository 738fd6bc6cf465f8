"""Records of a camera that the ordinance wants before it goes live, and which cameras are live (rule 20)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from privacy.terms import Purpose
from server.store.connection import Connection, at, ms_of


class Duty(StrEnum):
    """What must be on record."""

    SIGN = "sign"  # 標示: a sign at the camera
    CONSULTATION = "consultation"  # 住民の意見: residents were heard
    NOTICE = "notice"  # 公告: the public notice
    LOCATION = "location"  # 設置場所一覧簿: the place in the public ledger


@dataclass(frozen=True, slots=True)
class DutyRow:
    """One record.

    Attributes:
        detector: id of the camera's gateway.
        kind: what was done.
        done_on: on which day.
        reference: of the paper or page; of a location: the place, as the ledger has it.
    """

    detector: str
    kind: Duty
    done_on: dt.date
    reference: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What the policies are told of a camera.

    Attributes:
        duties: what is on record.
        has_mask: a mask of it was approved by three people.
        live_ms: since when it is live, UTC ms; None: it is not.
    """

    duties: frozenset[Duty]
    has_mask: bool
    live_ms: int | None

    @property
    def missing(self) -> tuple[str, ...]:
        """What stands between it and going live, in a fixed order."""
        lacking = tuple(duty.value for duty in Duty if duty not in self.duties)
        return lacking if self.has_mask else (*lacking, "mask")


async def record(conn: Connection, row: DutyRow, *, at_ms: int, entry: int) -> None:
    """Write a record, in place of the one of its kind before; `entry` of the log says so too."""
    await conn.execute(
        """INSERT INTO camera_duty (detector_id, kind, done_on, reference, recorded_at, entry_id)
           VALUES (%s, %s, %s, %s, %s, %s)
           ON CONFLICT (detector_id, kind) DO UPDATE SET done_on = excluded.done_on, reference = excluded.reference,
               recorded_at = excluded.recorded_at, entry_id = excluded.entry_id""",
        (row.detector, row.kind.value, row.done_on, row.reference, at(at_ms), entry),
    )


async def standing(conn: Connection, city: str, detector: str, *, locked: bool = False) -> Standing | None:
    """Return how a camera stands, None where there is none in force; `locked` until the transaction ends."""
    if locked:
        await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('camera_duty/' || %s, 0))", (detector,))
    found = await conn.execute(
        """SELECT ARRAY(SELECT kind FROM camera_duty WHERE detector_id = d.id),
                  EXISTS (SELECT FROM mask_change WHERE detector_id = d.id AND state = 'approved'),
                  (SELECT live_at FROM camera_live WHERE detector_id = d.id AND ended_at IS NULL)
           FROM detector AS d WHERE d.id = %s AND d.city_id = %s AND d.revoked_at IS NULL""",
        (detector, city),
    )
    row = await found.fetchone()
    if row is None:
        return None
    return Standing(frozenset(map(Duty, row[0])), row[1], None if row[2] is None else ms_of(row[2]))


async def go_live(
    conn: Connection, detector: str, *, purposes: Collection[Purpose] | None, at_ms: int, entry: int
) -> None:
    """Let a camera be live from now on, for these purposes alone; None: all of the ordinance.

    Raises:
        DatabaseError: a record or a mask is missing.
    """
    await conn.execute(
        """INSERT INTO camera_live (detector_id, purposes, live_at, entry_id) VALUES (%s, %s, %s, %s)
           ON CONFLICT (detector_id) DO UPDATE SET purposes = excluded.purposes, live_at = excluded.live_at,
               ended_at = NULL, entry_id = excluded.entry_id""",
        (detector, None if purposes is None else sorted(purposes), at(at_ms), entry),
    )


async def end(conn: Connection, detector: str, *, at_ms: int, entry: int) -> bool:
    """Let a camera be live no longer; return whether it was."""
    done = await conn.execute(
        "UPDATE camera_live SET ended_at = %s, entry_id = %s WHERE detector_id = %s AND ended_at IS NULL",
        (at(at_ms), entry, detector),
    )
    return done.rowcount == 1


async def is_live(conn: Connection, detector: str) -> bool:
    """Return whether a camera is live: whoever gives it orders asks this first."""
    found = await conn.execute("SELECT 1 FROM camera_live WHERE detector_id = %s AND ended_at IS NULL", (detector,))
    return await found.fetchone() is not None


async def purposes_of(conn: Connection, city: str, allowed: Collection[Purpose]) -> dict[str, frozenset[Purpose]]:
    """Return for what footage of each live camera may be asked, at most what the ordinance allows."""
    found = await conn.execute(
        """SELECT l.detector_id, l.purposes FROM camera_live AS l JOIN detector AS d ON d.id = l.detector_id
           WHERE d.city_id = %s AND d.revoked_at IS NULL AND l.ended_at IS NULL""",
        (city,),
    )
    everything = frozenset(allowed)
    return {
        name: everything if purposes is None else everything & frozenset(map(Purpose, purposes))
        for name, purposes in await found.fetchall()
    }


async def records(conn: Connection, city: str) -> list[DutyRow]:
    """Return all records of a city's cameras, by camera."""
    found = await conn.execute(
        """SELECT c.detector_id, c.kind, c.done_on, c.reference
           FROM camera_duty AS c JOIN detector AS d ON d.id = c.detector_id
           WHERE d.city_id = %s ORDER BY c.detector_id, c.kind""",
        (city,),
    )
    return [DutyRow(row[0], Duty(row[1]), row[2], row[3]) for row in await found.fetchall()]
