"""Sends the city's orders to its gateways until each has an outcome, and takes their reports.

An order is signed anew for each sending, so that it is fresh when it arrives, and sent again after 5 s, 10 s … 5 min.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Final, Self

import aiomqtt

from server.config import ServerConfig
from server.credentials import Credentials, client_id, host_and_port
from server.gate.dispatch import Dispatcher, UnfitOrderError
from server.gate.order_metrics import OrderMetrics
from server.gate.reports import Reporter
from server.store import gateway_log
from server.store import order as orders
from server.store.connection import Connection, DatabaseError, connect, is_connection_lost
from server.store.order import DueOrder, Outcome
from wire import cbor, topics
from wire.errors import WireError
from wire.keys import load_signing_key
from wire.retry import stop_if_cancelled, wait_s

log = logging.getLogger(__name__)

FIRST_PAUSE_MS: Final = 5_000
MOST_PAUSE_MS: Final = 300_000
LOOK_S: Final = 1.0
"""Wall seconds between looks for what is to be sent again."""
FLAGGED_S: Final = 30.0
"""Wall seconds between counts of entries that do not fit the one before."""
_AT_ONCE: Final = 100
_MAX_WAITING: Final = 10_000
_RECEIPT_KEY: Final = "receipt.pem"


def wall_ms() -> int:
    """Return the machine's wall time, Unix milliseconds."""
    return time.time_ns() // 1_000_000


@dataclass(slots=True)
class OrderDesk:
    """Orders down, reports up, for one city.

    Args:
        config: of the server.
        dispatcher: signs orders.
        reporter: takes reports.
        metrics: counts.
        now_ms: wall time.
    """

    config: ServerConfig
    dispatcher: Dispatcher
    reporter: Reporter
    metrics: OrderMetrics
    now_ms: Callable[[], int] = wall_ms
    _wake: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    @classmethod
    def of(cls, config: ServerConfig, metrics: OrderMetrics) -> Self:
        """Return the desk with the city's keys.

        Raises:
            KeyFileError: a key file is missing or holds another kind of key.
        """
        receipt_key = load_signing_key(config.keys_dir / _RECEIPT_KEY)
        reporter = Reporter(config.city.id, metrics, receipt_key)
        return cls(config, Dispatcher.of(config), reporter, metrics)

    async def run(self) -> None:
        """Work for ever; broker and database may go and come back."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._hear())
            tasks.create_task(self._serve())

    async def _serve(self) -> None:
        failures = 0
        while True:
            started_s = time.monotonic()
            try:
                async with self._connected() as client, asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._take(client))
                    # Not a task: Python 3.11 leaves one marked as cancelled that waits for nothing but its group's end.
                    await self._send(client)
            except* (aiomqtt.MqttError, OSError) as group:
                self._say_lost("broker.lost", group)
            except* DatabaseError as group:
                self.metrics.database_errors.inc()
                self._say_lost("database.lost", group)
            stop_if_cancelled()
            failures = 1 if time.monotonic() - started_s > 10 else failures + 1
            await asyncio.sleep(wait_s(failures, most_s=10.0))

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[aiomqtt.Client]:
        credentials = Credentials.of(self.config, "gate")
        host, port = host_and_port(self.config.mqtt_url())
        client = aiomqtt.Client(
            hostname=host,
            port=port,
            identifier=client_id("gate"),
            tls_context=None if credentials is None else credentials.context(),
            max_queued_incoming_messages=_MAX_WAITING,
            logger=logging.getLogger("server.mqtt"),
        )
        async with client:
            stop_if_cancelled()
            await client.subscribe(topics.city_filter(self.config.city.id, "reports"), qos=0)
            stop_if_cancelled()
            self.metrics.broker.set(1)
            log.info("broker.connected")
            try:
                yield client
            finally:
                self.metrics.broker.set(0)

    async def _send(self, client: aiomqtt.Client) -> None:
        async with await connect(self.config.dsn("gate")) as conn:
            looked_s = -FLAGGED_S
            while True:
                stop_if_cancelled()
                self._wake.clear()
                if time.monotonic() - looked_s > FLAGGED_S:
                    looked_s = time.monotonic()
                    self.metrics.flagged.set(await gateway_log.flagged(conn))
                found = await orders.due(conn, city=self.config.city.id, now_ms=self.now_ms(), limit=_AT_ONCE)
                for order in found:
                    await self._send_one(client, conn, order)
                    stop_if_cancelled()
                if len(found) == _AT_ONCE:
                    continue
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await self._wake.wait()

    async def _send_one(self, client: aiomqtt.Client, conn: Connection, order: DueOrder) -> None:
        now_ms = self.now_ms()
        said = {"detector": order.detector, "sequence": order.sequence, "kind": order.kind}
        try:
            payload = await self.dispatcher.envelope(conn, order, now_ms)
        except (UnfitOrderError, WireError, cbor.CborError, KeyError, TypeError, ValueError) as error:
            # A row that nobody can read must not keep the others waiting.
            reason = error.reason if isinstance(error, UnfitOrderError) else "malformed"
            await orders.settle(conn, order.detector, order.sequence, Outcome("refused", reason), now_ms=now_ms)
            self.metrics.settled.labels("refused").inc()
            log.warning("order.unfit", extra={**said, "reason": reason})
            self._wake.set()
            return
        # First the row: an order that is sent twice does no harm, one that is sent for ever without a pause does.
        await orders.mark_sent(conn, order, now_ms=now_ms, next_ms=now_ms + pause_ms(order.attempts))
        await client.publish(topics.orders(self.config.city.id, order.detector), payload, qos=0)
        self.metrics.sent.inc()
        log.info("order.sent", extra={**said, "attempt": order.attempts + 1})

    async def _take(self, client: aiomqtt.Client) -> None:
        async with await connect(self.config.dsn("gate")) as conn:
            stop_if_cancelled()
            async for message in client.messages:
                receipt = await self._receipt(conn, message)
                if receipt is not None:
                    await client.publish(*receipt, qos=0)
                    self._wake.set()
                stop_if_cancelled()

    async def _receipt(self, conn: Connection, message: aiomqtt.Message) -> tuple[str, bytes] | None:
        try:
            return await self.reporter.take(conn, str(message.topic), message.payload, self.now_ms())
        except DatabaseError as error:
            if is_connection_lost(error):
                raise
            # One report that the database does not take must not end the connection of all.
            self.metrics.database_errors.inc()
            log.exception("report.unkept")
            return None

    async def _hear(self) -> None:
        """Wake the sender for every new order; deaf while the database is away, when it looks by itself."""
        while True:
            try:
                async with (
                    await connect(self.config.dsn("gate")) as conn,
                    contextlib.aclosing(orders.changes(conn)) as changes,
                ):
                    async for _ in changes:
                        stop_if_cancelled()
                        self._wake.set()
            except (DatabaseError, OSError) as error:
                log.warning("listen.broke", extra={"reason": type(error).__name__})
            stop_if_cancelled()
            await asyncio.sleep(random.uniform(0.5, 2.0))  # noqa: S311 - spreads reconnections, protects nothing

    def _say_lost(self, event: str, error: BaseException) -> None:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        log.warning(event, extra={"reason": type(error).__name__})


def pause_ms(attempts: int) -> int:
    """Return how long to wait after so many sendings: 5 s, 10 s … 5 min."""
    return min(MOST_PAUSE_MS, FIRST_PAUSE_MS << min(attempts, 16))


async def run(settings: ServerConfig, metrics: OrderMetrics | None = None) -> None:
    """Send orders and take reports until cancelled.

    Args:
        settings: of the server.
        metrics: None counts for nobody.

    Raises:
        KeyFileError: a key file is missing or holds another kind of key.
    """
    await OrderDesk.of(settings, metrics or OrderMetrics()).run()
