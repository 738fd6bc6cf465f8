"""A push service for simulated phones: takes messages (RFC 8030), checks the sender (RFC 8292), decrypts (RFC 8291).

It stands where a browser vendor's service and the browser stand, so that a notice is proved to arrive readable.
"""

import asyncio
import base64
import binascii
import json
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import http_ece
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

MAX_BODY_BYTES = 4096
"""RFC 8030 section 7.2: a push service may refuse anything larger."""
MAX_HEAD_BYTES = 16_384
MAX_TOKEN_LIFE_S = 86_400
"""RFC 8292 section 2: `exp` lies at most 24 hours ahead."""
REASONS = {201: "Created", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed"} | {
    410: "Gone",
    413: "Payload Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
}


class PushRefusedError(Exception):
    """The service does not take the message.

    Attributes:
        status: the HTTP status that says why.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True)
class Subscriber:
    """One simulated browser: who it belongs to and the keys only it has."""

    guardian: str
    private_key: ec.EllipticCurvePrivateKey
    auth_secret: bytes


@dataclass(frozen=True, slots=True)
class PushMessage:
    """A message as the browser sees it after decryption."""

    guardian: str
    topic: str
    urgency: str
    ttl_s: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """What the service does instead of accepting.

    Args:
        status: answer to give, 201 to accept all the same.
        delay_s: wait before the answer, wall seconds.
    """

    status: int = 201
    delay_s: float = 0.0


@dataclass(slots=True)
class PushService:
    """The service's state: its subscribers by endpoint token, and the faults it was told to show.

    Args:
        subscribers: by the last part of their endpoint.
        on_message: called with each message that was accepted and decrypted.
    """

    subscribers: Mapping[str, Subscriber]
    on_message: Callable[[PushMessage], None]
    origin: str = ""
    accepted: int = 0
    refused: int = 0
    _faults: dict[str, deque[Fault]] = field(default_factory=dict)
    _always: dict[str, Fault] = field(default_factory=dict)
    _connections: set[asyncio.StreamWriter] = field(default_factory=set)

    def fail(self, guardian: str, *faults: Fault, forever: bool = False) -> None:
        """Show `faults` to the next messages for `guardian`, one each; with `forever` the last of them from then on."""
        if forever:
            self._always[guardian] = faults[-1]
        self._faults.setdefault(guardian, deque()).extend(faults)

    async def listen(self, port: int) -> asyncio.Server:
        """Return the started server on loopback; port 0 takes a free one, `origin` then says which."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", port, limit=MAX_HEAD_BYTES)
        self.origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return server

    def drop_connections(self) -> None:
        """Close what senders keep open, so that the server can end."""
        for writer in self._connections:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while not reader.at_eof():
                status = await self._exchange(reader)
                reason = REASONS.get(status, "As Told")
                location = f"Location: {self.origin}/message/{self.accepted}\r\n" if status == 201 else ""
                writer.write(f"HTTP/1.1 {status} {reason}\r\n{location}Content-Length: 0\r\n\r\n".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
            pass  # the sender left, or does not speak HTTP: nothing to answer
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader) -> int:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        if method != "POST":
            return 405
        try:
            return await self._take(path.rpartition("/")[2], headers, body)
        except PushRefusedError as error:
            self.refused += 1
            return error.status

    async def _take(self, token: str, headers: Mapping[str, str], body: bytes) -> int:
        subscriber = self.subscribers.get(token)
        if subscriber is None:
            raise PushRefusedError(404, "no such subscription")
        fault = self._next_fault(subscriber.guardian)
        if fault.delay_s:
            await asyncio.sleep(fault.delay_s)
        if fault.status != 201:
            raise PushRefusedError(fault.status, "told to refuse")
        check_vapid(headers.get("authorization", ""), audience=self.origin, now_s=time.time())
        message = open_message(subscriber, headers, body)
        self.accepted += 1
        self.on_message(message)
        return 201

    def _next_fault(self, guardian: str) -> Fault:
        queued = self._faults.get(guardian)
        return queued.popleft() if queued else self._always.get(guardian, Fault())


def open_message(subscriber: Subscriber, headers: Mapping[str, str], body: bytes) -> PushMessage:
    """Return the message decrypted with the subscriber's keys.

    Raises:
        PushRefusedError: too large, no TTL, another encoding, or not encrypted to this subscriber.
    """
    if len(body) > MAX_BODY_BYTES:
        raise PushRefusedError(413, "message too large")
    if headers.get("content-encoding") != "aes128gcm" or not headers.get("ttl", "").isdigit():
        raise PushRefusedError(400, "no TTL, or not aes128gcm")
    topic = headers.get("topic", "")
    if len(topic) > 32:
        raise PushRefusedError(400, "a topic has at most 32 characters, RFC 8030 section 5.4")
    try:
        plain = http_ece.decrypt(
            body, private_key=subscriber.private_key, auth_secret=subscriber.auth_secret, version="aes128gcm"
        )
    except (http_ece.ECEException, ValueError) as error:
        raise PushRefusedError(400, "not encrypted to this subscriber") from error
    return PushMessage(subscriber.guardian, topic, headers.get("urgency", "normal"), int(headers["ttl"]), plain)


def check_vapid(authorization: str, *, audience: str, now_s: float) -> None:
    """Accept a sender that signed for this service, as RFC 8292 has it; nothing comes back.

    Raises:
        PushRefusedError: 403, whatever is wrong with the token.
    """
    try:
        scheme, _, fields = authorization.partition(" ")
        parts = dict(part.strip().split("=", 1) for part in fields.split(","))
        signed, _, signature = parts["t"].rpartition(".")
        raw = _unb64(signature)
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), _unb64(parts["k"]))
        r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
        key.verify(encode_dss_signature(r, s), signed.encode(), ec.ECDSA(hashes.SHA256()))
        claims = json.loads(_unb64(signed.partition(".")[2]))
        life_s = float(claims["exp"]) - now_s
    except (ValueError, KeyError, TypeError, InvalidSignature, binascii.Error) as error:
        raise PushRefusedError(403, "no valid VAPID token") from error
    is_ours = scheme.lower() == "vapid" and len(raw) == 64 and claims["aud"] == audience
    if not is_ours or not 0 < life_s <= MAX_TOKEN_LIFE_S:
        raise PushRefusedError(403, "the VAPID token is for another service, or out of date")


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
