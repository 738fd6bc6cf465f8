"""Login codes: how they are written down (Argon2id, RFC 9106) and how they are compared."""

from __future__ import annotations

import unicodedata
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type

# OWASP Password Storage Cheat Sheet: 19 MiB, two passes, one lane; about 30 ms of one core.
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)

_NOBODY: Final = "$argon2id$v=19$m=19456,t=2,p=1$bWltYW1vcmktbm9ib2R5IQ$vXJ4hPCvGw1ny4bDqKq8Zb0K2U9q8WvHnWJ5mSxS1tA"
"""A hash of no code, at the same cost: an unknown login takes as long to refuse as a wrong code."""


def normalise(text: str) -> str:
    """Return `text` as it is compared: full-width digits narrowed, spaces and hyphens dropped, case ignored."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in folded if not (c.isspace() or unicodedata.category(c) == "Pd"))


def normalise_login(text: str) -> str:
    """Return a login as it is stored and looked up: narrowed, trimmed, case ignored, no control characters."""
    folded = unicodedata.normalize("NFKC", text).strip().casefold()
    return "".join(c for c in folded if unicodedata.category(c) != "Cc")


def hash_code(code: str) -> str:
    """Return the Argon2id PHC string of a login code; about 30 ms and 19 MiB."""
    return _HASHER.hash(normalise(code))


def is_code_of(phc: str | None, code: str) -> bool:
    """Return whether `code` belongs to the hash `phc`; None costs the same time and is never right."""
    try:
        _HASHER.verify(phc or _NOBODY, normalise(code))
    except (VerificationError, InvalidHashError):
        return False
    return phc is not None
