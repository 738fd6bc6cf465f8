"""The gate process: who may come in at the broker and who may stay, the city's orders out, the gateways' reports in.

Start it after the broker and before everybody else: without it nobody new comes in; who is in stays.
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError

from server import nkey
from server.config import ServerConfig
from server.enrolment import vault
from server.exposition import exposed
from server.gate import orders
from server.gate.callout import Callout
from server.gate.desk import Desk
from server.gate.kick import Doorkeeper
from server.gate.metrics import GateMetrics
from server.gate.order_metrics import OrderMetrics
from server.gate.trespass import LogFollower
from server.store.pool import make_pool

log = logging.getLogger(__name__)

_RETRY_S: Final = 0.25
_CONNECTIONS: Final = 4


async def run(config: ServerConfig) -> None:
    """Keep the door until cancelled.

    Raises:
        KeysError: a key file is missing.
        KeyFileError: one of the city's keys is, or is of another kind.
        ServerError: the port of the metrics is taken.
    """
    metrics = GateMetrics()
    async with contextlib.AsyncExitStack() as stack:
        door = await _door(config, metrics, stack) if config.has_door else None
        tasks = await stack.enter_async_context(asyncio.TaskGroup())  # ends before what it works with is closed
        if door is not None:
            tasks.create_task(door.callout.serve(await door.callout.attend(door.client)))
            tasks.create_task(door.keeper.run())
        else:
            log.warning("door.unkept")  # Mosquitto has its own list of who may do what; without TLS there is none
        tasks.create_task(orders.run(config, OrderMetrics(metrics.registry)))
        # Only now does it answer, and whoever asks the port learns so.
        stack.enter_context(exposed(metrics.registry, config.gate.metrics_port))
        log.info("gate.serving")
        await asyncio.Event().wait()


@dataclass(frozen=True, slots=True)
class _Door:
    """Those who keep it, and the connection over which they do."""

    client: Client
    callout: Callout
    keeper: Doorkeeper


async def _door(config: ServerConfig, metrics: GateMetrics, stack: contextlib.AsyncExitStack) -> _Door:
    """Return the door once the gate is signed in; what it is made of is closed with `stack`."""
    pair = nkey.load(config.keys_dir / nkey.CALLOUT)
    root = vault.certificate(config.keys_dir / "ca.pem")
    dsn = config.dsn("gate")
    pool = await stack.enter_async_context(make_pool(dsn, max_size=_CONNECTIONS, timeout_s=1.5))
    client = await stack.enter_async_context(_signed_in(config, metrics))
    follower = stack.enter_context(contextlib.closing(LogFollower(config.broker_log)))
    callout = Callout(config.city.id, root, pair, program_keys(config.keys_dir), pool, metrics)
    return _Door(client, callout, Doorkeeper(Desk(client), pool, dsn, follower, metrics))


def program_keys(keys_dir: Path) -> Callable[[str], object]:
    """Return what gives the public key of one of our programs by its name; the name has been checked."""

    def key(program: str) -> object:
        return vault.certificate(keys_dir / f"service-{program}.pem").public_key()

    return key


@contextlib.asynccontextmanager
async def _signed_in(config: ServerConfig, metrics: GateMetrics) -> AsyncIterator[Client]:
    """Sign in to the broker's system account with the gate's nkey, and again whenever the connection is lost."""

    async def lost() -> None:
        metrics.broker.set(0)
        log.warning("broker.lost")

    async def back() -> None:
        metrics.broker.set(1)
        log.info("broker.connected")

    async def wrong(error: Exception) -> None:
        log.warning("broker.error", extra={"error": type(error).__name__})

    options: dict[str, Any] = {
        "nkeys_seed": str(config.keys_dir / nkey.GATE),
        "name": "gate",
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": _RETRY_S,
        "ping_interval": 10,
        "disconnected_cb": lost,
        "reconnected_cb": back,
        "error_cb": wrong,
    }
    url = config.nats_url()
    if url.startswith("tls:"):
        options["tls"] = ssl.create_default_context(cafile=config.keys_dir / "ca.pem")
    nkey.load(config.keys_dir / nkey.GATE)  # says what is wrong with it, as the library does not
    client = await nats.connect(url, **options)
    await back()
    try:
        yield client
    finally:
        with contextlib.suppress(NatsError, OSError, asyncio.TimeoutError):
            await client.close()
