"""Whom a tag belongs to and how it is recognised: the part of the registry that the core needs."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from wire.status import StatusKeys


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
    status_keys: StatusKeys | None = field(init=False)

    def __post_init__(self) -> None:
        keys = None if self.identity_key is None else StatusKeys.of(self.identity_key)
        object.__setattr__(self, "status_keys", keys)

    @property
    def is_traceable(self) -> bool:
        """Whether anyone with a radio can follow it."""
        return self.identity_key is None


@dataclass(frozen=True, slots=True)
class Tags:
    """All enrolled tags, by position: 0 to n-1 is how the steps name a tag."""

    all: tuple[Tag, ...]
    by_static_id: dict[tuple[int, int], int] = field(init=False)

    def __post_init__(self) -> None:
        found = {(t.static_kind, t.static_id): row for row, t in enumerate(self.all) if t.static_id is not None}
        object.__setattr__(self, "by_static_id", found)

    @classmethod
    def of(cls, tags: Sequence[Tag]) -> "Tags":
        """Return the collection of `tags`."""
        return cls(tuple(tags))

    def __len__(self) -> int:
        return len(self.all)

    def __getitem__(self, row: int) -> Tag:
        return self.all[row]
