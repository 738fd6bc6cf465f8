"""Who looked a ward up, out of the audit log, for the family and the ward; and what holds that back until a day.

Times are wall time, UTC ms, but `now_ms` of `registry`, which is town time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from psycopg.rows import class_row

from privacy.transparency.record import Opening
from server.store.connection import Connection, at
from server.store.grant import GrantedConnection

Heard = Literal["hour", "day", "week", "earlier", "never"]
# Entries of the family itself are none: they would tell one parent what the other looks at.
_SHOWN: Final = """
o.name = 'ward'
  AND said.body ->> 'role' NOT IN ('guardian', 'watched') AND said.body ->> 'kind' <> 'lookup.hold_asked'
  AND (said.body -> 'facts' ->> 'allowed')::boolean
  AND NOT EXISTS (SELECT FROM look_up_hold AS h
                  WHERE h.ward_id = o.value AND h.reference = said.body -> 'facts' ->> 'reference'
                    AND h.confirmed_at IS NOT NULL AND h.until_at > %(now)s)
"""
_ENTRIES: Final = """
FROM audit_opening AS o
JOIN audit_entry AS e ON e.id = o.entry_id
CROSS JOIN LATERAL (SELECT convert_from(e.body, 'UTF8')::jsonb) AS said (body)
"""
_LIST: Final = f"""
SELECT e.id, (said.body ->> 'at_ms')::bigint AS at_ms, said.body ->> 'role' AS role,
       said.body -> 'facts' ->> 'action' AS action, said.body -> 'facts' ->> 'purpose' AS purpose,
       said.body -> 'facts' ->> 'reference' AS reference, a.name_ja AS agency_ja, a.name_en AS agency_en
{_ENTRIES}
LEFT JOIN agency AS a ON a.id = said.body -> 'facts' ->> 'agency'
WHERE o.value = %(ward)s AND (%(before)s::bigint IS NULL OR e.id < %(before)s::bigint) AND {_SHOWN}
ORDER BY e.id DESC LIMIT %(limit)s
"""
_PROVABLE: Final = f"""
SELECT e.body, l.index, o.name, o.salt, o.value
{_ENTRIES}
LEFT JOIN audit_leaf AS l ON l.entry_id = e.id
WHERE e.id = %(entry)s AND {_SHOWN}
ORDER BY o.value LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class LookUpRow:
    """One look-up; `agency_ja` None: city hall itself."""

    id: int
    at_ms: int
    role: str
    action: str
    purpose: str
    reference: str | None
    agency_ja: str | None
    agency_en: str | None


@dataclass(frozen=True, slots=True)
class Provable:
    """A look-up as the log has it.

    Attributes:
        body: of the entry.
        index: its place; None: it has none yet.
        opening: tells that it is about the ward.
    """

    body: bytes
    index: int | None
    opening: Opening


@dataclass(frozen=True, slots=True)
class RegistryRow:
    """What is told of a ward to those who help with the tag; `tag_kind` None: no tag."""

    id: str
    name_ja: str
    name_en: str
    tag_kind: str | None
    battery_dv: int | None
    heard: Heard


@dataclass(frozen=True, slots=True)
class HoldRow:
    """A hold that waits for a second manager, or has one."""

    id: str
    ward_id: str
    reference: str
    asked_by: str
    until_ms: int
    is_confirmed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NewHold:
    """A hold as it is asked for."""

    id: str
    ward_id: str
    reference: str
    reason: str
    until_ms: int
    asked_by: str
    asked_ms: int


async def listed(
    conn: GrantedConnection, ward_id: str, *, before: int | None, limit: int, now_ms: int
) -> list[LookUpRow]:
    """Return at most `limit` look-ups with an id below `before` that nothing holds back, newest first."""
    asked = {"ward": ward_id, "before": before, "limit": limit, "now": at(now_ms)}
    async with conn.cursor(row_factory=class_row(LookUpRow)) as cursor:
        await cursor.execute(_LIST, asked)
        return await cursor.fetchall()


async def provable(conn: GrantedConnection, entry_id: int, *, now_ms: int) -> Provable | None:
    """Return one look-up as it is logged, if it is about a ward that the token opens and nothing holds it back."""
    cursor = await conn.execute(_PROVABLE, {"entry": entry_id, "now": at(now_ms)})
    row = await cursor.fetchone()
    return None if row is None else Provable(bytes(row[0]), row[1], Opening(row[2], bytes(row[3]), row[4]))


async def registry(conn: GrantedConnection, *, now_ms: int) -> RegistryRow | None:
    """Return what the token opens of the registry; `now_ms` is town time."""
    async with conn.cursor(row_factory=class_row(RegistryRow)) as cursor:
        await cursor.execute("SELECT * FROM ward_registry(%s)", (at(now_ms),))
        return await cursor.fetchone()


async def add_hold(conn: Connection, hold: NewHold) -> None:
    """Write a hold, not in force yet; `conn` is of the role warden."""
    await conn.execute(
        """INSERT INTO look_up_hold (id, ward_id, reference, reason, until_at, asked_by, asked_at)
           VALUES (%s, %s, %s, %s, %s, %s, %s)""",
        (hold.id, hold.ward_id, hold.reference, hold.reason, at(hold.until_ms), hold.asked_by, at(hold.asked_ms)),
    )


async def find_hold(conn: Connection, ward_id: str, hold_id: str) -> HoldRow | None:
    """Return a hold of a ward; nobody else changes it until the transaction ends."""
    async with conn.cursor(row_factory=class_row(HoldRow)) as cursor:
        await cursor.execute(
            """SELECT id::text, ward_id, reference, asked_by, (extract(epoch FROM until_at) * 1000)::bigint AS until_ms,
                      confirmed_at IS NOT NULL AS is_confirmed
               FROM look_up_hold WHERE id = %s AND ward_id = %s FOR UPDATE""",
            (hold_id, ward_id),
        )
        return await cursor.fetchone()


async def confirm_hold(conn: Connection, hold_id: str, *, by: str, now_ms: int) -> None:
    """Put a hold in force, by somebody else than asked for it."""
    await conn.execute(
        "UPDATE look_up_hold SET confirmed_by = %s, confirmed_at = %s WHERE id = %s", (by, at(now_ms), hold_id)
    )
