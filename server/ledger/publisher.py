"""Writes what the tree has grown by into the public folder: bundles of entries, tiles, and last the checkpoint."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final

from privacy.transparency.checkpoint import opened
from privacy.transparency.edge import Edge
from privacy.transparency.errors import TransparencyError
from privacy.transparency.note import Verifier
from privacy.transparency.tiles import ENTRIES, WIDTH, Tile, bundle, entries_of
from privacy.transparency.tree import Head, leaf_hash
from server.ledger.sequencer import edge_at
from server.publiclog.errors import BentLogError
from server.publiclog.folder import CHECKPOINT, Folder
from server.store import ledger as store
from server.store.connection import Connection

CHUNK: Final = 32 * WIDTH
"""Entries read and written at once."""


@dataclass(slots=True)
class Publisher:
    """The writer of the public folder.

    Args:
        folder: of the log.
        key: of the log, to believe what stands there.
    """

    folder: Folder
    key: Verifier
    _edge: Edge = field(default_factory=Edge, init=False)
    _begun: list[bytes] = field(default_factory=list, init=False)

    @property
    def size(self) -> int:
        """Entries whose tiles are written."""
        return self._edge.size

    def published(self) -> Head | None:
        """Return the head that the folder shows; None: it shows none.

        Raises:
            BentLogError: a checkpoint stands there that this log has not signed.
        """
        text = self.folder.text(CHECKPOINT)
        if not text:
            return None
        try:
            return opened(text, [self.key]).head
        except TransparencyError as error:
            raise BentLogError(f"the published checkpoint is not of this log: {error}") from error

    async def load(self, conn: Connection, size: int) -> None:
        """Go on where the folder ends; the database must have all that is published, as it is published.

        Args:
            conn: of the ledger.
            size: of the tree in the database.

        Raises:
            BentLogError: it has less, or other entries.
        """
        head = self.published() or Edge().head()
        if head.size > size:
            raise BentLogError(f"{head.size} entries are published and {size} are in the database: an old copy?")
        edge = await edge_at(conn, head.size)
        if edge.head() != head:
            raise BentLogError("the database does not hold the log that is published")
        begun = self.folder(Tile(ENTRIES, head.size // WIDTH, head.size % WIDTH).path) if head.size % WIDTH else b""
        if begun is None:
            raise BentLogError("the newest entries are missing in the published log")
        entries = entries_of(begun)
        if [leaf_hash(entry) for entry in entries] != edge.rows.get(0, []):
            raise BentLogError("the newest published entries are not those of the published tree")
        self._edge, self._begun = edge, entries

    async def advance(self, conn: Connection, head: Head) -> None:
        """Write bundles and tiles up to `head`, which is committed; the checkpoint is not written yet.

        Raises:
            BentLogError: the entries in the database are not those that were signed.
        """
        edge, begun = self._edge.copy(), list(self._begun)
        while edge.size < head.size:
            bodies = await store.bodies(conn, edge.size, min(head.size, edge.size + CHUNK))
            if not bodies:
                raise BentLogError(f"entry {edge.size} is missing in the database")
            tiles = list[tuple[Tile, bytes]]()
            for body in bodies:
                begun.append(body)
                tiles += edge.grow(leaf_hash(body))
                if len(begun) == WIDTH:
                    tiles.append((Tile(ENTRIES, edge.size // WIDTH - 1), bundle(begun)))
                    begun = []
            await asyncio.to_thread(self.folder.write_tiles, tiles)
        if edge.head() != head:
            raise BentLogError("the entries in the database are not those that were signed")
        parts = list(edge.partial())
        if begun:
            parts.append((Tile(ENTRIES, edge.size // WIDTH, len(begun)), bundle(begun)))
        await asyncio.to_thread(self.folder.write_tiles, parts)
        self._edge, self._begun = edge, begun
