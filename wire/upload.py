"""How a gateway brings a sealed export to the city: parts of one file over HTTPS, each signed; see docs/FOOTAGE.md.

A part says of which whole it is, so that parts of two tries never mix. The server may lose none that it acknowledged
and takes each as often as it comes.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric import ec

from wire import fields as _f
from wire import keys, seal
from wire.errors import MessageError, SealError, TopicError
from wire.topics import check_id

PART_OCTETS: Final = 900_000
"""Every part but the last has so many: with its envelope it fits the limit of a signed message."""
MAX_PARTS: Final = 20_000
"""18 GB: six hours of a camera at 6 Mbit/s, and a tenth more."""
MAX_AGE_MS: Final = 300_000
"""A question that was signed longer ago, or so far ahead, is not answered."""
SCHEME: Final = "COSE"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a file.

    Attributes:
        export: id of the export.
        part: 0, 1, 2 …
        parts: how many there are.
        sha256: 32 octets, of the whole file.
        data: `PART_OCTETS` of them, fewer in the last part, at least 1.
    """

    export: str
    part: int
    parts: int
    sha256: bytes
    data: bytes

    def __post_init__(self) -> None:
        """Refuse what is no part.

        Raises:
            MessageError: a number out of range, or octets too many or too few.
        """
        _check_id(self.export)
        if not 0 <= self.part < self.parts <= MAX_PARTS:
            raise MessageError(f"a file has 1 to {MAX_PARTS} parts")
        full = len(self.data) == PART_OCTETS
        if not full and not (self.part == self.parts - 1 and 0 < len(self.data) < PART_OCTETS):
            raise MessageError(f"every part but the last has {PART_OCTETS} octets")

    @property
    def offset(self) -> int:
        """Return where in the file the part lies."""
        return self.part * PART_OCTETS

    def encode(self) -> bytes:
        """Return the part as CBOR."""
        return _f.dumps({1: self.export, 2: self.part, 3: self.parts, 4: self.sha256, 5: self.data})

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the part in `data`.

        Raises:
            MessageError: malformed, of an unknown version, or no part.
        """
        fields = _f.loads(data, max_octets=PART_OCTETS + 1_000)
        return cls(
            export=_f.text(fields, 1),
            part=_f.uint(fields, 2, MAX_PARTS),
            parts=_f.uint(fields, 3, MAX_PARTS + 1),
            sha256=_f.octets(fields, 4, 32),
            data=_f.octets(fields, 5, longest=PART_OCTETS),
        )


@dataclass(frozen=True, slots=True)
class Sender:
    """Who brings a file: the gateway, as envelopes name it."""

    city: str
    detector: str
    key: ec.EllipticCurvePrivateKey

    def sign(self, part: Part, *, at_ms: int) -> bytes:
        """Return the body that carries `part`."""
        return seal.sign(part.encode(), self._header(part.part, at_ms), signer=self.key)

    def ask(self, export: str, *, at_ms: int) -> str:
        """Return the `Authorization` header of a question how far an export has got."""
        signed = seal.sign(_f.dumps({1: export}), self._header(0, at_ms), signer=self.key)
        return f"{SCHEME} {base64.urlsafe_b64encode(signed).decode('ascii')}"

    def _header(self, sequence: int, at_ms: int) -> seal.Header:
        kid = keys.kid(self.key.public_key())
        return seal.Header(self.city, self.detector, 0, sequence, at_ms, b"", kid, "upload")


def read_part(envelope: seal.Envelope, verifier: ec.EllipticCurvePublicKey) -> Part:
    """Return the part that a body carries, its signature checked.

    Raises:
        SealError: not signed by `verifier`, or not as an upload.
        MessageError: no part, or another one than the header says.
    """
    part = Part.decode(_contents(envelope, verifier))
    if part.part != envelope.header.sequence:
        raise MessageError("the header names another part")
    return part


def read_question(envelope: seal.Envelope, verifier: ec.EllipticCurvePublicKey, *, now_ms: int) -> str:
    """Return the export that a question is about, its signature checked.

    Raises:
        SealError: not signed by `verifier`, or not now.
        MessageError: no question.
    """
    payload = _contents(envelope, verifier)
    if abs(now_ms - envelope.header.sealed_at_ms) > MAX_AGE_MS:
        raise SealError("signed too long ago, or by a clock that is wrong")
    fields = _f.loads(payload, max_octets=1_000)
    if len(fields) != 2:
        raise MessageError("a question names an export and nothing else")
    return _check_id(_f.text(fields, 1))


def envelope_of(authorization: str) -> seal.Envelope:
    """Return the envelope in an `Authorization` header, nothing of it verified.

    Raises:
        SealError: there is none.
    """
    scheme, _, text = authorization.partition(" ")
    if scheme != SCHEME:
        raise SealError("not signed")
    try:
        return seal.parse(base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error) as error:
        raise SealError("not base64") from error


def parts_of(octets: int) -> int:
    """Return in how many parts a file of so many octets is brought."""
    return -(-octets // PART_OCTETS)


def _contents(envelope: seal.Envelope, verifier: ec.EllipticCurvePublicKey) -> bytes:
    envelope.check(verifier)
    if envelope.header.content != "upload":
        raise SealError("signed for something else")
    return envelope.read()


def _check_id(text: str) -> str:
    try:
        return check_id(text)
    except TopicError as error:
        raise MessageError("an export has an id of ours") from error
