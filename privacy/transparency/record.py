"""An entry of the audit log: who did what for which purpose, without a personal value in it.

A value that names a person stands in an entry as a commitment, SHA-256 over a random salt and the value. Salt and value
lie apart (`Opening`); when they are erased, the entry stays, the tree stays, and nobody can tell whom it is about.

Source: RFC 9162 for the tree; JSON after RFC 8785 (sorted keys, no spaces), so that anyone can read and hash it.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from privacy.terms import Role

SALT_OCTETS: Final = 16
Fact = str | int | bool


@dataclass(frozen=True, slots=True)
class Opening:
    """What opens one commitment of an entry.

    Attributes:
        name: of the fact, such as "ward".
        salt: 16 random octets.
        value: what was committed to.
    """

    name: str
    salt: bytes
    value: str


@dataclass(frozen=True, slots=True)
class Record:
    """What an entry says.

    Attributes:
        kind: `noun.verb` in the past, such as "case.approved" or "footage.viewed".
        at_ms: wall time, UTC ms.
        role: of who did it.
        facts: numbers, states, ids of cases, agencies, cameras, policies; never a name, a place, a free text.
        personal: values that name a person, such as "account", "ward", "officer": committed to, not written.
    """

    kind: str
    at_ms: int
    role: Role
    facts: Mapping[str, Fact] = field(default_factory=dict)
    personal: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sealed:
    """An entry as it is logged, and what opens its commitments."""

    body: bytes
    openings: tuple[Opening, ...]


def commit(salt: bytes, value: str) -> str:
    """Return the commitment to `value`, hex."""
    return hashlib.sha256(salt + value.encode()).hexdigest()


def seal(record: Record) -> Sealed:
    """Return the octets of an entry, with fresh salts for what is personal."""
    openings = tuple(
        Opening(name, secrets.token_bytes(SALT_OCTETS), value) for name, value in sorted(record.personal.items())
    )
    entry = {
        "v": 1,
        "kind": record.kind,
        "at_ms": record.at_ms,
        "role": record.role.value,
        "facts": dict(record.facts),
        "committed": {one.name: commit(one.salt, one.value) for one in openings},
    }
    body = json.dumps(entry, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    return Sealed(body, openings)
