"""AES-256-GCM around a ward's hour under the ward's data key, and around the data key under the key-encryption key.

A sealed hour: version (1), key id (16), nonce (12), ciphertext with tag (16). Version, key id, hour and ward are the
additional data, so that no row passes for another. Nonces are random: a key seals a few thousand rows in its life, far
from the 2**32 of NIST SP 800-38D, section 8.3.
"""

import os
import struct
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from server.history.errors import KeyStoreError, SealedHourError

VERSION: Final = 1
KEY_OCTETS: Final = 32
ID_OCTETS: Final = 16
_NONCE_OCTETS: Final = 12
_HEAD_OCTETS: Final = 1 + ID_OCTETS
_HOUR: Final = struct.Struct(">q")


@dataclass(frozen=True, slots=True, repr=False)
class DataKey:
    """A ward's key. `id` names it in the rows that it sealed."""

    id: bytes
    octets: bytes


def new_key() -> DataKey:
    """Return a random key with a random id."""
    return DataKey(os.urandom(ID_OCTETS), os.urandom(KEY_OCTETS))


def seal(data: bytes, key: DataKey, ward: str, hour_ms: int) -> bytes:
    """Return `data` sealed for one ward and hour."""
    head, nonce = bytes([VERSION]) + key.id, os.urandom(_NONCE_OCTETS)
    return head + nonce + AESGCM(key.octets).encrypt(nonce, data, _about(head, ward, hour_ms))


def key_id(sealed: bytes) -> bytes:
    """Return the id of the key that an hour says it was sealed under."""
    return sealed[1:_HEAD_OCTETS]


def open_(sealed: bytes, key: DataKey, ward: str, hour_ms: int) -> bytes:
    """Return what was sealed for this ward and hour.

    Raises:
        SealedHourError: another key, another ward, another hour, or altered.
    """
    if len(sealed) < _HEAD_OCTETS + _NONCE_OCTETS or sealed[0] != VERSION:
        raise SealedHourError("an hour of a version that we do not know")
    if key_id(sealed) != key.id:
        raise SealedHourError("sealed under another key")
    head, nonce = sealed[:_HEAD_OCTETS], sealed[_HEAD_OCTETS : _HEAD_OCTETS + _NONCE_OCTETS]
    try:
        return AESGCM(key.octets).decrypt(nonce, sealed[_HEAD_OCTETS + _NONCE_OCTETS :], _about(head, ward, hour_ms))
    except InvalidTag as error:
        raise SealedHourError from error


def wrap(kek: bytes, key: DataKey, ward: str) -> bytes:
    """Return a data key as the key store has it, bound to its ward and id."""
    nonce = os.urandom(_NONCE_OCTETS)
    return nonce + AESGCM(kek).encrypt(nonce, key.octets, key.id + ward.encode())


def unwrap(kek: bytes, wrapped: bytes, ward: str, identity: bytes) -> DataKey:
    """Return a data key of the key store.

    Raises:
        KeyStoreError: wrapped under another key-encryption key, for another ward, or altered.
    """
    try:
        octets = AESGCM(kek).decrypt(wrapped[:_NONCE_OCTETS], wrapped[_NONCE_OCTETS:], identity + ward.encode())
    except (InvalidTag, ValueError) as error:
        raise KeyStoreError("a ward's key does not open with this history.bin: another one was in use") from error
    return DataKey(identity, octets)


def _about(head: bytes, ward: str, hour_ms: int) -> bytes:
    return head + _HOUR.pack(hour_ms) + ward.encode()
