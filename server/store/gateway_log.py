"""The city's copy of each gateway's own log: every entry as it was signed, and whether it fits the one before."""

from dataclasses import dataclass
from enum import StrEnum

from psycopg.rows import class_row

from server.store.connection import Connection, at
from wire import cbor
from wire.entry import FIRST, Entry

Place = tuple[str, int, int]
"""Detector, epoch, sequence."""


class Kept(StrEnum):
    """What became of an entry."""

    NEW = "new"
    AGAIN = "again"
    EARLY = "early"
    """Kept and flagged until the one before comes."""
    BROKEN = "broken"
    """Kept and flagged: it does not name the one before."""
    FORKED = "forked"
    """Another one has its number: kept apart."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What proves an entry.

    Attributes:
        signed: the report as it came.
        kid: by which it names the key that it is signed by.
        key: SubjectPublicKeyInfo DER of that key, which was the gateway's when the report came.
    """

    signed: bytes
    kid: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class Report:
    """An entry of a gateway, its signature verified.

    Attributes:
        detector: id.
        epoch: of the gateway's journal.
        entry: what it says.
        digest: of the encoded entry.
        signature: proves it.
        received_ms: wall time.
    """

    detector: str
    epoch: int
    entry: Entry
    digest: bytes
    signature: Signature
    received_ms: int

    @property
    def place(self) -> Place:
        """Which entry it is."""
        return self.detector, self.epoch, self.entry.sequence


@dataclass(frozen=True, slots=True)
class Logged:
    """An entry that is kept."""

    epoch: int
    sequence: int
    at_ms: int
    received_ms: int
    kind: str
    body: bytes
    signed: bytes
    is_broken: bool


async def key(conn: Connection, city: str, detector: str) -> bytes | None:
    """Return the key that a gateway's reports are signed by, None of one that is unknown, revoked or not enrolled."""
    cursor = await conn.execute(
        "SELECT public_key FROM detector WHERE id = %s AND city_id = %s AND revoked_at IS NULL", (detector, city)
    )
    row = await cursor.fetchone()
    return None if row is None or row[0] is None else bytes(row[0])


async def add(conn: Connection, report: Report) -> tuple[Kept, bytes | None]:
    """Keep an entry, in a transaction of the caller's.

    Returns:
        What became of it, and the signed report of the entry after it where that had waited for it.
    """
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('gateway_log/' || %s, 0))", (report.detector,))
    known, before, waiting = await _around(conn, report.place)
    if known is not None:
        return (Kept.AGAIN, None) if known == report.digest else (await _keep_apart(conn, report), None)
    named = FIRST if report.entry.sequence == 1 else before
    is_broken = report.entry.previous != named
    await _keep_key(conn, report)
    await conn.execute(
        """INSERT INTO gateway_log
           (detector_id, epoch, sequence, at, received_at, kind, body, entry, digest, is_broken)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
        (
            *report.place,
            at(report.entry.at_ms),
            at(report.received_ms),
            report.entry.kind,
            cbor.dumps(dict(report.entry.body)),
            report.signature.signed,
            report.digest,
            is_broken,
        ),
    )
    if is_broken:
        return (Kept.EARLY if named is None else Kept.BROKEN), waiting
    return Kept.NEW, waiting


async def known_keys(conn: Connection, detector: str) -> dict[bytes, bytes]:
    """Return by their ids the keys that a gateway's reports were signed by when they came, as DER."""
    cursor = await conn.execute("SELECT kid, public_key FROM gateway_key WHERE detector_id = %s", (detector,))
    return {bytes(kid): bytes(public_key) for kid, public_key in await cursor.fetchall()}


async def mend(conn: Connection, place: Place) -> None:
    """Say of an entry that it fits the one before after all: that came later."""
    await conn.execute(
        "UPDATE gateway_log SET is_broken = false WHERE detector_id = %s AND epoch = %s AND sequence = %s", place
    )


async def is_broken(conn: Connection, place: Place) -> bool:
    """Return whether a kept entry does not fit the one before."""
    cursor = await conn.execute(
        "SELECT 1 FROM gateway_log WHERE detector_id = %s AND epoch = %s AND sequence = %s AND is_broken", place
    )
    return await cursor.fetchone() is not None


async def flagged(conn: Connection) -> int:
    """Return how many entries of all gateways do not fit the one before, or wait for it."""
    cursor = await conn.execute("SELECT count(*) FROM gateway_log WHERE is_broken")
    return int((await cursor.fetchone() or (0,))[0])


async def newest(conn: Connection, detector: str, limit: int) -> list[Logged]:
    """Return the newest entries of a gateway's log, in its own order, oldest first."""
    found = await _logged(conn, "detector_id = %s ORDER BY received_at DESC, sequence DESC LIMIT %s", (detector, limit))
    return sorted(found, key=lambda one: (one.received_ms, one.epoch, one.sequence))


async def whole(conn: Connection, detector: str) -> list[Logged]:
    """Return all of a gateway's log, by epoch and sequence."""
    return await _logged(conn, "detector_id = %s ORDER BY epoch, sequence", (detector,))


async def forks(conn: Connection, detector: str) -> int:
    """Return how many entries came with the number of another one."""
    cursor = await conn.execute("SELECT count(*) FROM gateway_fork WHERE detector_id = %s", (detector,))
    return int((await cursor.fetchone() or (0,))[0])


async def _keep_key(conn: Connection, report: Report) -> None:
    """Keep the key, too: without it the reports could be verified no more once the gateway has another one."""
    await conn.execute(
        """INSERT INTO gateway_key (detector_id, kid, public_key, first_used_at) VALUES (%s, %s, %s, %s)
           ON CONFLICT DO NOTHING""",
        (report.detector, report.signature.kid, report.signature.key, at(report.received_ms)),
    )


async def _keep_apart(conn: Connection, report: Report) -> Kept:
    await conn.execute(
        """INSERT INTO gateway_fork (detector_id, epoch, sequence, digest, received_at, entry)
           VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING""",
        (*report.place, report.digest, at(report.received_ms), report.signature.signed),
    )
    return Kept.FORKED


async def _around(conn: Connection, place: Place) -> tuple[bytes | None, bytes | None, bytes | None]:
    """Return the digests of the entry with this place and of the one before, and the one after if it is broken."""
    detector, epoch, sequence = place
    cursor = await conn.execute(
        """SELECT sequence, digest, entry, is_broken FROM gateway_log
           WHERE detector_id = %s AND epoch = %s AND sequence BETWEEN %s AND %s""",
        (detector, epoch, sequence - 1, sequence + 1),
    )
    found = {int(row[0]): row for row in await cursor.fetchall()}
    here, before, after = (found.get(sequence + step) for step in (0, -1, 1))
    return (
        None if here is None else bytes(here[1]),
        None if before is None else bytes(before[1]),
        bytes(after[2]) if after is not None and after[3] else None,
    )


async def _logged(conn: Connection, condition: str, values: tuple[object, ...]) -> list[Logged]:
    async with conn.cursor(row_factory=class_row(Logged)) as cursor:
        await cursor.execute(
            f"""SELECT epoch, sequence, (extract(epoch FROM at) * 1000)::bigint AS at_ms,
                    (extract(epoch FROM received_at) * 1000)::bigint AS received_ms, kind, body, entry AS signed,
                    is_broken
                FROM gateway_log WHERE {condition}""".encode(),  # noqa: S608 - conditions of ours
            values,
        )
        return await cursor.fetchall()
