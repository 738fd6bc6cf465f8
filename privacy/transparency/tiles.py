"""Tiles: the tree in files of 256 hashes, and the entries in bundles of 256, under paths that anyone can compute.

Source: C2SP tlog-tiles.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from privacy.transparency.errors import TileError
from privacy.transparency.tree import HASH_OCTETS, node_hash, split_hashes

HEIGHT: Final = 8
WIDTH: Final = 1 << HEIGHT
TILE_OCTETS: Final = WIDTH * HASH_OCTETS
MAX_ENTRY_OCTETS: Final = 0xFFFF
ENTRIES: Final = -1
"""The "level" of bundles of entries."""
_LENGTH: Final = struct.Struct(">H")
_PATH: Final = re.compile(
    r"tile/(entries|0|[1-9]|[1-5][0-9]|6[0-3])/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII
)
_MAX_PATH: Final = 64
_CACHED_TILES: Final = 4_096


@dataclass(frozen=True, slots=True)
class Tile:
    """One file of the published log.

    Attributes:
        level: 0 holds hashes of entries, each further one roots of full tiles below; ENTRIES: the entries themselves.
        index: within the level.
        width: hashes or entries in it; 256: it is full and never changes.
    """

    level: int
    index: int
    width: int = WIDTH

    @classmethod
    def parse(cls, path: str) -> Tile:
        """Return the tile that a path names.

        Raises:
            TileError: the path of nothing.
        """
        found = _PATH.fullmatch(path) if len(path) <= _MAX_PATH else None
        if found is None:
            raise TileError("not the path of a tile")
        level, places, width = found.groups()
        tile = cls(
            ENTRIES if level == "entries" else int(level),
            int(places.replace("x", "").replace("/", "")),
            int(width) if width else WIDTH,
        )
        if tile.path != path or (width and tile.width >= WIDTH):
            raise TileError("not the path of a tile")
        return tile

    @property
    def path(self) -> str:
        """Where it lies, relative to the log."""
        places = [f"{self.index % 1000:03d}"]
        rest = self.index // 1000
        while rest:
            places.insert(0, f"x{rest % 1000:03d}")
            rest //= 1000
        level = "entries" if self.level == ENTRIES else str(self.level)
        partial = f".p/{self.width}" if self.width < WIDTH else ""
        return f"tile/{level}/{'/'.join(places)}{partial}"

    @property
    def is_full(self) -> bool:
        """Whether it never changes any more."""
        return self.width == WIDTH


Read = Callable[[Tile], bytes]
"""Gives the octets of a tile."""
Fetch = Callable[[str], bytes | None]
"""Gives the octets of a published file by its path; None: there is none."""


def fetched(fetch: Fetch, tile: Tile) -> bytes | None:
    """Return the octets of a published tile. Where it has grown since, it is cut back to the width that is asked for.

    Raises:
        TileError: a bundle of entries is cut short.
    """
    octets = fetch(tile.path)
    if octets is not None or tile.is_full:
        return octets
    whole = fetch(Tile(tile.level, tile.index).path)
    if whole is None or tile.level != ENTRIES:
        return None if whole is None else whole[: tile.width * HASH_OCTETS]
    return bundle(entries_of(whole)[: tile.width])


def width_at(level: int, index: int, size: int) -> int:
    """Return how wide a tile is in a tree of `size` entries; 0: it is not there yet."""
    complete = size >> (HEIGHT * max(level, 0))
    return max(0, min(WIDTH, complete - index * WIDTH))


def tiles_of(size: int, *, since: int = 0) -> Iterator[Tile]:
    """Yield what a log of `size` entries consists of and one of `since` did not have, bundles of entries first."""
    for level in (ENTRIES, *range(_levels(size))):
        shift = HEIGHT * max(level, 0)
        if (size >> shift) == (since >> shift):
            continue
        for index in range((since >> shift) // WIDTH, -(-(size >> shift) // WIDTH)):
            yield Tile(level, index, width_at(level, index, size))


def _levels(size: int) -> int:
    levels = 0
    while size >> (HEIGHT * levels):
        levels += 1
    return levels


def bundle(entries: Sequence[bytes]) -> bytes:
    """Return a bundle of entries as it is published.

    Raises:
        TileError: an entry is too long to be told how long.
    """
    if any(len(entry) > MAX_ENTRY_OCTETS for entry in entries):
        raise TileError("an entry has at most 65,535 octets")
    return b"".join(_LENGTH.pack(len(entry)) + entry for entry in entries)


def entries_of(octets: bytes) -> list[bytes]:
    """Return the entries of a bundle.

    Raises:
        TileError: cut short.
    """
    entries, place = [], 0
    while place < len(octets):
        begin = place + _LENGTH.size
        if begin > len(octets):
            raise TileError("a bundle of entries is cut short")
        place = begin + int(_LENGTH.unpack_from(octets, place)[0])
        entries.append(octets[begin:place])
    if place != len(octets):
        raise TileError("a bundle of entries is cut short")
    return entries


def root_of(hashes: Sequence[bytes]) -> bytes:
    """Return the hash over a full subtree: of as many hashes as a power of two, at least one."""
    row = list(hashes)
    while len(row) > 1:
        row = [node_hash(row[place], row[place + 1]) for place in range(0, len(row), 2)]
    return row[0]


@dataclass(slots=True)
class HashReader:
    """Gives hashes of subtrees, for roots and proofs, out of the tiles of a tree; what it has read it keeps.

    Attributes:
        read: gives the octets of a tile.
        size: entries in the tree: tiles at its edge are as wide as it says.
    """

    read: Read
    size: int
    _split: Callable[[Tile], list[bytes]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._split = lru_cache(_CACHED_TILES)(self._read)

    def __call__(self, level: int, index: int) -> bytes:
        """Return the hash of a complete subtree.

        Raises:
            TileError: it is not complete in this tree, or its tile has another width.
        """
        row, height = divmod(level, HEIGHT)
        begin = index << height
        tile = Tile(row, begin // WIDTH, width_at(row, begin // WIDTH, self.size))
        place, count = begin % WIDTH, 1 << height
        if place + count > tile.width:
            raise TileError("the tree has no such subtree")
        return root_of(self._split(tile)[place : place + count])

    def _read(self, tile: Tile) -> list[bytes]:
        hashes = split_hashes(self.read(tile))
        if len(hashes) != tile.width:
            raise TileError(f"{tile.path} holds {len(hashes)} hashes instead of {tile.width}")
        return hashes
