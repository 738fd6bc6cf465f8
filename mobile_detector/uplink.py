"""The way to the city: MQTT where a connection can be kept, HTTPS where the phone's system kills it.

Same batches, same receipts: a batch is done when a receipt signed by the city names it, whatever the transport said.
"""

import asyncio
import logging
import random
import ssl
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Final, Protocol
from urllib.parse import urlsplit

import aiomqtt
import httpx

from mobile_detector.config import BrokerConfig, DetectorConfig, UploadConfig
from mobile_detector.errors import UploadError
from mobile_detector.tokens import Name
from wire import topics
from wire.errors import OutboxError, WireError
from wire.messages import Heartbeat
from wire.outbox import Outbox, Pending
from wire.retry import stop_if_cancelled, wait_s
from wire.window import SendWindow

log = logging.getLogger(__name__)

KEEPALIVE_S: Final = 60
ANSWER_S: Final = 10.0
"""Wall seconds that the broker may take to answer a call."""
COSE: Final = "application/cose"
MAX_RECEIPT_OCTETS: Final = 65_536
GOODBYE_S: Final = 1.0
MOST_PAUSE_S: Final = 60.0
"""Wall seconds at the most between two requests while something waits: new rows wait behind an old failure, too."""


class Uplink(Protocol):
    """Empties one outbox."""

    async def run(self) -> None:
        """Send for ever, through every failure of the network."""


@dataclass(slots=True)
class Receipts:
    """Books receipts, and nothing but receipts of the city to us.

    Args:
        counts: by name: receipts_forged, batches_refused, settle_failures.
    """

    name: Name
    outbox: Outbox
    counts: Counter[str]
    settled: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, data: bytes) -> tuple[int, ...]:
        """Return the sequences that `data` settles, after deleting them; () for what is no receipt for us."""
        try:
            receipt = self.name.open_receipt(data)
            done = self.outbox.settle(receipt)
        except OutboxError as error:
            self.counts["settle_failures"] += 1
            log.warning("outbox.failed", extra={"reason": type(error).__name__})
            return ()
        except WireError as error:
            self.counts["receipts_forged"] += 1
            log.warning("receipt.forged", extra={"reason": type(error).__name__})
            return ()
        if receipt.epoch != self.outbox.epoch:
            return ()
        for _, reason in done.refused:
            self.counts["batches_refused"] += 1
            log.error("batch.refused", extra={"reason": reason})
        self.settled.set()
        return (*receipt.accepted, *(sequence for sequence, _ in receipt.refused))


@dataclass(slots=True)
class MqttUplink:
    """Sends over MQTT within a sliding window, with a heartbeat and a last will."""

    broker: BrokerConfig
    city: str
    detector: str
    receipts: Receipts
    put: asyncio.Event
    heartbeat: Callable[[str], Heartbeat]
    window: SendWindow
    failures: int = field(default=0, init=False)

    async def run(self) -> None:
        """Stay connected for ever."""
        while True:
            try:
                async with self._client() as client:
                    await self._session(client)
            except* (aiomqtt.MqttError, OSError) as group:
                self.failures += 1
                log.warning("broker.lost", extra={"reason": _first(group), "attempt": self.failures})
            self.window.on_disconnect()
            stop_if_cancelled()
            await asyncio.sleep(wait_s(self.failures))

    def _client(self) -> aiomqtt.Client:
        parts = self.broker.parts
        is_tls = parts.scheme == "mqtts"
        will = Heartbeat.will(self.detector, self.receipts.outbox.epoch).encode()
        return aiomqtt.Client(
            hostname=parts.hostname or "",
            port=parts.port or (8883 if is_tls else 1883),
            identifier=self.detector,
            clean_session=True,
            keepalive=KEEPALIVE_S,
            timeout=ANSWER_S,
            will=aiomqtt.Will(topics.heartbeat(self.city, self.detector), will, qos=1),
            tls_context=_tls(self.broker.ca_file) if is_tls else None,
        )

    async def _session(self, client: aiomqtt.Client) -> None:
        await client.subscribe(topics.receipts(self.city, self.detector), qos=0)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._receive(client))
            tasks.create_task(self._send(client))
            try:
                while True:
                    await self._beat(client, "online")
                    self.failures = 0
                    stop_if_cancelled()
                    await asyncio.sleep(self.broker.heartbeat_s)
            except asyncio.CancelledError:
                await self._say_goodbye(client)
                raise

    async def _beat(self, client: aiomqtt.Client, state: str) -> None:
        signed = self.receipts.name.sign_heartbeat(self.heartbeat(state))
        await client.publish(topics.heartbeat(self.city, self.detector), signed, qos=1)

    async def _say_goodbye(self, client: aiomqtt.Client) -> None:
        """Tell the city that this is an orderly end; it does not matter if that fails."""
        try:
            async with asyncio.timeout(GOODBYE_S):
                await self._beat(client, "offline")
        except (aiomqtt.MqttError, TimeoutError):
            log.info("goodbye.unsaid")

    async def _send(self, client: aiomqtt.Client) -> None:
        topic = topics.sightings(self.city, self.detector)
        while True:
            if late := self.window.on_timeout(time.monotonic()):
                log.warning("receipt.late", extra={"batches": len(late)})
            for item in self.window.next_batches(self.receipts.outbox):
                self.window.sent(item.sequence, time.monotonic())
                await client.publish(topic, item.payload, qos=1)
                stop_if_cancelled()
            self.put.clear()
            if self.window.next_batches(self.receipts.outbox):
                continue
            try:
                async with asyncio.timeout(self.window.wait_s(time.monotonic())):
                    await self.put.wait()
            except TimeoutError:
                pass

    async def _receive(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            if isinstance(message.payload, bytes):
                self.window.on_receipt(self.receipts.take(message.payload))
                self.put.set()


@dataclass(slots=True)
class HttpsUplink:
    """Sends one batch a request; the receipt is the answer."""

    upload: UploadConfig
    receipts: Receipts
    put: asyncio.Event
    failures: int = field(default=0, init=False)
    _tried: int = field(default=0, init=False)

    async def run(self) -> None:
        """Send for ever."""
        is_local = urlsplit(self.upload.url).scheme == "http"
        async with httpx.AsyncClient(
            verify=_tls(""), timeout=self.upload.timeout_s, trust_env=not is_local, follow_redirects=False
        ) as client:
            while True:
                self.put.clear()
                try:
                    await self._empty(client)
                    self.failures = 0
                    await self.put.wait()
                except (httpx.HTTPError, UploadError, OutboxError) as error:
                    self.failures += 1
                    log.warning("upload.failed", extra={"reason": _reason(error), "attempt": self.failures})
                    await asyncio.sleep(wait_s(self.failures, most_s=MOST_PAUSE_S))

    async def _empty(self, client: httpx.AsyncClient) -> None:
        """Send what waits, in turn: a batch that the city does not take comes again after the others."""
        outbox = self.receipts.outbox
        while pending := outbox.pending(8, after=self._tried) or outbox.pending(8):
            for item in pending:
                self._tried = item.sequence
                await self._send(client, item)
                self.failures = 0

    async def _send(self, client: httpx.AsyncClient, item: Pending) -> None:
        headers = {"Content-Type": COSE, "Accept": COSE}
        async with client.stream("POST", self.upload.url, content=item.payload, headers=headers) as answer:
            if answer.status_code != httpx.codes.OK:
                raise UploadError(f"status-{answer.status_code}")
            receipt = b""
            async for chunk in answer.aiter_bytes():
                receipt += chunk
                if len(receipt) > MAX_RECEIPT_OCTETS:
                    raise UploadError("answer-too-long")
        if item.sequence not in self.receipts.take(receipt):
            raise UploadError("no-receipt")


def open_uplink(
    config: DetectorConfig, receipts: Receipts, *, put: asyncio.Event, heartbeat: Callable[[str], Heartbeat]
) -> Uplink:
    """Return the way to the city that the configuration names."""
    if config.upload.url:
        return HttpsUplink(config.upload, receipts, put)
    jitter = random.uniform(1.0, 1.3)  # noqa: S311 -- spreads load, keeps no secret
    window = SendWindow(timeout_s=ANSWER_S * jitter)
    return MqttUplink(config.broker, config.city, config.detector, receipts, put, heartbeat, window)


@cache
def _tls(ca_file: str) -> ssl.SSLContext:
    """Return the context for a CA file; one for all phones of a process, for each costs a megabyte."""
    return ssl.create_default_context(cafile=ca_file or None)


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, UploadError) else type(error).__name__


def _first(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return type(error).__name__
