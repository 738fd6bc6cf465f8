"""The right edge of the tiles of a growing log: what appending and publishing need, a few kilobytes at any size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from privacy.transparency.tiles import HEIGHT, WIDTH, Tile, root_of
from privacy.transparency.tree import Frontier, Head


@dataclass(slots=True)
class Edge:
    """A tree at its newest entry.

    Attributes:
        frontier: for roots.
        rows: by level of tiles, the hashes that are in no full tile yet; at most 255 each.
    """

    frontier: Frontier = field(default_factory=Frontier)
    rows: dict[int, list[bytes]] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Mapping[int, Sequence[bytes]]) -> Edge:
        """Return the edge that has these rows: they say all, the size too."""
        kept = {level: list(row) for level, row in rows.items() if row}
        size, hashes = 0, list[bytes]()
        for level in sorted(kept, reverse=True):
            size += len(kept[level]) << (HEIGHT * level)
            hashes += _whole_parts(kept[level])
        return cls(Frontier(size, hashes), kept)

    @property
    def size(self) -> int:
        """Number of entries."""
        return self.frontier.size

    def head(self) -> Head:
        """Return size and root."""
        return self.frontier.head()

    def copy(self) -> Edge:
        """Return another one that grows by itself."""
        frontier = Frontier(self.frontier.size, list(self.frontier.hashes))
        return Edge(frontier, {level: list(row) for level, row in self.rows.items()})

    def grow(self, leaf: bytes) -> list[tuple[Tile, bytes]]:
        """Append the hash of an entry; return the tiles that are full now, with their octets."""
        full = []
        for level, index, node in self.frontier.append(leaf):
            if level % HEIGHT == 0:
                row = self.rows.setdefault(level // HEIGHT, [])
                row.append(node)
                if len(row) == WIDTH:
                    full.append((Tile(level // HEIGHT, index // WIDTH), b"".join(row)))
                    row.clear()
        return full

    def partial(self) -> Iterator[tuple[Tile, bytes]]:
        """Yield the tiles that are begun, with their octets."""
        for level, row in self.rows.items():
            if row:
                index = (self.size >> (HEIGHT * level)) // WIDTH
                yield Tile(level, index, len(row)), b"".join(row)


def _whole_parts(row: Sequence[bytes]) -> Iterator[bytes]:
    """Yield the hashes of the complete subtrees that make up a row, largest first."""
    begin = 0
    for bit in reversed(range(HEIGHT)):
        if len(row) & (1 << bit):
            yield root_of(row[begin : begin + (1 << bit)])
            begin += 1 << bit
