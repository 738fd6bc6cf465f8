"""Declared disasters: which cameras, until when (rule 25). One ends by itself: nothing has to be switched off."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from server.store.connection import Connection, at, ms_of


@dataclass(frozen=True, slots=True)
class Disaster:
    """A disaster that is in force.

    Attributes:
        id: its number.
        reason: what happened.
        declared_ms: since when, UTC ms; `until_ms`: when it ends by itself.
        cameras: ids of gateways.
    """

    id: int
    reason: str
    declared_ms: int
    until_ms: int
    cameras: frozenset[str]


async def declare(
    conn: Connection, reason: str, cameras: Collection[str], *, span_ms: tuple[int, int], entry: int
) -> int:
    """Return the number of a new disaster that lasts for `span_ms`.

    Raises:
        DatabaseError: longer than 72 hours, or of a camera that does not exist.
    """
    cursor = await conn.execute(
        "INSERT INTO disaster (reason, declared_at, until_at, entry_id) VALUES (%s, %s, %s, %s) RETURNING id",
        (reason, at(span_ms[0]), at(span_ms[1]), entry),
    )
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - RETURNING gives one row or raises
    number = int(row[0])
    for camera in sorted(set(cameras)):
        await conn.execute("INSERT INTO disaster_camera (disaster_id, detector_id) VALUES (%s, %s)", (number, camera))
    return number


async def end(conn: Connection, disaster: int, *, at_ms: int) -> bool:
    """End a disaster before its time; return whether it was in force."""
    done = await conn.execute(
        "UPDATE disaster SET ended_at = %(now)s WHERE id = %(id)s AND ended_at IS NULL AND until_at > %(now)s",
        {"now": at(at_ms), "id": disaster},
    )
    return done.rowcount == 1


async def in_force(conn: Connection, city: str, *, now_ms: int) -> list[Disaster]:
    """Return the disasters that are in force now, the one that lasts longest first."""
    found = await conn.execute(
        """SELECT d.id, d.reason, d.declared_at, d.until_at, array_agg(c.detector_id)
           FROM disaster AS d JOIN disaster_camera AS c ON c.disaster_id = d.id
           JOIN detector AS g ON g.id = c.detector_id
           WHERE g.city_id = %(city)s AND d.declared_at <= %(now)s AND d.until_at > %(now)s AND d.ended_at IS NULL
           GROUP BY d.id ORDER BY d.until_at DESC, d.id""",
        {"city": city, "now": at(now_ms)},
    )
    return [Disaster(row[0], row[1], ms_of(row[2]), ms_of(row[3]), frozenset(row[4])) for row in await found.fetchall()]


async def until_ms(conn: Connection, city: str, cameras: Collection[str], *, now_ms: int) -> int | None:
    """Return when the disaster ends that names all of `cameras`, UTC ms; None: there is none in force."""
    wanted = frozenset(cameras)
    ends = [one.until_ms for one in await in_force(conn, city, now_ms=now_ms) if wanted and wanted <= one.cameras]
    return max(ends, default=None)
