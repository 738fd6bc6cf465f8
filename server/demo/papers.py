"""Certificates for the simulated town's gateways and cars, each on the key that the simulator made for it.

Real gateways make their keys themselves and enrol with a ticket. Here the authority of the same machine issues them.
"""

import datetime as dt
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from server.config import ServerConfig
from server.enrolment import authority, profile, vault
from server.enrolment.authority import Authority
from server.store import admission
from server.store.admission import Issued

_CA: Final = "ca"


def provide(settings: ServerConfig, gateways_dir: Path, *, now: dt.datetime | None = None) -> int:
    """Give every gateway in `gateways_dir` a certificate, and return how many there are.

    Those that have one keep it until it is due. All are put on the list. A broker without a door needs none.

    Raises:
        ServerError: the authority's files are broken, or it has ended.
        DatabaseError: the database is away.
    """
    if not settings.broker.tls:
        return 0
    city = Authority.load(settings.keys_dir / _CA, settings.city.id)
    issued = list(_issued(city, gateways_dir, now or dt.datetime.now(dt.UTC)))
    admission.enlist(settings.dsn(), issued)
    return len(issued)


def _issued(city: Authority, gateways_dir: Path, now: dt.datetime) -> Iterator[Issued]:
    for file in sorted(gateways_dir.glob("*.toml")):
        table = tomllib.loads(file.read_text("utf-8"))
        detector, broker = str(table["detector"]), table["broker"]
        key = vault.private_key(Path(broker["certificate_key_file"])).public_key()
        held = Path(broker["certificate_file"])
        if not held.exists() or authority.is_due(vault.certificate(held), now=now):
            certificate = city.issue(profile.gateway(detector), key, now=now)
            vault.write(held, city.chain_pem(certificate).encode(), mode=0o644)
        yield _row(detector, vault.certificate(held))


def _row(detector: str, certificate: x509.Certificate) -> Issued:
    der = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(der)
    return Issued(
        serial=authority.serial_of(certificate),
        kind="gateway",
        holder=detector,
        key_sha256=digest.finalize(),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )
