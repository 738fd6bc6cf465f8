"""Gives waiting entries their place in the tree: leaves, full tiles, head and signed checkpoint in one transaction."""

from __future__ import annotations

import itertools
import logging
from dataclasses import dataclass, field
from typing import Final

from privacy.transparency.checkpoint import issue, opened
from privacy.transparency.edge import Edge
from privacy.transparency.errors import TransparencyError
from privacy.transparency.note import Signer
from privacy.transparency.tiles import HEIGHT, WIDTH, root_of
from privacy.transparency.tree import Head, leaf_hash
from server.publiclog.errors import BentLogError
from server.store import ledger as store
from server.store.connection import Connection
from server.store.ledger import FullTile, Leaf, Standing

log = logging.getLogger(__name__)

BATCH: Final = 4_096


@dataclass(slots=True)
class Sequencer:
    """The writer of the tree. One process has it; a second one finds the head changed and reads it anew.

    Args:
        signer: the log's key, named by its origin.
    """

    signer: Signer
    _edge: Edge = field(default_factory=Edge, init=False)
    _note: str = field(default="", init=False)

    @property
    def head(self) -> Head:
        """The head that was committed last."""
        return self._edge.head()

    @property
    def note(self) -> str:
        """Its signed checkpoint."""
        return self._note

    async def load(self, conn: Connection) -> None:
        """Read the head; make the one of an empty log where there is none.

        Raises:
            BentLogError: the leaves are not those that were signed.
        """
        async with conn.transaction():
            await store.lock(conn)
            await self._load(conn, await store.head(conn))

    async def step(self, conn: Connection) -> int:
        """Give up to BATCH waiting entries their places and sign; return how many those were.

        Raises:
            BentLogError: see `load`.
            DatabaseError: nothing has changed.
        """
        async with conn.transaction():
            await store.lock(conn)
            standing = await store.head(conn)
            if standing is None or standing.note != self._note:
                await self._load(conn, standing)
            rows = await store.waiting(conn, BATCH)
            if not rows:
                return 0
            edge, leaves, full = self._edge.copy(), list[Leaf](), list[FullTile]()
            for entry_id, body in rows:
                leaf = Leaf(edge.size, entry_id, leaf_hash(body))
                leaves.append(leaf)
                full += [FullTile(tile.level, tile.index, octets) for tile, octets in edge.grow(leaf.hash)]
            note = issue(self.signer, edge.head()).whole()
            kept = (tile for tile in full if tile.level > 0)
            await store.grow(conn, leaves, kept, Standing(edge.size, edge.frontier.octets(), note))
        self._edge, self._note = edge, note
        return len(rows)

    async def _load(self, conn: Connection, standing: Standing | None) -> None:
        if standing is None:
            edge = Edge()
            note = issue(self.signer, edge.head()).whole()
            await store.grow(conn, (), (), Standing(0, b"", note))
        else:
            edge, note = await edge_at(conn, standing.size), standing.note
            self._check(edge, standing)
        self._edge, self._note = edge, note
        log.info("ledger.loaded", extra={"total": edge.size})

    def _check(self, edge: Edge, standing: Standing) -> None:
        try:
            signed = opened(standing.note, [self.signer.verifier()]).head
        except TransparencyError as error:
            raise BentLogError(f"the head in the database is not signed by the key of this log: {error}") from error
        if edge.head() != signed or edge.frontier.octets() != standing.frontier:
            raise BentLogError("the leaves in the database do not make up the tree that was signed")


async def edge_at(conn: Connection, size: int) -> Edge:
    """Return the right edge of the tree as it was at `size`, out of leaves and tiles.

    Raises:
        BentLogError: some are missing.
    """
    rows: dict[int, list[bytes]] = {}
    for level in itertools.count():
        complete = size >> (HEIGHT * level)
        if not complete:
            break
        begin = complete - complete % WIDTH
        match level:
            case 0:
                rows[level] = await store.leaf_hashes(conn, begin, complete)
            case 1:
                hashes = await store.leaf_hashes(conn, begin * WIDTH, complete * WIDTH)
                rows[level] = [root_of(hashes[at : at + WIDTH]) for at in range(0, len(hashes), WIDTH)]
            case _:
                rows[level] = [root_of(tile) for tile in await store.tiles(conn, level - 1, begin, complete)]
        if len(rows[level]) != complete - begin:
            raise BentLogError(f"leaves or tiles of level {level} are missing in the database")
    return Edge.of(rows)
