"""The tree of the audit log in the database: which entries wait, which leaf each became, tiles, head, checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from privacy.transparency.record import Opening
from privacy.transparency.tree import split_hashes
from server.store.connection import Connection, at, ms_of

CHANNEL: Final = "audit"
_LOCK: Final = int.from_bytes(b"ledger", "big")


@dataclass(frozen=True, slots=True)
class Standing:
    """The head of the tree.

    Attributes:
        size: number of entries.
        frontier: roots of the complete subtrees, largest first.
        note: the signed checkpoint.
    """

    size: int
    frontier: bytes
    note: str


@dataclass(frozen=True, slots=True)
class Leaf:
    """One entry's place in the tree."""

    index: int
    entry_id: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class FullTile:
    """A tile above level 0 that never changes any more."""

    level: int
    index: int
    hashes: bytes


@dataclass(frozen=True, slots=True)
class WitnessStanding:
    """How a witness answered last.

    Attributes:
        name: in the policy.
        state: "cosigned", "away", "refuses", "knows-larger" or "knows-other".
        size: of the tree that it cosigned last; None: of none.
        at_ms: wall time, UTC ms.
    """

    name: str
    state: str
    size: int | None
    at_ms: int


async def become_only(conn: Connection) -> bool:
    """Return whether this connection is now the one ledger; it stays so until it closes."""
    return bool((await _one(conn, "SELECT pg_try_advisory_lock(%s)", _LOCK))[0])


async def lock(conn: Connection) -> None:
    """Wait until nobody else grows the tree; holds until the transaction ends."""
    await conn.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK + 1,))


async def listen(conn: Connection) -> None:
    """Ask to be told of new entries."""
    await conn.execute("LISTEN audit")


async def heard(conn: Connection, timeout_s: float) -> None:
    """Wait until new entries are told of, at most `timeout_s`; what else was told meanwhile is told with it."""
    async for _ in conn.notifies(timeout=timeout_s, stop_after=1):
        continue


async def head(conn: Connection) -> Standing | None:
    """Return the head; None before the first one."""
    cursor = await conn.execute("SELECT size, frontier, note FROM audit_head")
    row = await cursor.fetchone()
    return None if row is None else Standing(int(row[0]), bytes(row[1]), str(row[2]))


async def waiting(conn: Connection, limit: int) -> list[tuple[int, bytes]]:
    """Return id and octets of committed entries that have no place in the tree yet, in the order of their ids."""
    cursor = conn.cursor(binary=True)
    await cursor.execute(
        """SELECT e.id, e.body FROM audit_pending AS p JOIN audit_entry AS e ON e.id = p.entry_id
           ORDER BY p.entry_id LIMIT %s""",
        (limit,),
    )
    return [(int(entry), bytes(body)) for entry, body in await cursor.fetchall()]


async def count_waiting(conn: Connection) -> int:
    """Return how many entries have no place in the tree yet."""
    return int((await _one(conn, "SELECT count(*) FROM audit_pending"))[0])


async def requeue(conn: Connection) -> int:
    """Let every entry wait that has neither a place nor waits for one; return how many those were: none, normally."""
    cursor = await conn.execute(
        """INSERT INTO audit_pending (entry_id)
           SELECT e.id FROM audit_entry AS e
           WHERE NOT EXISTS (SELECT FROM audit_leaf AS l WHERE l.entry_id = e.id)
           ON CONFLICT DO NOTHING"""
    )
    return cursor.rowcount


async def grow(conn: Connection, leaves: Sequence[Leaf], tiles: Iterable[FullTile], standing: Standing) -> None:
    """Write new leaves, the tiles that they filled, and the head, in the caller's transaction, which holds `lock`."""
    async with conn.cursor() as cursor:
        async with cursor.copy("COPY audit_leaf (index, entry_id, hash) FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["int8", "int8", "bytea"])
            for leaf in leaves:
                await copy.write_row((leaf.index, leaf.entry_id, leaf.hash))
        for tile in tiles:
            await cursor.execute(
                "INSERT INTO audit_tile (level, index, hashes) VALUES (%s, %s, %s)",
                (tile.level, tile.index, tile.hashes),
            )
        ids = [leaf.entry_id for leaf in leaves]
        await cursor.execute("DELETE FROM audit_pending WHERE entry_id = ANY(%s)", (ids,))
        await cursor.execute(
            """INSERT INTO audit_head (size, frontier, note) VALUES (%s, %s, %s)
               ON CONFLICT (is_only) DO UPDATE
               SET size = excluded.size, frontier = excluded.frontier, note = excluded.note""",
            (standing.size, standing.frontier, standing.note),
        )


async def leaf_hashes(conn: Connection, begin: int, end: int) -> list[bytes]:
    """Return the hashes of leaves `begin` to `end`, in order."""
    rows = await _all(conn, "SELECT hash FROM audit_leaf WHERE index >= %s AND index < %s ORDER BY index", begin, end)
    return [bytes(row[0]) for row in rows]


async def bodies(conn: Connection, begin: int, end: int) -> list[bytes]:
    """Return the octets of the entries at places `begin` to `end`, in order."""
    rows = await _all(
        conn,
        """SELECT e.body FROM audit_leaf AS l JOIN audit_entry AS e ON e.id = l.entry_id
           WHERE l.index >= %s AND l.index < %s ORDER BY l.index""",
        begin,
        end,
    )
    return [bytes(row[0]) for row in rows]


async def tiles(conn: Connection, level: int, begin: int, end: int) -> list[list[bytes]]:
    """Return the hashes of full tiles `begin` to `end` of a level above 0, in order."""
    rows = await _all(
        conn,
        "SELECT hashes FROM audit_tile WHERE level = %s AND index >= %s AND index < %s ORDER BY index",
        level,
        begin,
        end,
    )
    return [split_hashes(bytes(row[0])) for row in rows]


@dataclass(frozen=True, slots=True)
class Published:
    """A checkpoint that anyone may see.

    Attributes:
        size: of the tree.
        note: with the cosignatures that came.
        witnesses: how many those are.
        has_quorum: whether they are enough.
        at_ms: wall time, UTC ms.
    """

    size: int
    note: str
    witnesses: int
    has_quorum: bool
    at_ms: int


async def keep_published(conn: Connection, one: Published) -> None:
    """Remember a published checkpoint; of one size the one with the most cosignatures stays."""
    await conn.execute(
        """INSERT INTO audit_checkpoint AS c (size, note, witnesses, has_quorum, published_at)
           VALUES (%s, %s, %s, %s, %s)
           ON CONFLICT (size) DO UPDATE
           SET note = excluded.note, witnesses = excluded.witnesses, has_quorum = excluded.has_quorum
           WHERE excluded.witnesses > c.witnesses""",
        (one.size, one.note, one.witnesses, one.has_quorum, at(one.at_ms)),
    )


async def last_published(conn: Connection, *, with_quorum: bool) -> Published | None:
    """Return the largest published checkpoint, or the largest that a quorum cosigned."""
    cursor = await conn.execute(
        """SELECT size, note, witnesses, has_quorum, published_at FROM audit_checkpoint
           WHERE has_quorum OR NOT %s ORDER BY size DESC LIMIT 1""",
        (with_quorum,),
    )
    row = await cursor.fetchone()
    return None if row is None else Published(int(row[0]), str(row[1]), int(row[2]), bool(row[3]), ms_of(row[4]))


async def keep_witness(conn: Connection, one: WitnessStanding) -> None:
    """Remember how a witness answered; without a size the last one stays."""
    await conn.execute(
        """INSERT INTO audit_witness AS w (name, state, size, at) VALUES (%s, %s, %s, %s)
           ON CONFLICT (name) DO UPDATE
           SET state = excluded.state, size = coalesce(excluded.size, w.size), at = excluded.at""",
        (one.name, one.state, one.size, at(one.at_ms)),
    )


async def witnesses(conn: Connection) -> list[WitnessStanding]:
    """Return how each witness answered last."""
    rows = await _all(conn, "SELECT name, state, size, at FROM audit_witness ORDER BY name")
    return [WitnessStanding(row[0], row[1], row[2], ms_of(row[3])) for row in rows]


async def entry(conn: Connection, entry_id: int) -> tuple[bytes, int | None] | None:
    """Return the octets of an entry and its place, None while it has none; None: there is no such entry."""
    cursor = await conn.execute(
        """SELECT e.body, l.index FROM audit_entry AS e LEFT JOIN audit_leaf AS l ON l.entry_id = e.id
           WHERE e.id = %s""",
        (entry_id,),
    )
    row = await cursor.fetchone()
    return None if row is None else (bytes(row[0]), row[1])


async def openings(conn: Connection, entry_id: int, names: Sequence[str] | None = None) -> list[Opening]:
    """Return what opens the commitments of an entry, of those that were not erased.

    Args:
        conn: of a role that may read them.
        entry_id: of the entry.
        names: of the facts; None: all. A person is handed what is about that person and no more.
    """
    rows = await _all(
        conn,
        """SELECT name, salt, value FROM audit_opening
           WHERE entry_id = %(entry)s AND (%(names)s::text[] IS NULL OR name = ANY(%(names)s)) ORDER BY name""",
        entry=entry_id,
        names=None if names is None else list(names),
    )
    return [Opening(row[0], bytes(row[1]), row[2]) for row in rows]


async def _one(conn: Connection, query: str, *values: object) -> tuple[Any, ...]:
    return (await _all(conn, query, *values))[0]


async def _all(conn: Connection, query: str, *values: object, **named: object) -> list[tuple[Any, ...]]:
    cursor = conn.cursor(binary=True)
    await cursor.execute(query.encode(), named or values)
    return await cursor.fetchall()
