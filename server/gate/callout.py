"""Answers the broker's question who may come in (NATS auth call-out, ADR-26): the holder of a certificate on the list.

The broker has verified the chain and its validity before it asks; both are looked at once more here, for it is the gate
that answers for them. While the gate or the database is away nobody new comes in; who is in stays.
"""

import asyncio
import datetime as dt
import hashlib
import logging
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import verification
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from server.enrolment.authority import serial_of
from server.enrolment.profile import Subject, subject_of
from server.errors import KeysError
from server.gate import rights, token
from server.gate.errors import RefusedError
from server.gate.metrics import GateMetrics
from server.store import admission
from server.store.admission import Standing
from server.store.connection import DatabaseError
from server.store.pool import Pool

log = logging.getLogger(__name__)

QUESTION: Final = "$SYS.REQ.USER.AUTH"
ACCOUNT: Final = "CITY"
"""The broker's account of all clients; the gate itself is in `SYS`."""
_QUEUE: Final = "gate"
_AT_ONCE: Final = 32
_ID: Final = re.compile(r"[A-Za-z0-9_:-]{1,80}")


@dataclass(slots=True)
class Callout:
    """The one who answers.

    Args:
        city: id; certificates of another city's are refused.
        root: the city's root certificate.
        pair: the call-out's nkey.
        program_key: the public key of one of our programs, by its name.
        pool: of connections to the database.
        metrics: counters.
        now: wall time.
    """

    city: str
    root: x509.Certificate
    pair: Any
    program_key: Callable[[str], object]
    pool: Pool
    metrics: GateMetrics
    now: Callable[[], dt.datetime] = field(default=lambda: dt.datetime.now(dt.UTC))
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE), init=False)

    async def attend(self, client: Client) -> Subscription:
        """Return where questions arrive from now on; several gates share them."""
        questions = await client.subscribe(QUESTION, queue=_QUEUE)
        await client.flush()
        return questions

    async def serve(self, questions: Subscription) -> None:
        """Answer until cancelled, many at a time."""
        async with asyncio.TaskGroup() as tasks:
            async for message in questions.messages:
                await self._slots.acquire()
                tasks.create_task(self._reply(message)).add_done_callback(lambda _: self._slots.release())

    async def _reply(self, message: Msg) -> None:
        with self.metrics.answer_s.time():
            answer = await self.answer(message.data)
        if answer and message.reply:
            try:
                await message.respond(answer)
            except NatsError as error:  # the broker asks again when the client does; the others must be answered
                log.warning("answer.unsent", extra={"error": type(error).__name__})

    async def answer(self, data: bytes) -> bytes:
        """Return the signed answer to one question, nothing where there is nobody to answer."""
        writer = token.Writer(self.pair)
        try:
            request = token.read(data)
        except RefusedError as error:
            self._count(error.reason, "")
            return b""
        try:
            grant = await self._decide(request)
        except RefusedError as error:
            self._count(error.reason, request.client_id)
            return writer.refuse(request, error.reason, now_s=int(time.time()))
        except KeysError as error:
            log.error("program.unknown", extra={"error": type(error).__name__})  # noqa: TRY400 - the kind says it all
            self._count("no-program-key", request.client_id)
            return writer.refuse(request, "no-program-key", now_s=int(time.time()))
        except (DatabaseError, OSError, TimeoutError) as error:
            self.metrics.database_errors.inc()
            log.warning("database.down", extra={"error": type(error).__name__})
            self.metrics.answers.labels("database-down").inc()
            return writer.refuse(request, "database-down", now_s=int(time.time()))
        self.metrics.answers.labels("let-in").inc()
        return writer.let_in(request, grant, now_s=int(time.time()))

    async def _decide(self, request: token.Request) -> token.Grant:
        if not request.is_mqtt:
            raise RefusedError("not-mqtt")
        subject, certificate = self._holder(request.chain)
        if not rights.is_own_client_id(subject, request.client_id):
            raise RefusedError("foreign-client-id")
        allowed = rights.of(subject)
        serial = serial_of(certificate)
        async with self.pool.connection() as conn:
            found = (await admission.standings(conn, [serial])).get(serial)
        self._check_standing(subject, certificate, found)
        return token.Grant(
            name=f"{subject.kind}.{subject.id}.{serial}",
            account=ACCOUNT,
            publish=allowed.publish,
            subscribe=allowed.subscribe,
            until_s=int(certificate.not_valid_after_utc.timestamp()),
        )

    def _check_standing(self, subject: Subject, certificate: x509.Certificate, found: Standing | None) -> None:
        """Refuse who is not on the list.

        Our programs have their certificates before there is a database to list them. So they are known by their keys,
        which never change; the list can only put them out. Whoever has the issuing key can give any number to any key:
        that is why the key is compared, too.
        """
        if subject.kind == "service":
            if certificate.public_key() != self.program_key(subject.id):
                raise RefusedError("not-on-the-list")
        elif found is None:
            raise RefusedError("not-on-the-list")
        if found is not None:
            if not found.is_good:
                raise RefusedError("taken-back")
            if (found.kind, found.holder, found.key_sha256) != (subject.kind, subject.id, _key_sha256(certificate)):
                raise RefusedError("not-on-the-list")

    def _holder(self, chain: Sequence[str]) -> tuple[Subject, x509.Certificate]:
        """Return whom the client's certificate names, and the certificate."""
        if not chain:
            raise RefusedError("no-certificate")
        try:
            own, *above = (x509.load_pem_x509_certificate(pem.encode()) for pem in chain)
        except (ValueError, x509.InvalidVersion) as error:
            raise RefusedError("malformed") from error
        store = verification.Store([self.root])
        verifier = verification.PolicyBuilder().store(store).time(self.now()).build_client_verifier()
        try:
            verifier.verify(own, [item for item in above if item != self.root])
        except (verification.VerificationError, ValueError) as error:
            raise RefusedError("untrusted") from error
        subject = subject_of(own)
        if subject is None or subject.city != self.city:
            raise RefusedError("untrusted")
        return subject, own

    def _count(self, reason: str, client_id: str) -> None:
        self.metrics.answers.labels(reason).inc()
        # A stranger may call itself as it likes, so what it says is logged only where it has the shape of an id.
        log.warning("client.refused", extra={"reason": reason, "detector": _shown(client_id)})


def _key_sha256(certificate: x509.Certificate) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(certificate.public_key().public_bytes(serialization.Encoding.DER, form)).digest()


def _shown(client_id: str) -> str:
    return client_id if _ID.fullmatch(client_id) else ""
