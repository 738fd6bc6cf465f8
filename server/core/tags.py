"""Whom a tag belongs to and how it is recognised: the part of the registry that the core needs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, repr=False)
class Tag:
    """One enrolled tag.

    Attributes:
        index: as stored with sightings.
        ward: id of the one who carries it, None in the drawer.
        identity_key: 16 octets; None for a tag whose id never changes.
        rotation_exponent: K of its ids.
        static_id: 8 octets read as a little-endian integer; None for a tag with an identity key.
        static_kind: `rows.KIND_UID` or `rows.KIND_IBEACON` where there is a static id.
        shard: as stored with sightings.
    """

    index: int
    ward: str | None = None
    identity_key: bytes | None = None
    rotation_exponent: int = 10
    static_id: int | None = None
    static_kind: int = 0
    shard: int = 0


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Tags:
    """All enrolled tags as columns; their rows 0 to n-1 are how the steps name a tag.

    Attributes:
        index: int32, as stored with sightings.
        wards: object, id of the one who carries it or None.
        keys: uint8 (n, 16), identity keys; zeros where there is none.
        has_key: bool.
        exponents: uint8, K of the ids.
        static_ids: uint64, 8 octets read as a little-endian integer, where there is no key.
        static_kinds: uint8, 0 where there is a key.
        shards: int16.
        has_ward: bool.
    """

    index: NDArray[np.int32]
    wards: NDArray[np.object_]
    keys: NDArray[np.uint8]
    has_key: NDArray[np.bool_]
    exponents: NDArray[np.uint8]
    static_ids: NDArray[np.uint64]
    static_kinds: NDArray[np.uint8]
    shards: NDArray[np.int16]
    has_ward: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "has_ward", np.array([ward is not None for ward in self.wards], np.bool_))

    @classmethod
    def of(cls, tags: Sequence[Tag]) -> Self:
        """Return the columns of `tags`, in their order."""
        wards = np.empty(len(tags), np.object_)
        wards[:] = [tag.ward for tag in tags]
        keys = b"".join(tag.identity_key or bytes(16) for tag in tags)
        return cls(
            np.array([tag.index for tag in tags], np.int32),
            wards,
            np.frombuffer(keys, np.uint8).reshape(-1, 16),
            np.array([tag.identity_key is not None for tag in tags], np.bool_),
            np.array([tag.rotation_exponent for tag in tags], np.uint8),
            np.array([tag.static_id or 0 for tag in tags], np.uint64),
            np.array([tag.static_kind if tag.static_id is not None else 0 for tag in tags], np.uint8),
            np.array([tag.shard for tag in tags], np.int16),
        )

    def __len__(self) -> int:
        return len(self.index)

    def rows_of(self, index: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the rows of tags by `index`, shape (n,), -1 where there is none."""
        if not len(self):
            return np.full(len(index), -1, np.int32)
        order = np.argsort(self.index, kind="stable")
        at = np.minimum(np.searchsorted(self.index, index, sorter=order), len(self) - 1)
        return np.where(self.index[order[at]] == index, order[at], -1).astype(np.int32)
