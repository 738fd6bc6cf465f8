"""The bundles of a published log against the tiles beside them: where entries and hashes part, and how."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from privacy.transparency.errors import TransparencyError
from privacy.transparency.finding import Fault, Finding
from privacy.transparency.tiles import ENTRIES, WIDTH, Fetch, Tile, entries_of, fetched, root_of, width_at
from privacy.transparency.tree import split_hashes


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look at one bundle and its tile has found.

    Attributes:
        index: of both.
        entry_root: root over the entries, once they are 256; empty: they are not.
        tile_root: root over the hashes in the tile, likewise.
        entries: hashes of the entries; None: the file is missing or broken. Left out where both agree.
        hashes: of the tile; likewise.
        is_same: whether both agree.
    """

    index: int
    entry_root: bytes
    tile_root: bytes
    entries: tuple[bytes, ...] | None = ()
    hashes: tuple[bytes, ...] | None = ()
    is_same: bool = True


def look(fetch: Fetch, size: int, part: range) -> list[Looked]:
    """Return what bundles and tiles of some indexes hold, in a log of `size` entries.

    A pure function of the files, so that several processes can each look at a part.
    """
    return [_look(fetch, size, index) for index in part]


def leaves(fetch: Fetch, index: int, width: int) -> list[bytes] | None:
    """Return the hashes of the entries in a bundle; None: the file is missing or broken."""
    try:
        octets = fetched(fetch, Tile(ENTRIES, index, width))
        return None if octets is None else _hashed(entries_of(octets))
    except TransparencyError:
        return None


def tile_hashes(fetch: Fetch, tile: Tile) -> list[bytes] | None:
    """Return the hashes in a tile; None: the file is missing or broken."""
    try:
        octets = fetched(fetch, tile)
        return None if octets is None else split_hashes(octets)
    except TransparencyError:
        return None


def _look(fetch: Fetch, size: int, index: int) -> Looked:
    width = width_at(ENTRIES, index, size)
    entries, hashes = leaves(fetch, index, width), tile_hashes(fetch, Tile(0, index, width))
    if entries is not None and entries == hashes and len(entries) == width:
        root = _root(entries)
        return Looked(index, root, root)
    return Looked(
        index,
        _root(entries or ()),
        _root(hashes or ()),
        None if entries is None else tuple(entries),
        None if hashes is None else tuple(hashes),
        is_same=False,
    )


def _root(hashes: Sequence[bytes]) -> bytes:
    return root_of(hashes) if len(hashes) == WIDTH else b""


def _hashed(entries: Sequence[bytes]) -> list[bytes]:
    sha256 = hashlib.sha256  # a million times: looked up once
    return [sha256(b"\x00" + entry).digest() for entry in entries]


def differences(bad: Sequence[Looked], size: int) -> Iterator[Finding]:
    """Yield what is wrong with the entries of bundles that do not agree with their tiles.

    Bundles that follow each other are looked at together: one entry taken out moves all behind it.
    """
    for run in _runs(bad):
        unread = [one for one in run if one.entries is None or one.hashes is None]
        if unread:
            yield from (_unread(one, size) for one in unread)
            continue
        begin = run[0].index * WIDTH
        wanted = [node for one in run for node in one.hashes or ()]
        found = [node for one in run for node in one.entries or ()]
        yield _difference(wanted, found, begin)


def _runs(bad: Sequence[Looked]) -> Iterator[list[Looked]]:
    run = list[Looked]()
    for one in bad:
        if run and one.index != run[-1].index + 1:
            yield run
            run = []
        run.append(one)
    if run:
        yield run


def _unread(one: Looked, size: int) -> Finding:
    width = width_at(ENTRIES, one.index, size)
    if one.entries is None:
        return Finding(Fault.MISSING_ENTRIES, one.index * WIDTH, one.index * WIDTH + width - 1)
    return Finding(Fault.MISSING_TILE, detail=Tile(0, one.index, width).path)


def _difference(wanted: Sequence[bytes], found: Sequence[bytes], begin: int) -> Finding:
    """Return how `found` differs from `wanted` between what they have alike in front and behind."""
    shorter = min(len(wanted), len(found))
    front = _alike(zip(wanted, found, strict=False))
    back = min(_alike(zip(reversed(wanted), reversed(found), strict=False)), shorter - front)
    gone, new = wanted[front : len(wanted) - back], found[front : len(found) - back]
    first = begin + front
    if not new:
        return Finding(Fault.REMOVED, first, first + len(gone) - 1)
    if not gone:
        return Finding(Fault.ADDED, first, first + len(new) - 1)
    if sorted(gone) == sorted(new):
        return Finding(Fault.REORDERED, first, first + len(gone) - 1)
    return Finding(Fault.CHANGED, first, first + max(len(gone), len(new)) - 1)


def _alike(pairs: Iterable[tuple[bytes, bytes]]) -> int:
    count = 0
    for left, right in pairs:
        if left != right:
            break
        count += 1
    return count
