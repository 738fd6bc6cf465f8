"""Strands: the keys under which a gateway records. Made on the device, kept in memory, at rest only sealed to the city.

A strand is ten minutes of one camera, or less after a restart. Its key goes with each of its segments, sealed (HPKE,
RFC 9180) to the city's footage key, so that a stolen box shows nothing and the city opens what an approved case names.
"""

import secrets
from dataclasses import dataclass, field
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from wire.errors import SealError

STRAND_MS: Final = 600_000
ID_OCTETS: Final = 16
KEY_OCTETS: Final = 32
_INFO: Final = b"mimamori/strand/1"
_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


@dataclass(frozen=True, slots=True)
class Strand:
    """One key.

    Attributes:
        id: 16 octets, random.
        key: 32 octets.
        wrapped: the key, sealed to the city for this camera and id.
    """

    id: bytes
    key: bytes = field(repr=False)
    wrapped: bytes

    @classmethod
    def new(cls, camera: str, footage_key: X25519PublicKey) -> Self:
        """Return a new strand of a camera, which is called by the id of its gateway."""
        strand_id, key = secrets.token_bytes(ID_OCTETS), secrets.token_bytes(KEY_OCTETS)
        return cls(strand_id, key, _SUITE.encrypt(key, footage_key, info=_bound_to(camera, strand_id)))


def unwrap(camera: str, strand_id: bytes, wrapped: bytes, footage_key: X25519PrivateKey) -> bytes:
    """Return the key of a strand.

    Raises:
        SealError: sealed to another city, or for another camera or strand.
    """
    try:
        key = _SUITE.decrypt(wrapped, footage_key, info=_bound_to(camera, strand_id))
    except (InvalidTag, ValueError) as error:
        raise SealError("the strand does not open") from error
    if len(key) != KEY_OCTETS:
        raise SealError("a strand has a key of 32 octets")
    return key


def _bound_to(camera: str, strand_id: bytes) -> bytes:
    return _INFO + strand_id + camera.encode()
