"""The broker's own tokens: requests that it asks us with, and answers signed with the call-out's key (NATS ADR-26)."""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from server.gate.errors import RefusedError

_HEADER: Final = b'{"typ":"JWT","alg":"ed25519-nkey"}'


@dataclass(frozen=True, slots=True)
class Request:
    """Who stands at the door, as the broker tells.

    Attributes:
        user_nkey: one-time name of this connection; the answer is for it alone.
        server_id: of the broker that asks.
        is_mqtt: whether the client speaks MQTT.
        client_id: of MQTT.
        chain: PEM certificates, the client's own first; empty when the broker verified none.
    """

    user_nkey: str
    server_id: str
    is_mqtt: bool
    client_id: str
    chain: tuple[str, ...]


def read(data: bytes) -> Request:
    """Return what the broker asks. Its signature is not looked at: nobody else may speak in the system account.

    Raises:
        RefusedError: not such a request; there is nobody to answer.
    """
    try:
        body = data.split(b".")[1]
        asked = json.loads(base64.urlsafe_b64decode(body + b"=="))["nats"]
        client = asked["client_info"]
        chains = asked.get("client_tls", {}).get("verified_chains") or [[]]
        return Request(
            user_nkey=str(asked["user_nkey"]),
            server_id=str(asked["server_id"]["id"]),
            is_mqtt=client.get("type") == "mqtt",
            client_id=str(client.get("mqtt_id", "")),
            chain=tuple(str(pem) for pem in chains[0]),
        )
    except (ValueError, LookupError, TypeError, AttributeError, binascii.Error) as error:
        raise RefusedError("malformed") from error


@dataclass(frozen=True, slots=True)
class Grant:
    """What a client is let in with.

    Attributes:
        name: as the broker's lists have it.
        account: of the broker.
        publish: subjects.
        subscribe: subjects.
        until_s: Unix seconds; the broker ends the connection then.
    """

    name: str
    account: str
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    until_s: int


class Writer:
    """Signs answers.

    Args:
        pair: the call-out's nkey, of an account.
    """

    def __init__(self, pair: Any) -> None:  # noqa: ANN401 - nkeys.KeyPair, of a library without types
        self._pair = pair
        self._issuer = pair.public_key.decode()

    def let_in(self, request: Request, grant: Grant, *, now_s: int) -> bytes:
        """Return the answer that opens the door."""
        permissions = {
            "pub": _only(grant.publish),
            "sub": _only(grant.subscribe),
            "subs": -1,
            "data": -1,
            "payload": -1,
            "allowed_connection_types": ["MQTT"],
        }
        claims = {"sub": request.user_nkey, "aud": grant.account, "name": grant.name, "exp": grant.until_s}
        user = self._signed(claims | {"nats": permissions | {"type": "user", "version": 2}}, now_s)
        return self._answer(request, {"jwt": user.decode()}, now_s)

    def refuse(self, request: Request, reason: str, *, now_s: int) -> bytes:
        """Return the answer that keeps it shut."""
        return self._answer(request, {"error": reason}, now_s)

    def _answer(self, request: Request, said: Mapping[str, str], now_s: int) -> bytes:
        body = {"type": "authorization_response", "version": 2, **said}
        return self._signed({"sub": request.user_nkey, "aud": request.server_id, "nats": body}, now_s)

    def _signed(self, claims: Mapping[str, object], now_s: int) -> bytes:
        whole = {**claims, "iss": self._issuer, "iat": now_s}
        digest = hashlib.sha256(json.dumps(whole).encode()).digest()
        whole["jti"] = base64.b32encode(digest).decode().rstrip("=")
        text = _b64(_HEADER) + b"." + _b64(json.dumps(whole).encode())
        return text + b"." + _b64(self._pair.sign(text))


def _only(subjects: tuple[str, ...]) -> dict[str, list[str]]:
    # An empty list would mean "everything".
    return {"allow": list(subjects)} if subjects else {"deny": [">"]}


def _b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
