"""Web Push to one subscription: RFC 8030, signed for the service (RFC 8292), encrypted to the browser (RFC 8291)."""

import base64
import hashlib
import hmac
import threading
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from time import time
from typing import Final

import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from py_vapid import Vapid02
from pywebpush import WebPushException, webpush

from server.notify.outcome import SENT, Outcome, Result
from server.push_services import is_push_service

TTL_S: Final = 600
"""Arrivals are of no use later; the news stays in the app."""
URGENT_TTL_S: Final = 86_400
TIMEOUT_S: Final = (5.0, 10.0)
"""To connect, and to hear an answer."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """Where a browser takes messages.

    Attributes:
        endpoint: URL at its push service.
        p256dh: the browser's P-256 public key, base64url.
        auth: its secret of 16 bytes, base64url.
    """

    endpoint: str = field(repr=False)
    p256dh: str = field(repr=False)
    auth: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PushMessage:
    """What to send.

    Attributes:
        payload: JSON text, at most about 3,900 bytes.
        topic: a message of the same topic replaces one that was not delivered yet, RFC 8030 section 5.4.
        is_urgent: wakes a sleeping phone and is kept for a day.
    """

    payload: str = field(repr=False)
    topic: str
    is_urgent: bool


class PushSender:
    """Sends messages in the name of one city; safe to use from several threads.

    Args:
        key_file: PEM, P-256 private key (VAPID).
        subject: who the push service may write to: `mailto:` or `https:`.
        allow_loopback: also call services on loopback, for a city that itself is on loopback: demo and tests.
        timeout_s: to connect, and to hear an answer.
    """

    def __init__(
        self,
        key_file: Path,
        subject: str,
        *,
        allow_loopback: bool = False,
        timeout_s: tuple[float, float] = TIMEOUT_S,
    ) -> None:
        pem = key_file.read_bytes()
        self._vapid = Vapid02.from_pem(pem)
        self._subject = subject
        self._allow_loopback = allow_loopback
        self._timeout_s = timeout_s
        self._local = threading.local()
        self._reference_key = _reference_key(pem)

    def reference(self, event_id: int, target: str) -> str:
        """Return the 32 characters that stand for an event towards one subscription, the same every time.

        A push service sees them as the topic: without the city's key they say neither which event nor that two
        subscriptions were told of the same one.
        """
        digest = hmac.digest(self._reference_key, f"{event_id}/{target}".encode(), "sha256")
        return base64.urlsafe_b64encode(digest[:24]).decode()

    def send(self, subscription: Subscription, message: PushMessage) -> Outcome:
        """Return how the push service answered; blocks for as long as the time-out allows."""
        if not is_push_service(subscription.endpoint, allow_loopback=self._allow_loopback):
            return Outcome(Result.REFUSED, "endpoint")
        headers: dict[str, str | int | float] = {
            "Topic": message.topic,
            "Urgency": "high" if message.is_urgent else "normal",
        }
        try:
            webpush(
                {"endpoint": subscription.endpoint, "keys": {"p256dh": subscription.p256dh, "auth": subscription.auth}},
                message.payload,
                vapid_private_key=self._vapid,
                vapid_claims={"sub": self._subject},
                ttl=URGENT_TTL_S if message.is_urgent else TTL_S,
                headers=headers,
                timeout=self._timeout_s,
                requests_session=self._session(),
            )
        except WebPushException as error:
            return _outcome(error)
        except requests.TooManyRedirects:
            return Outcome(Result.RETRY, "redirect")
        except requests.RequestException:
            return Outcome(Result.RETRY, "unreachable")
        except (ValueError, IndexError):  # pywebpush on keys that are too short, or no points
            return Outcome(Result.REFUSED, "keys")
        return SENT

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.max_redirects = 0  # a redirect would lead past the check of the host
            session.trust_env = not self._allow_loopback  # a proxy does not know our loopback
        return session


def _outcome(error: WebPushException) -> Outcome:
    status = error.status_code
    if status is None:
        return Outcome(Result.REFUSED, "keys")
    if status in (404, 410):
        return Outcome(Result.GONE, str(status))
    return Outcome(Result.RETRY, str(status), _seconds(error.retry_after))


def _seconds(retry_after: str | None) -> float | None:
    """Return a Retry-After header in seconds: it is a number or a date, RFC 9110 section 10.2.3."""
    if not retry_after:
        return None
    if retry_after.strip().isdigit():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time())
    except ValueError:
        return None


def _reference_key(pem: bytes) -> bytes:
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the VAPID key is not a P-256 key")
    return hashlib.sha256(
        b"mimamori notice reference" + key.private_numbers().private_value.to_bytes(32, "big")
    ).digest()
