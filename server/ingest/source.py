"""Where messages come from, and where receipts go: an MQTT broker, behind an interface of two methods.

The broker keeps nothing for us: what is lost on the way is sent again by the detector that has no receipt. So memory is
bounded by dropping, never by waiting, and the newest is dropped when too much has piled up.

The connection lives in a thread of its own, driven by paho alone: an event loop that is woken for each packet costs
several times what the packet does.
"""

import asyncio
import contextlib
import logging
import random
import select
import ssl
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from server.credentials import Credentials, client_id, host_and_port
from server.ingest.metrics import Metrics
from wire.clock import Clock
from wire.topics import city_filter

log = logging.getLogger(__name__)

MAX_WAITING_OCTETS: Final = 64 * 1024 * 1024
MAX_FETCH: Final = 500
"""Messages in one micro-batch."""
MAX_FETCH_OCTETS: Final = 8 * 1024 * 1024
"""Payload in one micro-batch, but for a first message that is larger: three of them are in hand beside what waits."""
MAX_RETRY_S: Final = 10.0
_CONNECT_S: Final = 10.0
_KEEPALIVE_S: Final = 20
_PUBLISH_TIMEOUT_S: Final = 5.0
_MESSAGE_OCTETS: Final = 512
"""What a message takes besides its payload, about: many empty ones would fill the memory too."""
_READS_AT_ONCE: Final = 64
"""Packets read before anything else gets its turn."""
_LOOK_S: Final = 1.0


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

    async def publish(self, receipts: Sequence[tuple[str, bytes]]) -> None:
        """Send topics and payloads. Lost ones do not matter: the batch will come again, and so will its receipt."""
        ...


class MqttSource:
    """An MQTT 3.1.1 broker. Connects by itself, again and again, while its context is open.

    Args:
        url: `mqtts://host:port`, or `mqtt://` on loopback.
        city: whose topics to listen to.
        clock: stamps arrivals.
        metrics: counts what is dropped.
        credentials: what ingest shows at an `mqtts://` door.
        linger_s: how long a `fetch` waits for more after the first, so that one transaction serves many.
    """

    def __init__(  # noqa: PLR0913 - keyword-only
        self,
        url: str,
        city: str,
        *,
        clock: Clock,
        metrics: Metrics,
        credentials: Credentials | None = None,
        linger_s: float = 0.1,
    ) -> None:
        self._host, self._port = host_and_port(url)
        self._credentials = credentials
        # Receipts say what has arrived, so the broker need not: at QoS 1 it would store each message for us, wait for
        # our word, and forget all of it at the end of the session.
        self._filters = [(city_filter(city, "sightings"), 0), (city_filter(city, "heartbeat"), 0)]
        self._clock = clock
        self._metrics = metrics
        self._linger_s = linger_s
        self._mutex = threading.Lock()  # of the next three
        self._waiting: deque[Received] = deque()
        self._waiting_octets = 0
        self._is_told = False
        self._arrived = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop
        self._is_over = threading.Event()
        self._using = threading.Lock()  # of the client: the thread reads, others publish
        self._client = self._new_client()
        self._attempt = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen as long as the context is open."""
        self._loop = asyncio.get_running_loop()
        thread = threading.Thread(target=self._listen, name="mqtt", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            await asyncio.to_thread(thread.join)

    async def fetch(self) -> list[Received]:
        """Return what has arrived, oldest first; waits until there is something."""
        while not self._waiting:
            self._arrived.clear()
            with self._mutex:
                self._is_told = bool(self._waiting)
            if not self._waiting:
                await self._arrived.wait()
        if len(self._waiting) < MAX_FETCH:
            await asyncio.sleep(self._linger_s)
        taken: list[Received] = []
        octets = 0
        with self._mutex:
            while self._waiting and len(taken) < MAX_FETCH:
                size = len(self._waiting[0].payload) + _MESSAGE_OCTETS
                if taken and octets + size > MAX_FETCH_OCTETS:
                    break
                taken.append(self._waiting.popleft())
                octets += size
            self._waiting_octets -= octets
            self._metrics.waiting_octets.set(self._waiting_octets)
        return taken

    async def publish(self, receipts: Sequence[tuple[str, bytes]]) -> None:
        """Send at QoS 0; without a broker, nothing happens."""
        await asyncio.to_thread(self._publish, receipts)

    def _publish(self, receipts: Sequence[tuple[str, bytes]]) -> None:
        sent = []
        for topic, payload in receipts:
            with self._using:
                if not self._client.is_connected():
                    break
                sent.append(self._client.publish(topic, payload, qos=0))
        # Written in order, so the last one stands for all. While the broker takes none, the next ones wait here.
        ends_s = time.monotonic() + _PUBLISH_TIMEOUT_S
        with contextlib.suppress(RuntimeError, ValueError):  # it was never queued
            while sent and not sent[-1].is_published() and self._client.is_connected() and time.monotonic() < ends_s:
                sent[-1].wait_for_publish(_LOOK_S / 5)
        self._metrics.receipts_unsent.inc(len(receipts) - sum(_is_published(info) for info in sent))

    def _new_client(self) -> mqtt.Client:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id("ingest"), protocol=mqtt.MQTTv311)
        if self._credentials is not None:
            client.tls_set_context(self._credentials.context())
        client.connect_timeout = _CONNECT_S
        client.on_connect = self._connected
        client.on_subscribe = self._subscribed
        client.on_message = self._take
        return client

    def _connected(self, client: mqtt.Client, _data: object, _flags: object, reason: ReasonCode, _more: object) -> None:
        if reason.is_failure:
            raise PermissionError(f"the broker does not let us in: {reason}")
        client.subscribe(self._filters)

    def _subscribed(self, _client: object, _data: object, _mid: object, reasons: list[ReasonCode], _: object) -> None:
        if any(reason.is_failure for reason in reasons):
            raise PermissionError("the broker does not let us listen")
        log.info("broker.connected", extra={"attempt": self._attempt})
        self._attempt = 0
        self._metrics.broker_up.set(1)

    def _take(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        payload = bytes(message.payload)
        octets = len(payload) + _MESSAGE_OCTETS
        with self._mutex:
            if self._waiting_octets + octets > MAX_WAITING_OCTETS:
                self._metrics.dropped.inc()
                return
            self._waiting.append(Received(_topic(message), payload, self._clock.now_ms(), bool(message.retain)))
            self._waiting_octets += octets
            is_first, self._is_told = not self._is_told, True
        if is_first:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._arrived.set)

    def _listen(self) -> None:
        """Reconnect for ever, with growing pauses that differ between workers."""
        while not self._is_over.is_set():
            why = "closed"
            try:
                self._session()
            except (OSError, ValueError) as error:  # select says ValueError of a socket that was closed a moment ago
                why = type(error).__name__
            except Exception as error:  # whatever it was, deaf for ever is worse
                why = type(error).__name__
                log.exception("broker.unexpected", extra={"error": why})
            self._metrics.broker_up.set(0)
            if not self._is_over.is_set():
                self._attempt += 1
                delay_s = random.uniform(0.1, min(MAX_RETRY_S, 0.2 * 2 ** min(self._attempt, 10)))  # noqa: S311
                log.warning("broker.lost", extra={"error": why, "attempt": self._attempt, "delay_s": round(delay_s, 2)})
                self._is_over.wait(delay_s)

    def _session(self) -> None:
        """Listen over one connection until it is lost or nobody wants to listen any more.

        Raises:
            OSError: there is no connection, or none that listens.
        """
        with self._using:
            self._client = client = self._new_client()
        client.connect(self._host, self._port, _KEEPALIVE_S)
        try:
            looked_s = time.monotonic()
            while not self._is_over.is_set() and (socket := client.socket()) is not None:
                writing = [socket] if client.want_write() else []
                # What TLS has taken off the socket and not given out yet, select does not see.
                select.select([socket], writing, [], 0 if _is_pending(socket) else _LOOK_S)
                with self._using:
                    self._read(client)
                    client.loop_write()
                    if time.monotonic() - looked_s > _LOOK_S:
                        looked_s = time.monotonic()
                        client.loop_misc()
        finally:
            with self._using:
                client.disconnect()

    def _read(self, client: mqtt.Client) -> None:
        """Read the packets that are there. paho reads one at a time and says of none whether there are more."""
        for _ in range(_READS_AT_ONCE):
            before = len(self._waiting)
            client.loop_read()
            if len(self._waiting) == before:
                return


def _is_pending(connection: object) -> bool:
    return isinstance(connection, ssl.SSLSocket) and connection.pending() > 0


def _is_published(info: mqtt.MQTTMessageInfo) -> bool:
    try:
        return info.is_published()
    except (RuntimeError, ValueError):
        return False


def _topic(message: mqtt.MQTTMessage) -> str:
    try:
        return str(message.topic)
    except UnicodeDecodeError:
        return ""  # which names no detector
