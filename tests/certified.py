"""A gateway with a certificate of a city's authority, root and issuing, as enrolment gives it one."""

import datetime as dt
from dataclasses import dataclass
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from wire import keys

DOCUMENT_SIGNING = ObjectIdentifier("1.3.6.1.5.5.7.3.36")
UNTIL = dt.datetime(2035, 1, 1, tzinfo=dt.UTC)
USAGES = (ExtendedKeyUsageOID.CLIENT_AUTH, DOCUMENT_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION)


@dataclass(frozen=True)
class Authority:
    """A city's authority."""

    root_key: ec.EllipticCurvePrivateKey
    root: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    issuing: x509.Certificate

    @classmethod
    def new(cls) -> "Authority":
        root_key, key = keys.new_signing_key(), keys.new_signing_key()
        root = _certificate("root", root_key.public_key(), root_key, "root", is_authority=True)
        issuing = _certificate("issuing", key.public_key(), root_key, "root", is_authority=True)
        return cls(root_key, root, key, issuing)

    @property
    def root_pem(self) -> bytes:
        return _pem(self.root)

    def device(
        self,
        camera: str,
        city: str = "mimamori",
        usages: tuple[ObjectIdentifier, ...] = USAGES,
        until: dt.datetime = UNTIL,
        certified: rsa.RSAPublicKey | None = None,
    ) -> "Device":
        key = keys.new_signing_key()
        urn = f"urn:mimamori:{city}:gateway:{camera}"
        public_key = certified or key.public_key()
        leaf = _certificate(camera, public_key, self.key, "issuing", urn=urn, usages=usages, until=until)
        return Device(city, camera, key, _pem(leaf) + _pem(self.issuing))


@dataclass(frozen=True)
class Device:
    """A gateway."""

    city: str
    camera: str
    key: ec.EllipticCurvePrivateKey
    chain_pem: bytes

    @cached_property
    def kid(self) -> bytes:
        return keys.kid(self.key.public_key())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _certificate(
    subject: str,
    public_key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    signer: ec.EllipticCurvePrivateKey,
    issuer: str,
    *,
    is_authority: bool = False,
    urn: str = "",
    usages: tuple[ObjectIdentifier, ...] = (),
    until: dt.datetime = UNTIL,
) -> x509.Certificate:
    usage = x509.KeyUsage(not is_authority, False, False, False, False, is_authority, is_authority, False, False)
    builder = (
        x509.CertificateBuilder(_name(issuer), _name(subject), public_key, x509.random_serial_number())
        .not_valid_before(dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(is_authority, None), True)
        .add_extension(usage, True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False)
    )
    if urn:
        alternatives = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(urn)])
        builder = builder.add_extension(alternatives, False).add_extension(x509.ExtendedKeyUsage(usages), False)
    return builder.sign(signer, hashes.SHA256())
