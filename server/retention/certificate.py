"""The certificate of a run of the schedule: what went of each class, and that nothing older is left."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from server.store.expiry import Deleted


@dataclass(frozen=True, slots=True)
class ClassResult:
    """What a run did with one class of data.

    Attributes:
        before: nothing older than this moment may be there, ISO 8601, UTC.
        tables: by name.
    """

    before: str
    tables: Mapping[str, Deleted]


@dataclass(frozen=True, slots=True)
class Certificate:
    """What one run did.

    Attributes:
        what: kind and version of this document.
        profile: of the city's ordinance.
        at: wall time, ISO 8601, UTC; `town_time`: the town's clock then.
        classes: by name of the class.
    """

    what: str
    profile: str
    at: str
    town_time: str
    classes: Mapping[str, ClassResult]

    @property
    def deleted(self) -> int:
        """How many records went."""
        return sum(one.deleted for each in self.classes.values() for one in each.tables.values())

    @property
    def left(self) -> int:
        """How many should have gone and did not."""
        return sum(one.left for each in self.classes.values() for one in each.tables.values())

    @property
    def by_class(self) -> dict[str, int]:
        """How many records went of each class."""
        return {name: sum(one.deleted for one in each.tables.values()) for name, each in self.classes.items()}

    def body(self) -> dict[str, Any]:
        """Return the certificate as JSON holds it."""
        return asdict(self)

    def digest(self) -> bytes:
        """Return the SHA-256 of the canonical form: JSON in UTF-8, keys sorted, no spaces."""
        return digest_of(self.body())


def digest_of(body: Mapping[str, Any]) -> bytes:
    """Return the SHA-256 of a certificate that was read back."""
    canonical = json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).digest()


def iso(ms: int) -> str:
    """Return a UTC millisecond as the certificate has it."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
