"""What each kind of certificate of the city says: for a gateway, the broker, or one of our own programs (RFC 5280)."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

Kind = Literal["gateway", "service", "broker"]

GATEWAY_DAYS: Final = 30
SERVICE_DAYS: Final = 365
"""Renewed at the first start after two thirds: a program has four months in which to be started once."""
URN: Final = "urn:mimamori"
_USAGES: Final[dict[Kind, tuple[ObjectIdentifier, ...]]] = {
    # A gateway signs the clips that it exports. C2PA's default rules take this usage and neither a certificate that is
    # for TLS clients only nor RFC 9336's documentSigning.
    "gateway": (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.EMAIL_PROTECTION),
    "service": (ExtendedKeyUsageOID.CLIENT_AUTH,),
    "broker": (ExtendedKeyUsageOID.SERVER_AUTH,),
}


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a certificate of this city names, as `urn:mimamori:{city}:{kind}:{id}`."""

    city: str
    kind: Kind
    id: str

    @property
    def urn(self) -> str:
        """Return the name as it stands in the certificate's SAN."""
        return f"{URN}:{self.city}:{self.kind}:{self.id}"


@dataclass(frozen=True, slots=True)
class Profile:
    """What a certificate is to say.

    Attributes:
        kind: of the subject.
        id: the detector's id, or the program's name; the common name of the certificate.
        days: how long it is in force.
        names: DNS names and IP addresses, of a broker only.
    """

    kind: Kind
    id: str
    days: int
    names: tuple[str, ...] = ()

    def subject(self) -> x509.Name:
        """Return the name: the id alone, so that a broker may take it for the user name."""
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.id)])

    def usage(self) -> x509.ExtendedKeyUsage:
        """Return what the certificate is good for."""
        return x509.ExtendedKeyUsage(_USAGES[self.kind])

    def alternatives(self, city: str) -> x509.SubjectAlternativeName:
        """Return the other names; a server has those by which it is found, all others a URN."""
        if self.kind == "broker":
            return x509.SubjectAlternativeName([_name(name) for name in self.names])
        urn = Subject(city, self.kind, self.id).urn
        return x509.SubjectAlternativeName([x509.UniformResourceIdentifier(urn)])


def gateway(detector: str, days: int = GATEWAY_DAYS) -> Profile:
    """Return the profile of a gateway."""
    return Profile("gateway", detector, days)


def service(name: str, days: int = SERVICE_DAYS) -> Profile:
    """Return the profile of one of our programs as a client of the broker."""
    return Profile("service", name, days)


def broker(names: Sequence[str], days: int = SERVICE_DAYS) -> Profile:
    """Return the profile of the broker under all its DNS names and IP addresses."""
    return Profile("broker", "broker", days, tuple(names))


def subject_of(certificate: x509.Certificate) -> Subject | None:
    """Return whom a certificate names; None for a broker's and for one that is none of ours. Nothing is verified."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        urns = names.get_values_for_type(x509.UniformResourceIdentifier)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        return None
    if len(urns) != 1 or not urns[0].startswith(f"{URN}:") or urns[0].count(":") != 4:
        return None
    city, kind, subject = urns[0].split(":")[2:]
    kinds: dict[str, Kind] = {"gateway": "gateway", "service": "service"}
    return Subject(city, kinds[kind], subject) if kind in kinds else None


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
