"""The envelope: HPKE (RFC 9180) to the city's key inside a COSE_Sign1 (RFC 9052) by the sender's key.

Sealed messages carry batches, and orders that hold keys. All others are signed only. A detector keeps no nonce,
so a power cut, a restored card or a clone reveals nothing; a stolen one cannot read its own queue.
"""

from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from wire import cose, keys
from wire.errors import SealError, TopicError
from wire.keys import kid
from wire.topics import check_id

__all__ = ["Envelope", "Header", "kid", "parse", "peek", "seal", "sign", "unseal", "verify"]

HPKE_INFO: Final = b"mimamori/seal/1"
"""Domain string; the protected header's octets follow it in HPKE's `info`."""
CONTENTS: Final = (
    "sightings",
    "heartbeat",
    "receipt",
    "order",
    "report",
    "mask",
    "settings",
    "renewal",
    "upload",
    "manifest",
)
VERSION: Final = 1
_OURS: Final = -70_000  # a private-use label of the protected header, listed as critical
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_128_GCM)
_UINT32, _UINT53 = 2**32, 2**53


@dataclass(frozen=True, slots=True)
class Header:
    """Who says what to whom, signed and bound to the contents.

    Attributes:
        city: id.
        detector: id of the sender; on receipts, orders, masks and settings, of the addressee.
        epoch: 32 bits, drawn anew with each new outbox.
        sequence: of the batch, order or heartbeat within the epoch.
        sealed_at_ms: sender's time, Unix milliseconds.
        recipient_kid: 8 octets, or none on a message that is signed only.
        signer_kid: 8 octets.
        content: one of `CONTENTS`; see docs/WIRE.md.
    """

    city: str
    detector: str
    epoch: int
    sequence: int
    sealed_at_ms: int
    recipient_kid: bytes
    signer_kid: bytes
    content: str


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message taken apart: `header` is only what it claims, until `check` has returned."""

    header: Header
    _message: cose.Sign1

    def check(self, verifier: ec.EllipticCurvePublicKey, verifier_kid: bytes | None = None) -> None:
        """Return if the message is signed by `verifier`.

        Args:
            verifier: key of the sender.
            verifier_kid: its `kid`, where that is known already.

        Raises:
            SealError: it is not.
        """
        if self.header.signer_kid != (verifier_kid or kid(verifier)):
            raise SealError("signed by another key")
        cose.verify(self._message, verifier=verifier)

    def open(self, recipient: X25519PrivateKey, recipient_kid: bytes | None = None) -> bytes:
        """Return the contents of a sealed message.

        Args:
            recipient: key that it is sealed to.
            recipient_kid: the `kid` of its public half, where that is known already.

        Raises:
            SealError: not sealed for `recipient`.
        """
        if self.header.recipient_kid != (recipient_kid or kid(recipient.public_key())):
            raise SealError("sealed for another key")
        try:
            info = HPKE_INFO + self._message.protected_bytes
            return _SUITE.decrypt(self._message.payload, recipient, info=info)
        except (InvalidTag, ValueError) as error:
            raise SealError("the seal does not open") from error

    def read(self) -> bytes:
        """Return the contents of a message that is signed only.

        Raises:
            SealError: it is sealed.
        """
        if self.header.recipient_kid:
            raise SealError("a sealed message where a signed one belongs")
        return self._message.payload


def seal(payload: bytes, header: Header, *, signer: ec.EllipticCurvePrivateKey, recipient: X25519PublicKey) -> bytes:
    """Return `payload` readable by `recipient` only, signed by `signer`.

    Raises:
        SealError: a field of the header is out of range or does not name these keys.
    """
    if header.recipient_kid != kid(recipient):
        raise SealError("the header names another recipient")
    protected = _protected(header, signer)
    sealed = _SUITE.encrypt(payload, recipient, info=HPKE_INFO + protected)
    return cose.sign(protected, sealed, signer=signer)


def sign(payload: bytes, header: Header, *, signer: ec.EllipticCurvePrivateKey) -> bytes:
    """Return `payload` in clear, signed by `signer`.

    Raises:
        SealError: a field of the header is out of range, or it names a recipient.
    """
    if header.recipient_kid:
        raise SealError("a signed message has no recipient key")
    return cose.sign(_protected(header, signer), payload, signer=signer)


def parse(data: bytes) -> Envelope:
    """Return a message taken apart, nothing of it verified.

    Raises:
        SealError: malformed.
    """
    message = cose.parse(data)
    return Envelope(_header(message), message)


def peek(data: bytes) -> Header:
    """Return the header of a message, not verified: only to find the key that verifies it.

    Raises:
        SealError: malformed.
    """
    return parse(data).header


def unseal(data: bytes, *, verifier: ec.EllipticCurvePublicKey, recipient: X25519PrivateKey) -> tuple[Header, bytes]:
    """Return header and contents of a sealed message.

    Raises:
        SealError: malformed, not signed by `verifier`, or not sealed for `recipient`.
    """
    envelope = parse(data)
    envelope.check(verifier)
    return envelope.header, envelope.open(recipient)


def verify(data: bytes, *, verifier: ec.EllipticCurvePublicKey) -> tuple[Header, bytes]:
    """Return header and contents of a signed message. The caller checks `header.content` and the addressee.

    Raises:
        SealError: malformed, not signed by `verifier`, or sealed.
    """
    envelope = parse(data)
    envelope.check(verifier)
    return envelope.header, envelope.read()


def _protected(header: Header, signer: ec.EllipticCurvePrivateKey) -> bytes:
    _check(header)
    if header.signer_kid != keys.kid(signer.public_key()):
        raise SealError("the header names another signer")
    ours: dict[int, object] = {
        0: VERSION,
        1: header.city,
        2: header.detector,
        3: header.epoch,
        4: header.sequence,
        5: header.sealed_at_ms,
        6: header.content,
    }
    if header.recipient_kid:
        ours[7] = header.recipient_kid
    fields = {cose.ALG: cose.ES256, cose.CRIT: [_OURS], cose.KID: header.signer_kid, _OURS: ours}
    return cose.header_bytes(fields)


def _header(message: cose.Sign1) -> Header:
    protected = message.protected
    ours = protected.get(_OURS)
    if not isinstance(ours, dict) or type(ours.get(0)) is not int or ours[0] != VERSION:
        raise SealError("not an envelope of a version that we know")
    if protected.get(cose.CRIT) != [_OURS]:
        raise SealError("critical header fields that we do not know")
    header = Header(
        city=ours.get(1, ""),
        detector=ours.get(2, ""),
        epoch=ours.get(3, -1),
        sequence=ours.get(4, -1),
        sealed_at_ms=ours.get(5, -1),
        recipient_kid=ours.get(7, b""),
        signer_kid=protected.get(cose.KID, b""),
        content=ours.get(6, ""),
    )
    _check(header)
    return header


def _check(header: Header) -> None:
    try:
        check_id(header.city)
        check_id(header.detector)
    except (TopicError, TypeError) as error:
        raise SealError("the header names no city or detector") from error
    numbers = ((header.epoch, _UINT32), (header.sequence, _UINT53), (header.sealed_at_ms, _UINT53))
    if not all(_is_below(value, limit) for value, limit in numbers):
        raise SealError("a number of the header is out of range")
    if not _is_kid(header.signer_kid) or not (header.recipient_kid == b"" or _is_kid(header.recipient_kid)):
        raise SealError("a key id has 8 octets")
    if header.content not in CONTENTS:
        raise SealError("contents of a kind that we do not know")


def _is_below(value: Any, limit: int) -> bool:  # noqa: ANN401 - decoded CBOR
    return type(value) is int and 0 <= value < limit


def _is_kid(value: Any) -> bool:  # noqa: ANN401 - decoded CBOR
    return isinstance(value, bytes) and len(value) == 8
