"""Where gateways enrol and renew: a code or the present key goes in, keys are written down, a certificate comes out.

The issuing key lies with the process that serves this. Whoever takes that process over can issue certificates until the
issuing one is renewed; but the gate also asks the database, where no key gets to without a code that the city made, and
the root's key is somewhere else. A city that wants more puts a `Signer` on a token.
"""

import datetime as dt
import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from server.config import ServerConfig
from server.enrolment import profile, vault
from server.enrolment.authority import Authority, read_request, serial_of
from server.enrolment.errors import RefusedError, RequestError
from server.store import enrolment as store
from server.store.connection import Connection
from server.store.enrolment import NewCertificate, NewKeys
from server.store.pool import Pool
from wire import seal
from wire.enrolment import Grant, Renewal, code_sha256
from wire.errors import MessageError, SealError
from wire.keys import CityBundle
from wire.seal import Envelope

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Issuer:
    """The authority, and what an answer says besides the certificate.

    Attributes:
        authority: of the city.
        bundle: `city.json`.
        chain: certificate of the program that answers, PEM.
        key: its key.
    """

    authority: Authority
    bundle: CityBundle
    chain: str
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def load(cls, config: ServerConfig) -> "Issuer":
        """Return the issuer of a city, from its files.

        Raises:
            KeysError: one of them is missing or broken.
            wire.errors.KeyFileError: likewise, city.json.
        """
        folder = config.keys_dir
        return cls(
            Authority.load(folder / "ca", config.city.id),
            CityBundle.load(folder / "city.json"),
            vault.text(folder / "service-api.pem"),
            vault.private_key(folder / "service-api.key"),
        )


@dataclass(slots=True)
class EnrolmentDesk:
    """Serves one city.

    Args:
        config: of the server.
        pool: of the role api.
        now_ms: the wall clock.
    """

    config: ServerConfig
    pool: Pool
    now_ms: Callable[[], int]
    _issuer: Issuer | None = field(default=None, init=False, repr=False)
    _read_at: tuple[int, ...] = field(default=(), init=False)

    async def enrol(self, detector: str, code: str, *, csr: str, seal_key: bytes) -> Grant:
        """Return the certificate of a gateway that has a code.

        Raises:
            RequestError: the request or the seal key is none, or is for another detector.
            RefusedError: unknown or revoked gateway; wrong, used or old code.
            KeysError: the authority's files are missing or broken.
        """
        key = read_request(csr.encode("utf-8", "replace"), detector)
        new = NewKeys(detector, _spki(key), _checked_seal_key(seal_key))
        issuer, now_ms = self._loaded(), self.now_ms()
        async with self.pool.connection() as conn, conn.transaction():
            code_hash = code_sha256(code)
            is_right = await store.enrol(conn, self.config.city.id, new, code_sha256=code_hash, now_ms=now_ms)
            grant = await self._issue(conn, issuer, detector, key=key, now_ms=now_ms) if is_right else None
        if grant is None:
            raise RefusedError
        log.info("gateway.enrolled", extra={"detector": detector})
        return grant

    async def renew(self, envelope: Envelope) -> Grant:
        """Return another certificate for a gateway, for the key that it has or for one that takes its place.

        An old request that is played back brings a certificate for a key that the sender does not have, or nothing.

        Raises:
            RequestError: signed by the right key, but not a request.
            RefusedError: of another city, unknown, revoked, or not signed by the gateway's key.
            KeysError: the authority's files are missing or broken.
        """
        detector = envelope.header.detector
        issuer, now_ms = self._loaded(), self.now_ms()
        async with self.pool.connection() as conn, conn.transaction():
            current = await self._signer_of(conn, envelope, now_ms)
            key, new = _renewal(envelope)
            if not await store.rotate(conn, self.config.city.id, new, current=current, now_ms=now_ms):
                raise RefusedError
            grant = await self._issue(conn, issuer, detector, key=key, now_ms=now_ms)
        log.info(
            "gateway.renewed", extra={"detector": detector, "kind": "same" if new.public_key == current else "new"}
        )
        return grant

    async def _signer_of(self, conn: Connection, envelope: Envelope, now_ms: int) -> bytes:
        """Return which of the gateway's keys signed the request."""
        header = envelope.header
        if header.city != self.config.city.id or header.content != "renewal":
            raise RefusedError
        known = await store.known_keys(conn, header.city, header.detector, now_ms=now_ms)
        for der in () if known is None else (known.public_key, known.previous_key):
            key = None if der is None else serialization.load_der_public_key(der)
            if der is None or not isinstance(key, ec.EllipticCurvePublicKey) or seal.kid(key) != header.signer_kid:
                continue
            try:
                envelope.check(key)
            except SealError as error:
                raise RefusedError from error
            return der
        raise RefusedError

    async def _issue(
        self, conn: Connection, issuer: Issuer, detector: str, *, key: ec.EllipticCurvePublicKey, now_ms: int
    ) -> Grant:
        now = dt.datetime.fromtimestamp(now_ms / 1000, dt.UTC)
        made = issuer.authority.issue(profile.gateway(detector, self.config.enrolment.gateway_days), key, now=now)
        from_ms, until_ms = (
            round(moment.timestamp() * 1000) for moment in (made.not_valid_before_utc, made.not_valid_after_utc)
        )
        digest = hashlib.sha256(_spki(key)).digest()
        row = NewCertificate(serial_of(made), "gateway", detector, digest, from_ms, until_ms)
        await store.save_certificate(conn, row, now_ms=now_ms)
        grant = Grant(
            issuer.authority.chain_pem(made),
            issuer.authority.ca_pem,
            issuer.bundle.to_table(),
            self.config.enrolment.broker_url or self.config.mqtt_url(),
        )
        return grant.signed(detector, issuer.chain, issuer.key)

    def _loaded(self) -> Issuer:
        """Return the issuer, read when the first gateway comes, and anew when its certificates were renewed."""
        files = (self.config.keys_dir / name for name in ("ca/issuing.pem", "service-api.pem", "city.json"))
        read_at = tuple(file.stat().st_mtime_ns if file.exists() else 0 for file in files)
        if self._issuer is None or read_at != self._read_at:
            self._issuer, self._read_at = Issuer.load(self.config), read_at
        return self._issuer


def _renewal(envelope: Envelope) -> tuple[ec.EllipticCurvePublicKey, NewKeys]:
    detector = envelope.header.detector
    try:
        asked = Renewal.decode(envelope.read())
    except (SealError, MessageError) as error:
        raise RequestError("not a renewal") from error
    key = read_request(asked.csr, detector)
    return key, NewKeys(detector, _spki(key), _checked_seal_key(asked.seal_key))


def _checked_seal_key(der: bytes) -> bytes:
    try:
        key = serialization.load_der_public_key(der)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise RequestError("the seal key is no key") from error
    if not isinstance(key, X25519PublicKey):
        raise RequestError("the seal key is not on Curve25519")
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _spki(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
