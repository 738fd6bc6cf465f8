"""The ledger process: numbers what was committed, signs it, asks the witnesses, publishes.

It signs nothing before enough witnesses have said that they know no newer log than this one: a restored copy of the
database must not grow a second history. While it waits or refuses, entries are still written and nothing is lost.
"""

from __future__ import annotations

import asyncio
import logging
import random
from pathlib import Path
from typing import Final

import httpx

from privacy.transparency.errors import PolicyError, TransparencyError
from privacy.transparency.policy import Policy
from server import notekey
from server.config import ServerConfig
from server.errors import ConfigError
from server.exposition import exposed
from server.ledger.desk import Desk
from server.ledger.errors import UnvouchedLogError
from server.ledger.metrics import LedgerMetrics
from server.publiclog.errors import LogError
from server.publiclog.folder import Folder
from server.store import ledger as store
from server.store.connection import Connection, DatabaseError, connect, is_connection_lost

log = logging.getLogger(__name__)

KEY: Final = "log.pem"
_REFUSED_S: Final = 30.0
_UNVOUCHED_S: Final = 2.0
_SPARE_S: Final = 1.0
_GATHER_S: Final = 0.05
"""After the first new entry so long is waited for more: one signature for all of them."""


async def run(config: ServerConfig) -> None:
    """Keep the log until cancelled.

    Raises:
        ConfigError: the policy of the witnesses cannot be read.
        KeysError: no key of the log; run `mimamori init`.
        ServerError: the port of the metrics is taken.
    """
    metrics = LedgerMetrics()
    signer = notekey.load(config.keys_dir / KEY, config.log_origin)
    policy = policy_of(config)
    folder = Folder(config.log_dir)
    with exposed(metrics.registry, config.ledger.metrics_port):
        async with httpx.AsyncClient() as client:
            while True:
                desk = Desk(config, signer, policy, folder, client, metrics)
                await asyncio.sleep(await _pause_after(desk, config, metrics))


async def _pause_after(desk: Desk, config: ServerConfig, metrics: LedgerMetrics) -> float:
    """Keep the log until something is in the way; return how many seconds later it makes sense to begin anew."""
    try:
        await _keep(desk, config, metrics)
    except UnvouchedLogError:
        log.warning("ledger.unvouched")
        return _UNVOUCHED_S
    except (LogError, TransparencyError) as error:
        log.exception("ledger.refuses", extra={"reason": type(error).__name__})
        return _REFUSED_S
    except DatabaseError as error:
        metrics.errors.inc()
        log.warning("database.lost", extra={"error": type(error).__name__})
        if not is_connection_lost(error):
            return _REFUSED_S
    finally:
        metrics.signs.set(0)
    return random.uniform(0.2, 1.0)  # noqa: S311 - spreads reconnections, protects nothing


async def _keep(desk: Desk, config: ServerConfig, metrics: LedgerMetrics) -> None:
    conn = await connect(config.dsn("ledger"))
    try:
        while not await store.become_only(conn):  # noqa: ASYNC110 - another process, not a task, gives way
            await asyncio.sleep(_SPARE_S)
        await store.listen(conn)
        if missed := await store.requeue(conn):
            log.warning("entries.requeued", extra={"count": missed})
        await desk.begin(conn)
        metrics.signs.set(1)
        log.info("ledger.serving", extra={"total": desk.size})
        while True:
            await _sequence(desk, conn, metrics)
            await desk.publish(conn)
            await store.heard(conn, desk.next_look_s())
            await asyncio.sleep(_GATHER_S)
    finally:
        await conn.close()


async def _sequence(desk: Desk, conn: Connection, metrics: LedgerMetrics) -> None:
    while count := await desk.step(conn):
        metrics.sequenced.inc(count)
        metrics.size.set(desk.size)


def policy_of(config: ServerConfig) -> Policy | None:
    """Return who the witnesses are; None: the city asks nobody.

    Raises:
        ConfigError: the file cannot be read, or a witness has no URL.
    """
    if not config.ledger.policy_file:
        return None
    try:
        policy = Policy.parse(Path(config.ledger.policy_file).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, PolicyError) as error:
        raise ConfigError(f"ledger.policy_file: {error}") from error
    if silent := [witness.name for witness in policy.witnesses if not witness.url]:
        raise ConfigError(f"ledger.policy_file: no URL of witness {silent[0]}")
    return policy
