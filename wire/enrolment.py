"""What a gateway and its city say to each other before they know each other: ticket, renewal, and the answer to both.

The ticket comes by hand. Its fingerprint of the city's root is what makes everything in the answer worth believing: one
of the city's own programs signs the whole of it, with a certificate under that root.
"""

import base64
import datetime as dt
import hashlib
import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import verification

from wire import cbor
from wire import fields as _f
from wire.errors import EnrolmentError, TopicError
from wire.topics import check_id

CODE_OCTETS: Final = 16
MAX_OCTETS: Final = 16_384
ENROL_PATH: Final = "/api/v1/gateways/enrol"
RENEW_PATH: Final = "/api/v1/gateways/renew"
_DOMAIN: Final = b"mimamori/enrolment/1"
_GROUP: Final = 4
_MISREAD: Final = str.maketrans({"0": "O", "1": "I", "8": "B"})  # none of the three is in base 32


@dataclass(frozen=True, slots=True, repr=False)
class Ticket:
    """What the city hands to whoever puts a gateway up.

    Attributes:
        server_url: `https://host`, where to enrol.
        detector: id.
        code: one-time code; good for one key.
        ca_sha256: SHA-256 of the city's root certificate, 64 hex digits.
    """

    server_url: str
    detector: str
    code: str
    ca_sha256: str

    def to_json(self) -> str:
        """Return the text of a ticket file."""
        names = ("server_url", "detector", "code", "ca_sha256")
        return json.dumps({name: getattr(self, name) for name in names}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the ticket in the text of a ticket file.

        Raises:
            EnrolmentError: not such a text.
        """
        try:
            table = json.loads(text)
            ticket = cls(**{name: table[name] for name in ("server_url", "detector", "code", "ca_sha256")})
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise EnrolmentError("not a ticket") from error
        return ticket.checked()

    def checked(self) -> Self:
        """Return the ticket with its fingerprint as it is compared.

        Raises:
            EnrolmentError: a part of it is none.
        """
        if not all(isinstance(part, str) for part in (self.server_url, self.detector, self.code, self.ca_sha256)):
            raise EnrolmentError("not a ticket")
        try:
            check_id(self.detector)
        except TopicError as error:
            raise EnrolmentError("the ticket names no detector") from error
        fingerprint = "".join(c for c in self.ca_sha256.lower() if c not in ": -")
        if len(fingerprint) != 64 or set(fingerprint) - set("0123456789abcdef"):
            raise EnrolmentError("the fingerprint is not 64 hex digits")
        return replace(self, ca_sha256=fingerprint)


def code_of(random: bytes) -> str:
    """Return a one-time code as it is printed: base 32 in groups of four."""
    text = base64.b32encode(random).decode("ascii").rstrip("=")
    return "-".join(text[start : start + _GROUP] for start in range(0, len(text), _GROUP))


def code_sha256(code: str) -> bytes:
    """Return what is kept of a code, however it was typed: blanks, hyphens, case and width do not count."""
    plain = unicodedata.normalize("NFKC", code).upper().translate(_MISREAD)
    return hashlib.sha256("".join(c for c in plain if c.isalnum()).encode()).digest()


@dataclass(frozen=True, slots=True)
class Renewal:
    """A gateway asks for another certificate; signed by its present key.

    Attributes:
        csr: PKCS#10, DER; of the present key, or of the one that shall take its place.
        seal_key: X25519, SubjectPublicKeyInfo DER.
    """

    csr: bytes
    seal_key: bytes

    def encode(self) -> bytes:
        """Return the request as CBOR."""
        return _f.dumps({1: self.csr, 2: self.seal_key})

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the request in `data`.

        Raises:
            MessageError: malformed or of an unknown version.
        """
        fields = _f.loads(data, max_octets=MAX_OCTETS)
        return cls(_f.octets(fields, 1, longest=4096), _f.octets(fields, 2, longest=256))


@dataclass(frozen=True, slots=True)
class Grant:
    """What the city answers.

    Attributes:
        certificate: PEM, the gateway's own and the issuing one.
        ca: PEM, the city's root.
        city: the object in `city.json`.
        broker_url: `mqtts://host:port`.
        proof_chain: PEM, certificate of the program that answered, and the issuing one.
        proof: its ECDSA signature (SHA-256, DER) of all the others, for one detector.
    """

    certificate: str
    ca: str
    city: Mapping[str, Any]
    broker_url: str
    proof_chain: str = ""
    proof: bytes = b""

    def signed(self, detector: str, chain: str, signer: ec.EllipticCurvePrivateKey) -> Self:
        """Return the answer with the proof that the owner of `chain` gave it to `detector`."""
        proof = signer.sign(self._words(detector), ec.ECDSA(hashes.SHA256()))
        return replace(self, proof_chain=chain, proof=proof)

    def to_json(self) -> dict[str, Any]:
        """Return the answer as it goes over HTTPS."""
        texts = {"certificate": self.certificate, "ca": self.ca, "city": self.city, "broker_url": self.broker_url}
        return {**texts, "proof_chain": self.proof_chain, "proof": base64.b64encode(self.proof).decode("ascii")}

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """Return the answer in a body, nothing of it verified.

        Raises:
            EnrolmentError: not such an answer.
        """
        try:
            table = json.loads(text)
            names = ("certificate", "ca", "broker_url", "proof_chain")
            texts = {name: table[name] for name in names}
            proof, city = base64.b64decode(table["proof"], validate=True), table["city"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise EnrolmentError("not an answer of a city") from error
        if not all(isinstance(value, str) for value in texts.values()) or not isinstance(city, dict):
            raise EnrolmentError("not an answer of a city")
        return cls(city=city, proof=proof, **texts)

    def check(self, detector: str, root: x509.Certificate, *, now: dt.datetime) -> None:
        """Return if one of the city's programs answered `detector` so.

        Args:
            detector: id.
            root: of the city, believed already.
            now: wall time.

        Raises:
            EnrolmentError: it did not, or its certificate is not in force at `now`.
        """
        chain = certificates(self.proof_chain)
        try:
            name = verified(chain, root, now=now)
            key = chain[0].public_key()
            if not isinstance(key, ec.EllipticCurvePublicKey):
                raise EnrolmentError("the answer is signed by a key of another kind")
            key.verify(self.proof, self._words(detector), ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as error:
            raise EnrolmentError("the answer was changed on its way") from error
        if name != f"urn:mimamori:{self.city.get('city')}:service:api":
            raise EnrolmentError("the answer is signed by something else than the city's API")

    def _words(self, detector: str) -> bytes:
        try:
            city = json.dumps(self.city, sort_keys=True, separators=(",", ":"))
            return _DOMAIN + cbor.dumps([detector, self.certificate, self.ca, city, self.broker_url])
        except (ValueError, TypeError, RecursionError) as error:
            raise EnrolmentError("not an answer of a city") from error


def certificates(pem: str) -> list[x509.Certificate]:
    """Return the certificates in a PEM text, at least one.

    Raises:
        EnrolmentError: there is none.
    """
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except (ValueError, x509.InvalidVersion) as error:
        raise EnrolmentError("no certificate where one belongs") from error


def verified(chain: list[x509.Certificate], root: x509.Certificate, *, now: dt.datetime) -> str:
    """Return the URN that a client's chain names, its own certificate first.

    Raises:
        EnrolmentError: it does not lead to `root`, is not in force at `now`, or names nothing of ours.
    """
    verifier = verification.PolicyBuilder().store(verification.Store([root])).time(now).build_client_verifier()
    try:
        subjects = verifier.verify(chain[0], chain[1:]).subjects or []
    except (verification.VerificationError, ValueError) as error:
        raise EnrolmentError("a certificate that does not lead to the city's root, or is not in force") from error
    urns = [subject.value for subject in subjects if isinstance(subject, x509.UniformResourceIdentifier)]
    if len(urns) != 1:
        raise EnrolmentError("a certificate that names nothing of ours")
    return urns[0]


def root_of(pem: str, sha256: str) -> x509.Certificate:
    """Return the root certificate in a PEM text, if it has the fingerprint `sha256`.

    Raises:
        EnrolmentError: it has another one.
    """
    root = certificates(pem)[0]
    if root.fingerprint(hashes.SHA256()).hex() != sha256:
        raise EnrolmentError("the authority that answered is not the one on the ticket")
    return root


def request(detector: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateSigningRequest:
    """Return the signing request of a gateway's key; its signature shows that the sender has the key."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, detector)])
    return x509.CertificateSigningRequestBuilder(name).sign(key, hashes.SHA256())


def pem_of(made: x509.Certificate | x509.CertificateSigningRequest) -> str:
    """Return a certificate or a request as PEM."""
    return made.public_bytes(serialization.Encoding.PEM).decode("ascii")
