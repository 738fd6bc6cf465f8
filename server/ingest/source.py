"""Where messages come from, and where receipts go: an MQTT broker, behind an interface of two methods.

The broker keeps nothing for us: what is lost on the way is sent again by the detector that has no receipt. So memory is
bounded by dropping, never by waiting, and the newest is dropped when too much has piled up.
"""

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import urlsplit

import aiomqtt

from server.ingest.metrics import Metrics
from wire.clock import Clock
from wire.topics import city_filter

log = logging.getLogger(__name__)

MAX_WAITING_OCTETS: Final = 64 * 1024 * 1024
MAX_FETCH: Final = 500
"""Messages in one micro-batch."""
MAX_RETRY_S: Final = 10.0
_PUBLISH_TIMEOUT_S: Final = 5.0
_MESSAGE_OCTETS: Final = 512
"""What a message takes besides its payload, about: many empty ones would fill the memory too."""
_DISCARD_ABOVE: Final = 20_000  # messages inside the client library, which this module empties at once


@dataclass(frozen=True, slots=True)
class Received:
    """One message.

    Attributes:
        topic: as published.
        payload: octets, not trusted.
        received_ms: town time of arrival.
        is_retained: kept by the broker from some time before.
    """

    topic: str
    payload: bytes
    received_ms: int
    is_retained: bool = False


class Source(Protocol):
    """A broker, as ingest sees it."""

    async def fetch(self) -> list[Received]:
        """Return what has arrived, at least one message; waits for it."""
        ...

    async def publish(self, topic: str, payload: bytes) -> None:
        """Send a receipt. Lost ones do not matter: the batch will come again, and so will its receipt."""
        ...


class MqttSource:
    """An MQTT 3.1.1 broker. Connects by itself, again and again, while its context is open.

    Args:
        url: `mqtt://host:port`.
        city: whose topics to listen to.
        clock: stamps arrivals.
        metrics: counts what is dropped.
        linger_s: how long a `fetch` waits for more after the first, so that one transaction serves many.
    """

    def __init__(self, url: str, city: str, *, clock: Clock, metrics: Metrics, linger_s: float = 0.1) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 1883
        # Receipts say what has arrived, so the broker need not: at QoS 1 it would store each message for us, wait for
        # our word, and forget all of it at the end of the session.
        self._filters = [(city_filter(city, "sightings"), 0), (city_filter(city, "heartbeat"), 0)]
        self._clock = clock
        self._metrics = metrics
        self._linger_s = linger_s
        self._waiting: deque[Received] = deque()
        self._waiting_octets = 0
        self._arrived = asyncio.Event()
        self._client: aiomqtt.Client | None = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen as long as the context is open."""
        task = asyncio.create_task(self._listen(), name="mqtt")
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def fetch(self) -> list[Received]:
        """Return what has arrived, oldest first; waits until there is something."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        if len(self._waiting) < MAX_FETCH:
            await asyncio.sleep(self._linger_s)
        taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_FETCH))]
        self._waiting_octets -= sum(len(message.payload) + _MESSAGE_OCTETS for message in taken)
        self._metrics.waiting_octets.set(self._waiting_octets)
        return taken

    async def publish(self, topic: str, payload: bytes) -> None:
        """Send QoS 0; without a broker, nothing happens."""
        if self._client is None:
            return
        try:
            await self._client.publish(topic, payload, qos=0, timeout=_PUBLISH_TIMEOUT_S)
        except aiomqtt.MqttError:
            self._metrics.receipts_unsent.inc()

    async def _listen(self) -> None:
        """Reconnect for ever, with growing pauses that differ between workers."""
        attempt = 0
        while True:
            try:
                async with aiomqtt.Client(
                    self._host, self._port, timeout=10, keepalive=20, max_queued_incoming_messages=_DISCARD_ABOVE
                ) as client:
                    await client.subscribe(self._filters)
                    log.info("broker.connected", extra={"attempt": attempt})
                    self._client, attempt = client, 0
                    self._metrics.broker_up.set(1)
                    await self._drain(client)
            except Exception as error:
                task = asyncio.current_task()
                if task is not None and task.cancelling():  # aiomqtt may raise its own error over a cancellation
                    raise asyncio.CancelledError from None
                if not isinstance(error, aiomqtt.MqttError | OSError):  # whatever it was, deaf for ever is worse
                    log.exception("broker.unexpected", extra={"error": type(error).__name__})
                attempt += 1
                delay_s = random.uniform(0.1, min(MAX_RETRY_S, 0.2 * 2 ** min(attempt, 10)))  # noqa: S311 - a pause
                log.warning("broker.lost", extra={"attempt": attempt, "delay_s": round(delay_s, 2)})
                await asyncio.sleep(delay_s)
            finally:
                self._client = None
                self._metrics.broker_up.set(0)

    async def _drain(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            payload = bytes(message.payload)
            if self._waiting_octets + len(payload) + _MESSAGE_OCTETS > MAX_WAITING_OCTETS:
                self._metrics.dropped.inc()
                continue
            now_ms = self._clock.now_ms()
            self._waiting.append(Received(message.topic.value, payload, now_ms, bool(message.retain)))
            self._waiting_octets += len(payload) + _MESSAGE_OCTETS
            self._arrived.set()
