"""COSE_Sign1 with ES256 (RFC 9052, section 4.2; RFC 9053, section 2.1), as much of it as envelopes need."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from wire import cbor
from wire.errors import SealError

ALG: Final = 1
CRIT: Final = 2
KID: Final = 4
ES256: Final = -7
SIGN1_TAG: Final = 18
MAX_OCTETS: Final = 1_000_000 + 4_096
"""The largest payload and room for the envelope around it."""
_TAGS = frozenset({SIGN1_TAG})


@dataclass(frozen=True, slots=True)
class Sign1:
    """A message taken apart, not yet believed. `protected_bytes` is what the signature covers."""

    protected_bytes: bytes
    protected: Mapping[Any, Any]
    unprotected: Mapping[Any, Any]
    payload: bytes
    signature: bytes


def header_bytes(protected: Mapping[Any, Any]) -> bytes:
    """Return a protected header as the octets that are sent and signed."""
    return cbor.dumps(dict(protected)) if protected else b""


def sign(protected_bytes: bytes, payload: bytes, *, signer: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a tagged COSE_Sign1. Signing takes no randomness (RFC 6979): a weak generator cannot leak the key."""
    der = signer.sign(_to_be_signed(protected_bytes, payload), ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    r, s = decode_dss_signature(der)
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return cbor.dumps(cbor2.CBORTag(SIGN1_TAG, [protected_bytes, {}, payload, signature]))


def parse(data: bytes) -> Sign1:
    """Return the parts of a tagged COSE_Sign1 with its payload inside.

    Raises:
        SealError: not one, or not ES256.
    """
    try:
        message = cbor.loads(data, max_octets=MAX_OCTETS, tags=_TAGS)
    except cbor.CborError as error:
        raise SealError(f"not CBOR of ours: {error}") from error
    # What a tag encloses comes from cbor2 in its immutable forms.
    if not isinstance(message, cbor2.CBORTag) or not isinstance(message.value, list | tuple) or len(message.value) != 4:
        raise SealError("not a COSE_Sign1")
    protected_bytes, unprotected, payload, signature = message.value
    octets_are_octets = all(isinstance(part, bytes) for part in (protected_bytes, payload, signature))
    if not octets_are_octets or not isinstance(unprotected, Mapping):
        raise SealError("not a COSE_Sign1")
    return Sign1(protected_bytes, _header(protected_bytes), unprotected, payload, signature)


def verify(message: Sign1, *, verifier: ec.EllipticCurvePublicKey, external_aad: bytes = b"") -> None:
    """Return if the signature is that of `verifier`.

    Raises:
        SealError: it is not.
    """
    if message.protected.get(ALG) != ES256:
        raise SealError("not signed by ES256")
    if len(message.signature) != 64:
        raise SealError("an ES256 signature has 64 octets")
    r, s = (int.from_bytes(half, "big") for half in (message.signature[:32], message.signature[32:]))
    signed = _to_be_signed(message.protected_bytes, message.payload, external_aad)
    try:
        verifier.verify(encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError) as error:
        raise SealError("not signed by this key") from error


def _header(protected_bytes: bytes) -> Mapping[Any, Any]:
    if not protected_bytes:
        return {}
    try:
        header = cbor.loads(protected_bytes, max_octets=2_048)
    except cbor.CborError as error:
        raise SealError(f"bad protected header: {error}") from error
    if not isinstance(header, dict):
        raise SealError("the protected header is not a map")
    return header


def _to_be_signed(protected_bytes: bytes, payload: bytes, external_aad: bytes = b"") -> bytes:
    return cbor.dumps(["Signature1", protected_bytes, external_aad, payload])
