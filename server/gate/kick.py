"""Puts out who may not be in any more: certificates taken back, and whoever tried a topic that is not its own.

Taken back: told by the database in the same moment, and looked for every 20 s besides. Trespass: read in the broker's
log twice a second. Who is put out may knock again; the call-out then decides anew.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from server.gate.callout import ACCOUNT
from server.gate.desk import Connection, Desk
from server.gate.errors import BrokerSilentError
from server.gate.metrics import GateMetrics
from server.gate.trespass import LogFollower, Trespass
from server.store import admission
from server.store import connection as store
from server.store.admission import Standing
from server.store.connection import DatabaseError
from server.store.pool import Pool
from wire.retry import stop_if_cancelled

log = logging.getLogger(__name__)

SWEEP_EVERY_S: Final = 20.0
LOOK_EVERY_S: Final = 0.5
_AT_ONCE: Final = 2_000
"""Serials asked about in one query."""


@dataclass(slots=True)
class Doorkeeper:
    """Watches those who are in.

    Args:
        desk: of the broker.
        pool: of connections to the database.
        dsn: of a connection that listens.
        follower: of the broker's log.
        metrics: counters.
        sweep_every_s: wall seconds between two looks at everybody.
    """

    desk: Desk
    pool: Pool
    dsn: str
    follower: LogFollower
    metrics: GateMetrics
    sweep_every_s: float = SWEEP_EVERY_S
    _changed: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _is_log_there: bool = field(default=True, init=False)

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._hear())
            tasks.create_task(self._sweep_again_and_again())
            tasks.create_task(self._follow())

    async def sweep(self) -> int:
        """Put out everybody whose certificate is not good any more; return how many those were.

        Raises:
            BrokerSilentError: the broker does not answer.
            DatabaseError: the database is away.
        """
        with self.metrics.sweep_s.time():
            everybody = [connection async for connection in self.desk.connections(ACCOUNT)]
            found: dict[str, Standing] = {}
            serials = sorted({connection.serial for connection in everybody})
            async with self.pool.connection() as conn:
                for start in range(0, len(serials), _AT_ONCE):
                    found |= await admission.standings(conn, serials[start : start + _AT_ONCE])
        self.metrics.connections.set(len(everybody))
        over = [each for each in everybody if not _is_good(each, found.get(each.serial))]
        return sum([await self._put_out(each, "taken-back") for each in over])

    async def punish(self, found: Sequence[Trespass]) -> int:
        """Put out the connections that trespassed and are still the same; return how many those were.

        Raises:
            BrokerSilentError: the broker does not answer.
        """
        if not found:
            return 0
        kinds = {(each.cid, each.address): each.kind for each in found}
        count = 0
        for (cid, address), kind in kinds.items():
            for each in await self.desk.connection(ACCOUNT, cid):
                if each.address == address:
                    count += await self._put_out(each, f"foreign-{kind}")
        return count

    async def _put_out(self, connection: Connection, reason: str) -> bool:
        is_done = await self.desk.kick(connection)
        if is_done:
            self.metrics.cut_off.labels(reason).inc()
            log.warning("client.cut_off", extra={"reason": reason, "detector": connection.holder})
        return is_done

    async def _hear(self) -> None:
        """Look at once when the database tells of a change; deaf while it is away, when the clock does it."""
        while True:
            try:
                conn = await store.connect(self.dsn)
                async with contextlib.aclosing(admission.changes(conn)) as changes:
                    try:
                        async for _ in changes:
                            stop_if_cancelled()
                            self._changed.set()
                    finally:
                        await conn.close()
            except (DatabaseError, OSError) as error:
                self.metrics.database_errors.inc()
                log.warning("listen.broke", extra={"error": type(error).__name__})
            stop_if_cancelled()
            await asyncio.sleep(random.uniform(0.5, 2.0))  # noqa: S311 - spreads reconnections, protects nothing

    async def _sweep_again_and_again(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.sweep_every_s):
                    await self._changed.wait()
            stop_if_cancelled()
            self._changed.clear()
            try:
                await self.sweep()
            except (BrokerSilentError, DatabaseError, OSError, TimeoutError) as error:
                log.warning("sweep.failed", extra={"error": type(error).__name__})
                stop_if_cancelled()
                await asyncio.sleep(1.0)

    async def _follow(self) -> None:
        pending: list[Trespass] = []
        while True:
            pending += await asyncio.to_thread(self._read)
            try:
                await self.punish(pending)
                pending = []
            except BrokerSilentError:
                pending = pending[-_AT_ONCE:]
            stop_if_cancelled()
            await asyncio.sleep(LOOK_EVERY_S)

    def _read(self) -> list[Trespass]:
        try:
            found = self.follower.read()
        except OSError as error:
            if self._is_log_there:
                log.error("broker_log.unreadable", extra={"error": type(error).__name__})  # noqa: TRY400 -- as said
            self._is_log_there = False
            self.metrics.log_missing.set(1)
            return []
        self._is_log_there = True
        self.metrics.log_missing.set(0)
        return found


def _is_good(connection: Connection, found: Standing | None) -> bool:
    if found is None:
        return connection.kind == "service"  # let in by its key, see callout
    return found.is_good
