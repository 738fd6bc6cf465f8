"""Ephemeral ids: derived by the tag from its identity key and its clock, and by the server for all tags ahead of time.

Implements google/eddystone, eddystone-eid/eid-computation.md. The tag needs AES-128 encryption and nothing else.
"""

from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

ROTATION_EXPONENT: Final = 10
"""A new id every 2**10 = 1024 s, the exponent of our tags."""
_EPOCH_BITS = 16  # a temporary key lives 2**16 s


def encrypt_blocks(key: bytes, blocks: bytes) -> bytes:
    """Return blocks of 16 octets, each encrypted by AES-128 on its own.

    Only for inputs that never repeat under a key, as the constructions of this package guarantee.
    """
    encryptor = Cipher(algorithms.AES128(key), modes.ECB()).encryptor()  # noqa: S305 - a block cipher call, not a mode
    return encryptor.update(blocks) + encryptor.finalize()


def quantum_start_s(rotation_exponent: int, beacon_time_s: int) -> int:
    """Return the beacon time at which the current id began: `beacon_time_s` (mod 2**32) with K low bits cleared.

    Raises:
        ValueError: the exponent is not 0 to 15.
    """
    if not 0 <= rotation_exponent <= 15:
        raise ValueError("a rotation exponent is 0 to 15")
    return (beacon_time_s & 0xFFFFFFFF) >> rotation_exponent << rotation_exponent


def temporary_key(identity_key: bytes, beacon_time_s: int) -> bytes:
    """Return the key (16 octets) from which ids are made for 65,536 s around a beacon time."""
    high = (beacon_time_s >> _EPOCH_BITS) & 0xFFFF
    return encrypt_blocks(identity_key, bytes(11) + b"\xff" + bytes(2) + high.to_bytes(2, "big"))


def derive(identity_key: bytes, rotation_exponent: int, beacon_time_s: int) -> bytes:
    """Return the id (8 octets) that a tag advertises at a beacon time.

    Args:
        identity_key: 16 octets, known to tag and server only.
        rotation_exponent: K, 0 to 15; the id changes every 2**K seconds.
        beacon_time_s: the tag's own clock, taken modulo 2**32.

    Raises:
        ValueError: the key has not 16 octets, or the exponent is out of range.
    """
    start_s = quantum_start_s(rotation_exponent, beacon_time_s)
    block = bytes(11) + bytes((rotation_exponent,)) + start_s.to_bytes(4, "big")
    return encrypt_blocks(temporary_key(identity_key, start_s), block)[:8]


def derive_many(identity_key: bytes, rotation_exponent: int, first_quantum: int, n: int) -> NDArray[np.uint64]:
    """Return the ids of `n` consecutive quanta, one AES key set-up for each 65,536 s of them.

    Args:
        identity_key: 16 octets.
        rotation_exponent: K, 0 to 15.
        first_quantum: beacon time >> K of the first id; quanta count modulo 2**(32-K).
        n: how many ids.

    Returns:
        Shape (n,): each id's 8 octets read as a little-endian integer, as batches carry them.

    Raises:
        ValueError: as `derive`.
    """
    quantum_start_s(rotation_exponent, 0)
    quanta_per_key = 1 << (_EPOCH_BITS - rotation_exponent)
    ids = np.empty(n, dtype="<u8")
    done = 0
    while done < n:
        quantum = (first_quantum + done) % (1 << (32 - rotation_exponent))
        take = min(quanta_per_key - quantum % quanta_per_key, n - done)
        ids[done : done + take] = _derive_under_one_key(identity_key, rotation_exponent, quantum, take)
        done += take
    return ids


def _derive_under_one_key(identity_key: bytes, exponent: int, quantum: int, n: int) -> NDArray[np.uint64]:
    blocks = np.zeros((n, 16), dtype=np.uint8)
    blocks[:, 11] = exponent
    starts_s = (np.arange(quantum, quantum + n, dtype=np.uint64) << np.uint64(exponent)).astype(">u4")
    blocks[:, 12:] = starts_s.view(np.uint8).reshape(n, 4)
    encrypted = encrypt_blocks(temporary_key(identity_key, quantum << exponent), blocks.tobytes())
    return np.frombuffer(encrypted, dtype="<u8")[::2]
