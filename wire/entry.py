"""Entries of a gateway's own log: each names the hash of the one before, so that none can be changed, taken or added.

The gateway keeps them (edge/journal.py), signs and sends each as a report, and the city keeps a copy. An entry is the
proof of what it says: of footage deleted, of an order carried out or refused, of a mask set, of a camera moved.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from wire import fields as _f
from wire.errors import MessageError

FIRST: Final = bytes(32)
"""What the first entry names."""
MAX_OCTETS: Final = 200_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened.

    Attributes:
        sequence: 1, 2, 3 …
        at_ms: the gateway's wall time, Unix milliseconds.
        kind: noun and past verb, as "order.done", "footage.deleted".
        body: text keys; values as the kind says, docs/WIRE.md.
        previous: SHA-256 of the encoded entry before.
    """

    sequence: int
    at_ms: int
    kind: str
    body: Mapping[str, Any] = field(default_factory=dict)
    previous: bytes = FIRST

    def encode(self) -> bytes:
        """Return the entry as CBOR; what it is hashed and signed as."""
        return _f.dumps({1: self.sequence, 2: self.at_ms, 3: self.kind, 4: dict(self.body), 5: self.previous})

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the entry in `data`.

        Raises:
            MessageError: malformed or of an unknown version.
        """
        fields = _f.loads(data, max_octets=MAX_OCTETS)
        body = fields.get(4)
        if not isinstance(body, dict) or not all(isinstance(key, str) for key in body):
            raise MessageError("an entry's body is a map with text keys")
        previous = _f.octets(fields, 5, 32)
        return cls(_f.uint(fields, 1), _f.uint(fields, 2), _f.text(fields, 3), body, previous)


def digest(encoded: bytes) -> bytes:
    """Return the hash by which the next entry names an encoded one."""
    return hashlib.sha256(encoded).digest()


def first_fault(entries: Iterable[bytes], previous: bytes = FIRST, sequence: int = 1) -> int | None:
    """Return the sequence at which a run of encoded entries is not what it should be, None if all are.

    Args:
        entries: in order.
        previous: hash of the entry before the first of them.
        sequence: of the first of them.
    """
    for encoded in entries:
        try:
            entry = Entry.decode(encoded)
        except MessageError:
            return sequence
        if entry.sequence != sequence or entry.previous != previous:
            return sequence
        previous, sequence = digest(encoded), sequence + 1
    return None
