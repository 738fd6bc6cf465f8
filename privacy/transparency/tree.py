"""The Merkle tree of the log: hashes, growth at its right edge, roots, proofs, and verifiers that share none of it.

Source: RFC 9162, sections 2.1.1 to 2.1.4; the same tree as RFC 6962.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from privacy.transparency.errors import TransparencyError

HASH_OCTETS: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
MAX_PROOF: Final = 63
"""More hashes than this no proof has: sizes fit into 63 bits."""

Reader = Callable[[int, int], bytes]
"""Gives the hash of a complete subtree by level (0: leaves) and index within it."""


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of an entry."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two subtrees together."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Head:
    """A tree at one moment.

    Attributes:
        size: number of entries.
        root: its hash, 32 octets.
    """

    size: int
    root: bytes


@dataclass(slots=True)
class Frontier:
    """The right edge of a growing tree: all that appending needs.

    Attributes:
        size: number of entries.
        hashes: roots of the complete subtrees that make it up, largest first; one for each bit of `size` that is set.
    """

    size: int = 0
    hashes: list[bytes] = field(default_factory=list)

    @classmethod
    def of(cls, size: int, octets: bytes) -> Frontier:
        """Return the frontier whose hashes stand in `octets` one behind the other.

        Raises:
            TransparencyError: not as many as a tree of that size has.
        """
        if size < 0 or len(octets) != size.bit_count() * HASH_OCTETS:
            raise TransparencyError("not the frontier of a tree of this size")
        return cls(size, split_hashes(octets))

    def append(self, leaf: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Yield level, index and hash of every subtree that `leaf` completes, from the leaf up. Exhaust it."""
        index, level, joined = self.size, 0, leaf
        self.size += 1
        yield 0, index, joined
        while index & 1:
            joined = node_hash(self.hashes.pop(), joined)
            index, level = index >> 1, level + 1
            yield level, index, joined
        self.hashes.append(joined)

    def head(self) -> Head:
        """Return size and root."""
        if not self.hashes:
            return Head(0, EMPTY_ROOT)
        root = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            root = node_hash(left, root)
        return Head(self.size, root)

    def octets(self) -> bytes:
        """Return the hashes one behind the other, as `of` reads them."""
        return b"".join(self.hashes)


def split_hashes(octets: bytes) -> list[bytes]:
    """Return the hashes that stand in `octets` one behind the other.

    Raises:
        TransparencyError: the last one is cut short.
    """
    if len(octets) % HASH_OCTETS:
        raise TransparencyError("hashes have 32 octets each")
    return [octets[start : start + HASH_OCTETS] for start in range(0, len(octets), HASH_OCTETS)]


def root(read: Reader, size: int) -> bytes:
    """Return the root of the first `size` entries."""
    return _hash_of(read, 0, size)


def inclusion_proof(read: Reader, index: int, size: int) -> list[bytes]:
    """Return the hashes that lead from entry `index` to the root of the first `size` entries, from the leaf up.

    Raises:
        TransparencyError: there is no such entry in that tree.
    """
    if not 0 <= index < size:
        raise TransparencyError(f"a tree of {size} entries has no entry {index}")
    path, begin, end = [], 0, size
    while end - begin > 1:
        middle = begin + _left_part(end - begin)
        if index < middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((begin, middle))
            begin = middle
    return [_hash_of(read, *part) for part in reversed(path)]


def consistency_proof(read: Reader, old_size: int, new_size: int) -> list[bytes]:
    """Return the hashes that show that a tree of `new_size` begins with the one of `old_size`; none for size 0.

    Raises:
        TransparencyError: the old tree is larger than the new one.
    """
    if not 0 <= old_size <= new_size:
        raise TransparencyError(f"a tree of {new_size} entries cannot begin with {old_size}")
    if old_size in {0, new_size}:
        return []
    path, begin, end = [], 0, new_size
    while end != old_size:
        middle = begin + _left_part(end - begin)
        if old_size <= middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((begin, middle))
            begin = middle
    if begin:  # the old root is no subtree of the new one: its last part is needed to build it
        path.append((begin, end))
    return [_hash_of(read, *part) for part in reversed(path)]


def proves_inclusion(proof: Sequence[bytes], leaf: bytes, index: int, head: Head) -> bool:
    """Return whether `proof` leads from the hash of entry `index` to the head's root.

    Source: RFC 9162, section 2.1.3.2.
    """
    if not 0 <= index < head.size or not _are_hashes(*proof, leaf, head.root):
        return False
    node, last, joined = index, head.size - 1, leaf
    for beside in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            joined = node_hash(beside, joined)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            joined = node_hash(joined, beside)
        node, last = node >> 1, last >> 1
    return last == 0 and joined == head.root


def proves_consistency(proof: Sequence[bytes], old: Head, new: Head) -> bool:
    """Return whether `proof` shows that the new tree begins with the old one. A tree of size 0 proves nothing.

    Source: RFC 9162, section 2.1.4.2.
    """
    if old.size == new.size > 0:
        return not proof and old.root == new.root
    if not 0 < old.size < new.size or not _are_hashes(*proof, old.root, new.root):
        return False
    if old.size.bit_count() == 1:
        proof = [old.root, *proof]
    if not proof:
        return False
    node, last = old.size - 1, new.size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old_joined = new_joined = proof[0]
    for beside in proof[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old_joined, new_joined = node_hash(beside, old_joined), node_hash(beside, new_joined)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new_joined = node_hash(new_joined, beside)
        node, last = node >> 1, last >> 1
    return last == 0 and old_joined == old.root and new_joined == new.root


def _left_part(size: int) -> int:
    """Return how many of `size` entries, at least two, are in the left subtree: the largest power of two below."""
    return 1 << ((size - 1).bit_length() - 1)


def _hash_of(read: Reader, begin: int, end: int) -> bytes:
    """Return the hash of entries `begin` to `end`, which splits of the tree have cut out."""
    if begin == end:
        return EMPTY_ROOT
    parts = []
    while end - begin != (whole := _whole_part(end - begin)):
        parts.append(read(whole.bit_length() - 1, begin // whole))
        begin += whole
    joined = read(whole.bit_length() - 1, begin // whole)
    for left in reversed(parts):
        joined = node_hash(left, joined)
    return joined


def _whole_part(size: int) -> int:
    return 1 << (size.bit_length() - 1)


def _are_hashes(*values: bytes) -> bool:
    return len(values) <= MAX_PROOF + 3 and all(len(value) == HASH_OCTETS for value in values)
