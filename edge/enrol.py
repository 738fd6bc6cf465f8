"""Enrolling and renewing: makes keys here, asks the city for a certificate, believes only the city on the ticket."""

import datetime as dt
import json
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from edge.config import EdgeConfig, is_safe_url
from edge.credentials import Credentials, Identity, KeyPair, Purpose
from edge.errors import (
    AlreadyEnrolledError,
    EnrolError,
    ForgedError,
    NotEnrolledError,
    RefusedError,
    UnreachableError,
    WrongClockError,
)
from wire import enrolment, keys, seal
from wire.enrolment import Grant, Renewal, Ticket
from wire.errors import EnrolmentError, WireError
from wire.keys import CityBundle

log = logging.getLogger(__name__)

COSE: Final = {"content-type": "application/cose"}
_MAX_ANSWER: Final = 65_536


def utc_now() -> dt.datetime:
    """Return the wall clock of this machine."""
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True, slots=True)
class Enroller:
    """Asks the city for the certificates of one gateway.

    Args:
        config: of the gateway.
        now: wall clock; certificates are judged by it.
    """

    config: EdgeConfig
    now: Callable[[], dt.datetime] = utc_now

    @property
    def credentials(self) -> Credentials:
        """The gateway's files."""
        return Credentials(self.config.state_dir)

    async def enrol(self, ticket: Ticket, *, is_forced: bool = False) -> Identity:
        """Return the identity that the city gives for a ticket; the same ticket goes on where it was interrupted.

        Raises:
            AlreadyEnrolledError: there is one, and it is not to be replaced.
            RefusedError: the ticket is of no use, or for another gateway.
            UnreachableError: the server is away or busy.
            ForgedError: something else than the city answered.
            WrongClockError: this machine's clock is wrong.
        """
        credentials, detector = self.credentials, self.config.detector
        if credentials.exist() and not is_forced:
            raise AlreadyEnrolledError(
                "登録済みです。置き換えるなら --force。Already enrolled; --force replaces the identity"
            )
        if ticket.detector != detector:
            raise RefusedError(
                f"登録票は {ticket.detector} 用、設定は {detector}。"
                f"The ticket is for {ticket.detector}, the configuration for {detector}"
            )
        pair = credentials.draft("enrol")
        body = {
            "detector": detector,
            "code": ticket.code,
            "csr": enrolment.pem_of(enrolment.request(detector, pair.signing)),
            "seal_key": keys.encode_public(pair.seal.public_key()),
        }
        server_url = self.config.enrolment.server_url or ticket.server_url
        grant = await self._ask(server_url, enrolment.ENROL_PATH, json=body)
        try:
            root = enrolment.root_of(grant.ca, ticket.ca_sha256)
        except EnrolmentError as error:
            raise ForgedError(
                "登録票の認証局ではありません。偽のサーバかもしれません。"
                "Not the authority on the ticket: perhaps a false server"
            ) from error
        identity = self._adopted("enrol", grant, root, pair=pair, server_url=server_url)
        credentials.discard("renew")
        log.info("gateway.enrolled", extra={"detector": detector})
        return identity

    async def renew(self, *, is_rotation: bool = False) -> Identity:
        """Return the identity with a new certificate, and with new keys if `is_rotation`.

        A rotation that was interrupted is finished in any case: the city may believe the new key already.

        Raises:
            NotEnrolledError: there is nothing to renew.
            RefusedError: the city has revoked this gateway, or does not know its key.
            UnreachableError, ForgedError, WrongClockError: as `enrol`.
        """
        credentials = self.credentials
        old = credentials.load()
        if is_rotation and _is_same(credentials, old):
            credentials.discard("renew")
        pair = credentials.draft("renew", None if is_rotation else lambda: old.pair)
        server_url = self.config.enrolment.server_url or old.server_url
        data = self._renewal(old, pair)
        grant = await self._ask(server_url, enrolment.RENEW_PATH, content=data, headers=COSE)
        return self._adopted("renew", grant, old.root, pair=pair, server_url=server_url)

    def _renewal(self, old: Identity, pair: KeyPair) -> bytes:
        seal_key = pair.seal.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        csr = enrolment.request(self.config.detector, pair.signing).public_bytes(serialization.Encoding.DER)
        header = seal.Header(
            city=self.config.city,
            detector=self.config.detector,
            epoch=0,
            sequence=0,
            sealed_at_ms=max(0, round(self.now().timestamp() * 1000)),
            recipient_kid=b"",
            signer_kid=keys.kid(old.pair.signing.public_key()),
            content="renewal",
        )
        return seal.sign(Renewal(csr, seal_key).encode(), header, signer=old.pair.signing)

    async def _ask(self, server_url: str, path: str, **body: Any) -> Grant:  # noqa: ANN401 - httpx' own arguments
        if not is_safe_url(server_url):
            raise RefusedError(f"https でないサーバには送れません。Only https: is safe, not {server_url}")
        is_local = server_url.startswith("http:")
        try:
            context = ssl.create_default_context(cafile=self.config.enrolment.server_ca_file or None)
            async with httpx.AsyncClient(
                verify=context, timeout=self.config.enrolment.timeout_s, trust_env=not is_local, follow_redirects=False
            ) as client:
                return await _sent(client, server_url.rstrip("/") + path, body)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise UnreachableError(
                f"サーバに届きません。接続と時計を確かめてください。"
                f"Cannot reach {server_url} ({type(error).__name__}): check the network and the clock"
            ) from error

    def _adopted(
        self, purpose: Purpose, grant: Grant, root: x509.Certificate, *, pair: KeyPair, server_url: str
    ) -> Identity:
        """Return the new identity, once all that the city answered has been verified."""
        try:
            self._check(grant, root, pair)
        except WireError as error:
            self._blame_clock(grant, root)
            raise ForgedError(f"返事を信用できません。The answer is not to be believed: {error}") from error
        return self.credentials.adopt(purpose, grant, server_url)

    def _check(self, grant: Grant, root: x509.Certificate, pair: KeyPair) -> None:
        """Raises: WireError."""
        city, detector, now = self.config.city, self.config.detector, self.now()
        grant.check(detector, root, now=now)
        if enrolment.certificates(grant.ca)[0] != root:
            raise EnrolmentError("it names another authority than ours")
        if CityBundle.from_json(json.dumps(dict(grant.city))).city != city:
            raise EnrolmentError(f"it is of another city than {city}")
        chain = enrolment.certificates(grant.certificate)
        if enrolment.verified(chain, root, now=now) != f"urn:mimamori:{city}:gateway:{detector}":
            raise EnrolmentError("the certificate is not this gateway's")
        if chain[0].public_key() != pair.signing.public_key():
            raise EnrolmentError("the certificate is of another key")

    def _blame_clock(self, grant: Grant, root: x509.Certificate) -> None:
        """Raise WrongClockError where the answer would be believed at the time that its certificate says."""
        try:
            own = enrolment.certificates(grant.certificate)[0]
            made_at = own.not_valid_before_utc + dt.timedelta(hours=1)
            grant.check(self.config.detector, root, now=made_at)
        except WireError:
            return
        now = self.now()
        if not own.not_valid_before_utc <= now <= own.not_valid_after_utc:
            raise WrongClockError(
                f"時計が違います ({now:%Y-%m-%d %H:%M} UTC)。合わせて 10 分以内にもう一度。"
                f"The clock is wrong: it says {now:%Y-%m-%d %H:%M} UTC, the city {made_at:%Y-%m-%d %H:%M}. "
                "Set it and try again within 10 minutes"
            )


def _is_same(credentials: Credentials, old: Identity) -> bool:
    """Return whether the draft that waits, if any, is for the keys that are in use."""
    if not credentials.has_draft("renew"):
        return False
    return credentials.draft("renew").signing.public_key() == old.pair.signing.public_key()


async def _sent(client: httpx.AsyncClient, url: str, body: dict[str, Any]) -> Grant:
    """Return what a server grants; no more of its answer is read than one may be long."""
    async with client.stream("POST", url, **body) as answer:
        read = bytearray()
        async for chunk in answer.aiter_bytes():
            read += chunk
            if len(read) > _MAX_ANSWER:
                raise ForgedError("返事が長すぎます。The answer is too long")
        return _granted(answer.status_code, bytes(read))


def _granted(status: int, content: bytes) -> Grant:
    """Return what an answer grants.

    Raises:
        RefusedError: it refuses.
        UnreachableError: it cannot now.
        ForgedError: it speaks another language.
    """
    if status == httpx.codes.FORBIDDEN:
        raise RefusedError(
            "市が断りました。コードの誤り・使用済み・期限切れ、または失効です。新しい登録票をもらってください。"
            "The city refuses: the code is wrong, used or older than 48 hours, or the gateway is revoked. "
            "Ask for a new ticket"
        )
    if status in {httpx.codes.TOO_MANY_REQUESTS, httpx.codes.REQUEST_TIMEOUT} or status >= 500:
        raise UnreachableError(f"サーバが混んでいます。あとでもう一度。The server answers {status}: try again later")
    if status != httpx.codes.OK:
        raise RefusedError(f"サーバが受け付けません。The server does not take it: {status}")
    try:
        return Grant.from_json(content)
    except EnrolmentError as error:
        raise ForgedError("見守りサーバの返事ではありません。Not the answer of a city's server") from error


def read_ticket(config: EdgeConfig) -> Ticket:
    """Return the ticket that the configuration names.

    Raises:
        NotEnrolledError: it names none, or there is none.
        EnrolError: the file is no ticket.
    """
    file = config.enrolment.ticket_file
    if file is None:
        raise NotEnrolledError
    try:
        return Ticket.from_json(file.read_text("utf-8"))
    except FileNotFoundError as error:
        raise NotEnrolledError(f"登録票がありません。There is no ticket {file}") from error
    except (OSError, UnicodeDecodeError, EnrolmentError) as error:
        raise EnrolError(f"登録票を読めません。{file} cannot be read: {error}") from error


async def ready(config: EdgeConfig, now: Callable[[], dt.datetime] = utc_now) -> EdgeConfig:
    """Return the configuration with what enrolment adds; enrols first, where there is a ticket and no identity.

    Raises:
        EnrolError: as `Enroller.enrol`, `read_ticket` and `Credentials.load`.
    """
    enroller = Enroller(config, now)
    if not enroller.credentials.exist():
        await enroller.enrol(read_ticket(config))
    identity = enroller.credentials.load()
    if config.broker.url:
        return config
    return replace(config, broker=replace(config.broker, url=identity.broker_url))
