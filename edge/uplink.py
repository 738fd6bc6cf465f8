"""The way to the city over MQTT: batches and reports up, receipts and orders down, a heartbeat in between.

A PUBACK means nothing here: a batch is done when a receipt signed by the city names it. Until then it is sent again.
"""

import asyncio
import logging
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiomqtt

from edge.config import BrokerConfig
from edge.errors import JournalBrokenError, JournalError
from edge.health import Health
from edge.keep import Sealer
from edge.orders import Desk
from edge.reports import Reports
from wire import seal, topics
from wire.errors import MessageError, OutboxError, SealError
from wire.messages import Heartbeat, Receipt
from wire.outbox import Outbox
from wire.retry import stop_if_cancelled, wait_s
from wire.window import SendWindow

log = logging.getLogger(__name__)

KEEPALIVE_S = 30
ANSWER_S = 10.0
"""Wall seconds that the broker may take to answer a call."""
MAX_QUEUED_RECEIPTS = 1_000
HANGS_S = 90.0
"""Wall seconds beyond the heartbeat's pause after which neither a heartbeat nor a new try means that it hangs."""


class _RenewedError(Exception):
    """There is a new certificate: the connection is to be made with it."""


@dataclass(slots=True)
class Uplink:
    """Empties one outbox.

    Args:
        put: set by the keeper after each put.
        window: which batches to send when.
        desk: takes the city's orders.
        reports: sends the gateway's own log.
    """

    broker: BrokerConfig
    sealer: Sealer
    outbox: Outbox
    health: Health
    put: asyncio.Event
    window: SendWindow
    desk: Desk
    reports: Reports
    _settled: asyncio.Event = field(default_factory=asyncio.Event, init=False, repr=False)
    _renewed: asyncio.Event = field(default_factory=asyncio.Event, init=False, repr=False)
    _beats: int = field(default=0, init=False)
    _got_on: Callable[[], None] = field(default=lambda: None, init=False, repr=False)

    def reconnect(self) -> None:
        """Say goodbye and connect anew, with the certificate that is there now."""
        self._renewed.set()

    async def run(self) -> None:
        """Stay connected for ever."""
        self._got_on = self.health.pulses.add("uplink", self.broker.heartbeat_s + HANGS_S)
        failures = 0
        while True:
            self._got_on()
            connected_s = time.monotonic()
            try:
                async with self._client() as client:
                    log.info("broker.connected", extra={"detector": self.sealer.detector, "attempt": failures})
                    with self._connected():
                        await self._session(client)
            except* _RenewedError:
                failures = 0
                log.info("broker.left", extra={"detector": self.sealer.detector, "reason": "renewed"})
            except* (aiomqtt.MqttError, OSError) as group:
                failures = 1 if time.monotonic() - connected_s > ANSWER_S else failures + 1
                self.health.counts["broker_failures"] += 1
                log.warning(
                    "broker.lost",
                    extra={
                        "detector": self.sealer.detector,
                        "reason": _first(group),
                        "attempt": failures,
                    },
                )
            stop_if_cancelled()
            await asyncio.sleep(wait_s(failures))

    @contextmanager
    def _connected(self) -> Iterator[None]:
        self.health.is_connected = True
        try:
            yield
        finally:
            self.health.is_connected = False
            self.window.on_disconnect()

    def _client(self) -> aiomqtt.Client:
        self._renewed.clear()  # before the files are read: what is renewed from now on is a reason to leave again
        detector = self.sealer.detector
        return aiomqtt.Client(
            hostname=self.broker.parts.hostname or "",
            port=self.broker.port,
            identifier=detector,
            username=self.broker.username or None,
            password=password(self.broker.password_file),
            clean_session=True,
            keepalive=KEEPALIVE_S,
            timeout=ANSWER_S,
            max_queued_incoming_messages=MAX_QUEUED_RECEIPTS,
            will=aiomqtt.Will(self._topic("heartbeat"), Heartbeat.will(detector, self.outbox.epoch).encode(), qos=1),
            tls_context=tls_context(self.broker) if self.broker.is_tls else None,
            logger=logging.getLogger("edge.mqtt"),
        )

    def _topic(self, leaf: str) -> str:
        city, detector = self.sealer.city.city, self.sealer.detector
        return _TOPICS[leaf](city, detector)

    async def _session(self, client: aiomqtt.Client) -> None:
        await client.subscribe([(self._topic("receipts"), 0), (self._topic("orders"), 0)])
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._receive(client))
            tasks.create_task(self._send(client))
            tasks.create_task(self._report(client))
            tasks.create_task(self._leave_when_renewed())
            try:
                await self._beat(client)
            except asyncio.CancelledError:
                await self._say_goodbye(client)
                raise

    async def _leave_when_renewed(self) -> None:
        await self._renewed.wait()
        raise _RenewedError

    async def _beat(self, client: aiomqtt.Client) -> None:
        while True:
            await self._publish_heartbeat(client, "online")
            self._got_on()
            stop_if_cancelled()
            await asyncio.sleep(self.broker.heartbeat_s)

    async def _say_goodbye(self, client: aiomqtt.Client) -> None:
        """Tell the city that this is an orderly end, not a loss; it does not matter if that fails."""
        try:
            async with asyncio.timeout(1.0):
                await self._publish_heartbeat(client, "offline")
        except (aiomqtt.MqttError, TimeoutError):
            log.info("goodbye.unsaid", extra={"detector": self.sealer.detector})

    async def _publish_heartbeat(self, client: aiomqtt.Client, state: str) -> None:
        self._beats += 1
        payload = self.health.heartbeat(state).encode()
        signed = self.sealer.sign_heartbeat(payload, self.outbox.epoch, self._beats)
        await client.publish(self._topic("heartbeat"), signed, qos=1)

    async def _send(self, client: aiomqtt.Client) -> None:
        topic = self._topic("sightings")
        while True:
            now_s = time.monotonic()
            if late := self.window.on_timeout(now_s):
                self.health.counts["receipt_timeouts"] += len(late)
                log.warning(
                    "receipt.late",
                    extra={"detector": self.sealer.detector, "batches": len(late), "sequence": late[0]},
                )
            for item in self.window.next_batches(self.outbox):
                self.window.sent(item.sequence, time.monotonic())
                await client.publish(topic, item.payload, qos=1)
                stop_if_cancelled()
                self.health.counts["batches_sent"] += 1
            self.put.clear()
            if self.window.next_batches(self.outbox):
                continue
            try:
                async with asyncio.timeout(self.window.wait_s(time.monotonic())):
                    await self.put.wait()
            except TimeoutError:
                pass

    async def _report(self, client: aiomqtt.Client) -> None:
        topic = self._topic("reports")

        async def publish(payload: bytes) -> None:
            await client.publish(topic, payload, qos=1)
            self.health.counts["reports_sent"] += 1

        await self.reports.run(publish)

    async def _receive(self, client: aiomqtt.Client) -> None:
        orders = self._topic("orders")
        async for message in client.messages:
            take = self.desk.take if str(message.topic) == orders else self.take_receipt
            if isinstance(message.payload, bytes):
                take(message.payload)

    def take_receipt(self, data: bytes) -> None:
        """Delete what a receipt of the city settles, batches or reports; count and drop anything else."""
        try:
            receipt = self._opened(data)
        except SealError:
            self.health.counts["receipts_forged"] += 1
            log.warning("receipt.forged", extra={"detector": self.sealer.detector})
        except MessageError:
            self.health.counts["receipts_malformed"] += 1
            log.warning("receipt.malformed", extra={"detector": self.sealer.detector})
        else:
            if receipt.epoch == self.outbox.epoch:
                self._settle(receipt)
            elif receipt.epoch == self.reports.journal.epoch:
                self._settle_reports(receipt)
            else:
                self.health.counts["receipts_foreign"] += 1

    def _opened(self, data: bytes) -> Receipt:
        header, payload = seal.verify(data, verifier=self.sealer.city.receipt_key)
        addressee = (self.sealer.city.city, self.sealer.detector, "receipt")
        if (header.city, header.detector, header.content) != addressee:
            raise SealError("a receipt for somebody else")
        return Receipt.decode(payload)

    def _settle(self, receipt: Receipt) -> None:
        try:
            settled = self.outbox.settle(receipt)
        except OutboxError as error:
            self.health.counts["settle_failures"] += 1
            reason = type(error).__name__
            log.error("outbox.failed", extra={"detector": self.sealer.detector, "reason": reason})  # noqa: TRY400 -- as said
            return
        for sequence, reason in settled.refused:
            self.health.counts["batches_refused"] += 1
            log.error("batch.refused", extra={"detector": self.sealer.detector, "sequence": sequence, "reason": reason})
        self.window.on_receipt((*receipt.accepted, *(sequence for sequence, _ in receipt.refused)))
        self._settled.set()
        self.put.set()

    def _settle_reports(self, receipt: Receipt) -> None:
        try:
            self.health.counts["reports_refused"] += self.reports.take(receipt)
        except JournalBrokenError:
            raise
        except JournalError as error:
            self.health.counts["settle_failures"] += 1
            reason = type(error).__name__
            log.error("journal.failed", extra={"detector": self.sealer.detector, "reason": reason})  # noqa: TRY400 -- as said

    async def drained(self, limit_s: float) -> bool:
        """Wait until every batch is receipted, `limit_s` wall seconds at most; return whether it is so."""
        try:
            async with asyncio.timeout(limit_s):
                while self.outbox.totals().pending_batches:
                    self._settled.clear()
                    await self._settled.wait()
        except TimeoutError:
            return False
        return True


_TOPICS: Final = {
    "heartbeat": topics.heartbeat,
    "sightings": topics.sightings,
    "receipts": topics.receipts,
    "orders": topics.orders,
    "reports": topics.reports,
}


def _first(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return type(error).__name__


def password(path: str) -> str | None:
    """Return the first line of a password file, None where there is none.

    Raises:
        OSError: it cannot be read.
    """
    return Path(path).read_text(encoding="utf-8").partition("\n")[0].rstrip("\r") if path else None


def tls_context(broker: BrokerConfig) -> ssl.SSLContext:
    """Return what the broker is believed by, and what this gateway proves itself with.

    Raises:
        OSError: a file cannot be read, or does not hold what it should.
    """
    context = ssl.create_default_context(cafile=broker.ca_file or None)
    if broker.certificate_file:
        context.load_cert_chain(broker.certificate_file, broker.certificate_key_file or None)
    return context
