"""The city's own certificate authority: a root that may be kept offline, an issuing one, and the chain between them.

Everything but `renew_issuing` works without the root's key. X.509 as in RFC 5280, everything on P-256.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import verification
from cryptography.x509.oid import NameOID

from server.enrolment import vault
from server.enrolment.errors import AuthorityError, CertificateError, RequestError
from server.enrolment.profile import Profile, Subject, subject_of
from server.errors import KeysError
from wire import keys

ROOT_KEY: Final = "root.key"
ROOT: Final = "root.pem"
ISSUING: Final = "issuing.pem"
"""Key and certificate in one file: they are replaced in one step, or a power cut could part them."""
ROOT_DAYS: Final = 3_652
ISSUING_DAYS: Final = 731
BACKDATED: Final = dt.timedelta(hours=1)
"""A gateway's clock may be behind when it boots; its new certificate must be in force already."""


class Signer(Protocol):
    """The key of an authority. A token (PKCS#11) may take a file's place: what is to be signed goes in, no key out."""

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half."""
        ...

    def sign(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        """Return the certificate, signed with ECDSA and SHA-256."""
        ...


@dataclass(frozen=True, slots=True, repr=False)
class FileSigner:
    """A key that was in a file."""

    key: ec.EllipticCurvePrivateKey

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half."""
        return self.key.public_key()

    def sign(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        """Return the certificate, signed with ECDSA and SHA-256."""
        return builder.sign(self.key, hashes.SHA256())


@dataclass(frozen=True, slots=True)
class Authority:
    """One city's authority.

    Attributes:
        city: id.
        root: what everybody trusts; published as `ca.pem`.
        issuing: signs all others.
        signer: the issuing key.
    """

    city: str
    root: x509.Certificate
    issuing: x509.Certificate
    signer: Signer

    @classmethod
    def create(cls, folder: Path, city: str, *, now: dt.datetime) -> Self:
        """Make root and issuing authority in `folder` where they are missing, and return them.

        Raises:
            KeysError: one of the files is there and is not what its name says.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (folder / ROOT).exists():
            # A key that is there without its certificate is what a power cut left: nothing was signed with it yet.
            key = vault.signing_key(folder / ROOT_KEY)
            vault.write(folder / ROOT, _pem(_root(FileSigner(key), city, now)), mode=0o644)
        if not (folder / ISSUING).exists():
            renew_issuing(folder, city, now=now)
        return cls.load(folder, city)

    @classmethod
    def load(cls, folder: Path, city: str) -> Self:
        """Return the authority in `folder`; the root's key need not be there.

        Raises:
            KeysError: a file is missing, broken, or does not belong to the other one.
        """
        root = vault.certificate(folder / ROOT)
        issuing, key = vault.certificate(folder / ISSUING), vault.private_key(folder / ISSUING)
        if issuing.public_key() != key.public_key():
            raise KeysError(f"{ISSUING}: key and certificate are not of one pair")
        try:
            issuing.verify_directly_issued_by(root)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise KeysError(f"{ISSUING} was not signed by {ROOT}") from error
        return cls(city, root, issuing, FileSigner(key))

    @property
    def ca_pem(self) -> str:
        """The root's certificate, for everybody."""
        return _pem(self.root).decode()

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the root's certificate, 64 hex digits; on every ticket."""
        return fingerprint(self.root)

    def issue(self, profile: Profile, public_key: ec.EllipticCurvePublicKey, *, now: dt.datetime) -> x509.Certificate:
        """Return a new certificate; it ends no later than the issuing authority.

        Raises:
            AuthorityError: the issuing authority is not in force any more.
        """
        end = min(now + dt.timedelta(days=profile.days), self.issuing.not_valid_after_utc)
        if end <= now:
            raise AuthorityError("the issuing certificate has ended: run `mimamori ca renew-issuing`")
        builder = (
            _builder(profile.subject(), public_key, self.issuing)
            .not_valid_before(max(now - BACKDATED, self.issuing.not_valid_before_utc))
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(is_authority=False), critical=True)
            .add_extension(profile.usage(), critical=False)
            .add_extension(profile.alternatives(self.city), critical=False)
        )
        return self.signer.sign(builder)

    def chain_pem(self, certificate: x509.Certificate) -> str:
        """Return a certificate followed by the issuing one, as TLS peers have to send them; the root is left out."""
        return (_pem(certificate) + _pem(self.issuing)).decode()

    def verify(self, chain: Sequence[x509.Certificate], *, now: dt.datetime) -> Subject:
        """Return whom a client's chain names, its own certificate first; revocation is for the caller to look up.

        Raises:
            CertificateError: no chain to the root, none of this city, or not in force at `now`.
        """
        if not chain:
            raise CertificateError("no certificate")
        verifier = verification.PolicyBuilder().store(verification.Store([self.root])).time(now).build_client_verifier()
        try:
            verifier.verify(chain[0], list(chain[1:]))
        except (verification.VerificationError, ValueError) as error:
            raise CertificateError from error
        subject = subject_of(chain[0])
        if subject is None or subject.city != self.city:
            raise CertificateError
        return subject


def renew_issuing(folder: Path, city: str, *, now: dt.datetime, root_key: Path | None = None) -> x509.Certificate:
    """Make a new issuing key and certificate in `folder`; return the certificate. What the old one signed stays good.

    Args:
        folder: of the authority.
        city: id.
        now: wall time.
        root_key: where the root's key is; None looks in `folder`.

    Raises:
        KeysError: no root key there, or it belongs to another root.
    """
    root = vault.certificate(folder / ROOT)
    key = vault.private_key(root_key or folder / ROOT_KEY)
    if key.public_key() != root.public_key():
        raise KeysError(f"{(root_key or folder / ROOT_KEY).name} is not the key of {ROOT}")
    issuing_key = keys.new_signing_key()
    certificate = _issuing(FileSigner(key), root, city, now=now, public_key=issuing_key.public_key())
    vault.write(folder / ISSUING, vault.private_pem(issuing_key) + _pem(certificate), mode=0o600)
    return certificate


def is_due(certificate: x509.Certificate, *, now: dt.datetime) -> bool:
    """Return whether two thirds of a certificate's life are over."""
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    return now >= certificate.not_valid_before_utc + life * 2 / 3


def fingerprint(certificate: x509.Certificate) -> str:
    """Return SHA-256 of a certificate, 64 hex digits."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def serial_of(certificate: x509.Certificate) -> str:
    """Return the serial number as the database has it: lower-case hex, no leading zeros."""
    return f"{certificate.serial_number:x}"


def read_request(data: bytes, subject: str) -> ec.EllipticCurvePublicKey:
    """Return the key of a PKCS#10 request, whose signature shows that the sender has it.

    Args:
        data: the request, PEM or DER.
        subject: the common name that it must have, and no other attribute beside it.

    Raises:
        RequestError: not a request, another kind of key, another name, or the signature does not fit.
    """
    try:
        request = x509.load_pem_x509_csr(data) if data[:5] == b"-----" else x509.load_der_x509_csr(data)
        key = request.public_key()
        names = [(item.oid, item.value) for item in request.subject]
        is_signed = request.is_signature_valid
    except (ValueError, UnsupportedAlgorithm, TypeError, x509.InvalidVersion) as error:
        raise RequestError("not a certificate signing request") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise RequestError("the key is not on P-256")
    if not is_signed:
        raise RequestError("the request is not signed by its own key")
    if names != [(NameOID.COMMON_NAME, subject)]:
        raise RequestError("the request names another detector")
    return key


def _root(signer: Signer, city: str, now: dt.datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"mimamori {city} root")])
    builder = (
        x509.CertificateBuilder(name, name, signer.public_key, x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + dt.timedelta(days=ROOT_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(_key_usage(is_authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(signer.public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key), critical=False)
    )
    return signer.sign(builder)


def _issuing(
    signer: Signer, root: x509.Certificate, city: str, *, now: dt.datetime, public_key: ec.EllipticCurvePublicKey
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"mimamori {city} issuing {now:%Y-%m-%d}")])
    builder = (
        _builder(name, public_key, root)
        .not_valid_before(max(now - BACKDATED, root.not_valid_before_utc))
        .not_valid_after(min(now + dt.timedelta(days=ISSUING_DAYS), root.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(is_authority=True), critical=True)
    )
    return signer.sign(builder)


def _builder(
    subject: x509.Name, public_key: ec.EllipticCurvePublicKey, issuer: x509.Certificate
) -> x509.CertificateBuilder:
    issuer_id = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        x509.CertificateBuilder(issuer.subject, subject, public_key, x509.random_serial_number())
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_id), critical=False)
    )


def _key_usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
