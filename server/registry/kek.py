"""Wraps tags' identity keys under the key-encryption key, so that a copy of the database can follow nobody.

RFC 3394 (AES key wrap). The key-encryption key lies in a file apart: back it up apart.
"""

from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from server.errors import KeysError

_LENGTHS: Final = (16, 24, 32)


def load(path: Path) -> bytes:
    """Return the key-encryption key in a file.

    Raises:
        KeysError: unreadable, or not 16, 24 or 32 octets.
    """
    try:
        kek = path.read_bytes()
    except OSError as error:
        raise KeysError(f"cannot read {path.name}: {error.strerror}. Run `mimamori init` first.") from error
    if len(kek) not in _LENGTHS:
        raise KeysError(f"{path.name} holds {len(kek)} octets, not 32: put it back from its backup")
    return kek


def wrap(kek: bytes, identity_key: bytes) -> bytes:
    """Return the 24 octets in which a key of 16 is kept. The same key gives the same octets."""
    return aes_key_wrap(kek, identity_key)


def unwrap(kek: bytes, wrapped: bytes) -> bytes:
    """Return the identity key.

    Raises:
        KeysError: wrapped under another key, or altered.
    """
    try:
        return aes_key_unwrap(kek, wrapped)
    except (InvalidUnwrap, ValueError) as error:
        raise KeysError(
            "a tag's key does not open with this kek.bin: another one was in use when it was kept"
        ) from error
