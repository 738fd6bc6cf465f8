"""The families' phones and mail boxes: what is told to them is received, decrypted and counted, never logged.

Keys come from the town's seed, so that the registry can hold the public half before this program runs.
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from pathlib import Path
from typing import TextIO

from aiosmtpd.smtp import SMTP, Envelope, Session
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from firmware_sim.push_service import PushMessage, PushService, Subscriber

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""SEC 2, section 2.4.2."""
NOTICE_HEADER = "X-Mimamori-Notice"
"""Mail header with the opaque notice reference: a mail sent again after a crash carries the same one."""


@dataclass(frozen=True, slots=True)
class Received:
    """One notice that reached a family.

    Args:
        at_ms: wall time of arrival, UTC milliseconds.
        channel: "push" or "mail".
        guardian: id of the guardian, "" for an address nobody in town has.
        reference: what a repeat has in common with the first: push topic or mail header.
        size_bytes: decrypted payload or mail body.
        is_repeat: True where the phone replaces the notice it shows already.
        content: the text itself; never written anywhere.
    """

    at_ms: int
    channel: str
    guardian: str
    reference: str
    size_bytes: int
    is_repeat: bool
    content: str = field(repr=False)

    def line(self) -> str:
        """Return the JSON line for the log, without the content."""
        fields = {"at_ms": self.at_ms, "channel": self.channel, "guardian": self.guardian}
        return json.dumps(fields | {"size_bytes": self.size_bytes, "is_repeat": self.is_repeat})


def subscriber(guardian_id: str, seed: int) -> Subscriber:
    """Return the browser of `guardian_id` in the town of `seed`: the same keys every time."""
    scalar = int.from_bytes(hashlib.sha512(f"family-key/{seed}/{guardian_id}".encode()).digest(), "big")
    private_key = ec.derive_private_key(1 + scalar % (P256_ORDER - 1), ec.SECP256R1())
    return Subscriber(guardian_id, private_key, _digest("auth", guardian_id, seed)[:16])


def push_subscriptions(base_url: str, guardian_ids: Iterable[str], seed: int) -> dict[str, dict[str, str]]:
    """Return by guardian what `PushSubscription.toJSON()` holds: endpoint, and p256dh and auth as base64url."""
    return {
        guardian_id: {
            "endpoint": f"{base_url.rstrip('/')}/push/{_token(guardian_id, seed)}",
            "p256dh": _b64(
                subscriber(guardian_id, seed)
                .private_key.public_key()
                .public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
            ),
            "auth": _b64(subscriber(guardian_id, seed).auth_secret),
        }
        for guardian_id in guardian_ids
    }


class Family:
    """All families of a town behind one push service and one mail server, both on loopback.

    Args:
        push_guardians: ids of the guardians with a push subscription.
        mail_guardians: guardian id by e-mail address.
        seed: the town's.
        on_notice: called with each notice as it arrives.
    """

    def __init__(
        self,
        push_guardians: Iterable[str],
        mail_guardians: Mapping[str, str],
        *,
        seed: int,
        on_notice: Callable[[Received], None],
    ) -> None:
        self.push = PushService({_token(g, seed): subscriber(g, seed) for g in push_guardians}, self._on_push)
        self.mail = MailBox(mail_guardians, self._on_mail)
        self.http_port = 0
        self.smtp_port = 0
        self._on_notice = on_notice
        self._shown: set[tuple[str, str, str]] = set()

    @contextlib.asynccontextmanager
    async def open(self, http_port: int = 0, smtp_port: int = 0) -> AsyncIterator["Family"]:
        """Serve inside the block; port 0 takes a free one, see `http_port` and `smtp_port`."""
        loop = asyncio.get_running_loop()
        http = await self.push.listen(http_port)
        smtp = await loop.create_server(
            lambda: SMTP(self.mail, loop=loop, hostname="family.invalid", enable_SMTPUTF8=True), "127.0.0.1", smtp_port
        )
        self.http_port = http.sockets[0].getsockname()[1]
        self.smtp_port = smtp.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            http.close()
            smtp.close()
            self.push.drop_connections()
            await smtp.wait_closed()

    def _on_push(self, message: PushMessage) -> None:
        self._note("push", message.guardian, message.topic, message.body.decode())

    def _on_mail(self, guardian: str, reference: str, text: str) -> None:
        self._note("mail", guardian, reference, text)

    def _note(self, channel: str, guardian: str, reference: str, content: str) -> None:
        shown = (channel, guardian, reference)
        is_repeat = bool(reference) and shown in self._shown
        self._shown.add(shown)
        size_bytes = len(content.encode())
        self._on_notice(
            Received(time.time_ns() // 1_000_000, channel, guardian, reference, size_bytes, is_repeat, content)
        )


@dataclass(slots=True)
class MailBox:
    """The mail server's handler, see aiosmtpd: one mail box per guardian.

    Args:
        guardians: id by address.
        on_mail: called with guardian id, notice reference, and subject and text.
        delay_s: wait before a mail is accepted, wall seconds.
        refuse: answer with a temporary failure this many times.
    """

    guardians: Mapping[str, str]
    on_mail: Callable[[str, str, str], None]
    delay_s: float = 0.0
    refuse: int = 0

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Return the SMTP answer after noting the mail for each recipient."""
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if self.refuse > 0:
            self.refuse -= 1
            return "451 4.3.0 told to refuse"
        content = envelope.content if isinstance(envelope.content, bytes) else (envelope.content or "").encode()
        mail = message_from_bytes(content, policy=policy.default)
        body = mail.get_body(("plain", "html"))
        text = f"{mail['Subject']}\n{body.get_content() if body else ''}"
        for address in envelope.rcpt_tos:
            self.on_mail(self.guardians.get(address, ""), str(mail.get(NOTICE_HEADER, "")), text.replace("\r\n", "\n"))
        return "250 2.0.0 kept"


async def run(directory: Path, *, http_port: int, smtp_port: int, out: Path, seed: int | None = None) -> None:
    """Serve the families of the town in `directory` until SIGTERM or SIGINT; each notice adds a line to `out`.

    Args:
        directory: holds town.json as `mimamori-sim town` wrote it.
        http_port: of the push service the subscriptions name.
        smtp_port: of the mail server.
        out: JSON lines, appended.
        seed: the town's; None reads "seed" from town.json.
    """
    town = json.loads((directory / "town.json").read_text())
    guardians = town["guardians"]
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    with out.open("a") as lines:
        family = Family(
            [g["id"] for g in guardians if g.get("push")],
            {g["email"]: g["id"] for g in guardians if g.get("email")},
            seed=int(town["seed"]) if seed is None else seed,
            on_notice=lambda notice: _append(lines, notice),
        )
        async with family.open(http_port, smtp_port):
            await stop.wait()


def _append(lines: TextIO, notice: Received) -> None:
    lines.write(notice.line() + "\n")
    lines.flush()


def _token(guardian_id: str, seed: int) -> str:
    return _b64(_digest("endpoint", guardian_id, seed)[:18])


def _digest(purpose: str, guardian_id: str, seed: int) -> bytes:
    return hashlib.sha256(f"family-{purpose}/{seed}/{guardian_id}".encode()).digest()


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
