"""Takes batches that phones post over HTTPS to the broker, and the signed receipts back: one MQTT client a process."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import aiomqtt
from cryptography.hazmat.primitives.asymmetric import ec

from server.api.metrics import Metrics
from server.credentials import Credentials, client_id, host_and_port
from server.errors import ServerError
from wire import seal, topics
from wire.errors import WireError
from wire.messages import Receipt
from wire.seal import Header

log = logging.getLogger(__name__)

RECEIPT_TIMEOUT_S: Final = 10.0
MAX_OUTSTANDING: Final = 256
_RETRY_S: Final = 1.0
_PUBLISH_TIMEOUT_S: Final = 5.0

_Waiting = asyncio.Future[bytes]
_Stream = tuple[str, int]
"""A detector and the epoch of its outbox."""


class BrokerDownError(ServerError):
    """The broker cannot be reached. May be tried again."""


class CrowdedError(ServerError):
    """Too many batches wait for their receipts. May be tried again."""


class NoReceiptError(ServerError):
    """The batch was published, but no receipt came in time. May be tried again: it is stored once at most."""


class Bridge:
    """Publishes batches and waits for the receipts that ingest signs after its commit."""

    def __init__(
        self,
        mqtt_url: str,
        city: str,
        *,
        receipt_key: ec.EllipticCurvePublicKey,
        metrics: Metrics,
        credentials: Credentials | None = None,
    ) -> None:
        """Keep a bridge to `mqtt_url`; `credentials` are what the API shows at an `mqtts://` door."""
        self._host, self._port = host_and_port(mqtt_url)
        self._credentials = credentials
        self._city = city
        self._receipt_key = receipt_key
        self._metrics = metrics
        self._client: aiomqtt.Client | None = None
        self._was_up = False
        self._waiting: dict[_Stream, dict[int, set[_Waiting]]] = {}
        self._outstanding = 0

    @property
    def is_up(self) -> bool:
        """Whether the broker is connected."""
        return self._client is not None

    async def run(self) -> None:
        """Stay connected until cancelled."""
        lost = False
        while True:
            try:
                await self._attend()
            except Exception as error:
                if self._was_up or not lost:  # once an outage, not once a second
                    log.exception("broker.lost", extra={"error": type(error).__name__})
                lost, self._was_up = True, False
            await asyncio.sleep(_RETRY_S * (1 + random.random()))  # noqa: S311 - spreads reconnects, hides nothing

    async def deliver(self, header: Header, data: bytes, *, timeout_s: float = RECEIPT_TIMEOUT_S) -> bytes:
        """Return the receipt that settles the batch `data`, as signed bytes.

        Raises:
            BrokerDownError: nothing was published, or the connection was lost on the way.
            CrowdedError: `MAX_OUTSTANDING` batches wait already.
            NoReceiptError: nothing came within `timeout_s`.
        """
        client = self._client
        if client is None:
            raise BrokerDownError
        if self._outstanding >= MAX_OUTSTANDING:
            raise CrowdedError
        with self._waiter(header) as receipt:
            try:
                async with asyncio.timeout(timeout_s):
                    topic = topics.sightings(header.city, header.detector)
                    await client.publish(topic, data, qos=1, timeout=_PUBLISH_TIMEOUT_S)
                    return await receipt
            except TimeoutError:
                raise NoReceiptError from None
            except aiomqtt.MqttError:
                raise BrokerDownError from None

    @contextmanager
    def _waiter(self, header: Header) -> Iterator[_Waiting]:
        stream = (header.detector, header.epoch)
        receipt: _Waiting = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(stream, {}).setdefault(header.sequence, set()).add(receipt)
        self._outstanding += 1
        try:
            yield receipt
        finally:
            self._outstanding -= 1
            by_sequence = self._waiting[stream]
            by_sequence[header.sequence].discard(receipt)
            if not by_sequence[header.sequence]:
                del by_sequence[header.sequence]
            if not by_sequence:
                del self._waiting[stream]
            if receipt.done() and not receipt.cancelled():
                receipt.exception()  # was seen, or nobody is there to see it

    async def _attend(self) -> None:
        context = self._credentials.context() if self._credentials else None
        client = aiomqtt.Client(self._host, self._port, identifier=client_id("api"), timeout=5, tls_context=context)
        async with client:
            await client.subscribe(topics.city_filter(self._city, "receipts"), qos=0)
            self._client, self._was_up = client, True
            self._metrics.broker.set(1)
            log.info("broker.connected")
            try:
                async for message in client.messages:
                    if isinstance(message.payload, bytes):
                        self._settle(str(message.topic), message.payload)
            finally:
                self._client = None
                self._metrics.broker.set(0)
                self._give_up()

    def _settle(self, topic: str, payload: bytes) -> None:
        """Hand a receipt to those who wait for one of its batches. Anything else on the topic is counted and left."""
        try:
            detector = topics.parse(topic).detector
            if not any(waiting == detector for waiting, _ in self._waiting):
                return
            header, contents = seal.verify(payload, verifier=self._receipt_key)
            receipt = Receipt.decode(contents)
        except WireError as error:
            self._metrics.batches.labels("bad-receipt").inc()
            log.warning("receipt.refused", extra={"error": type(error).__name__})
            return
        if header.content != "receipt" or header.detector != detector or header.city != self._city:
            self._metrics.batches.labels("bad-receipt").inc()
            return
        by_sequence = self._waiting.get((detector, receipt.epoch), {})
        for sequence in (*receipt.accepted, *(refused for refused, _ in receipt.refused)):
            for waiting in by_sequence.get(sequence, ()):
                if not waiting.done():
                    waiting.set_result(payload)

    def _give_up(self) -> None:
        for by_sequence in self._waiting.values():
            for waiting in (one for some in by_sequence.values() for one in some):
                if not waiting.done():
                    waiting.set_exception(BrokerDownError())
