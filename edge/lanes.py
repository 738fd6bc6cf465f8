"""Carries orders out, in three lanes: what is long in one of them keeps none waiting in another."""

import asyncio
import inspect
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from edge.docket import Docket
from edge.errors import EdgeError, JournalBrokenError, JournalError, OrderRefusedError
from wire import cbor
from wire.errors import WireError
from wire.messages import MAX_REASON, Order
from wire.orders import Command, Export, Restart, RotateKeys
from wire.retry import stop_if_cancelled, wait_s

log = logging.getLogger(__name__)

Handler: TypeAlias = Callable[[Any], Mapping[str, Any] | Awaitable[Mapping[str, Any]]]
"""Carries out one command and returns what the city is told of it: plain values, never a key. May come twice.

Raises OrderRefusedError for what is refused for a known reason, an EdgeError, WireError or OSError for what failed.
"""
Handlers: TypeAlias = Mapping[type[Command], Handler]

MAX_RESULT_OCTETS: Final = 150_000
_LANES: Final = ("camera", "export", "device")


@dataclass(slots=True)
class Lanes:
    """Orders on their way: in order within a lane.

    Args:
        docket: told the outcome of each.
        handlers: by the type of command.
        counts: of outcomes.
    """

    docket: Docket
    handlers: Handlers
    counts: Counter[str]
    _queues: dict[str, asyncio.Queue[tuple[Order, Command]]] = field(init=False)
    _under_way: set[int] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        """Make the queues."""
        self._queues = {lane: asyncio.Queue() for lane in _LANES}

    def put(self, order: Order, command: Command) -> None:
        """Queue an order."""
        self._under_way.add(order.sequence)
        self._queues[_lane_of(command)].put_nowait((order, command))

    def has(self, sequence: int) -> bool:
        """Return whether an order is queued or being carried out."""
        return sequence in self._under_way

    async def run(self) -> None:
        """Carry out orders for ever."""
        async with asyncio.TaskGroup() as tasks:
            for queue in self._queues.values():
                tasks.create_task(self._drive(queue))

    async def _drive(self, queue: asyncio.Queue[tuple[Order, Command]]) -> None:
        while True:
            order, command = await queue.get()
            outcome, body = await self._outcome(order, command)
            await self._conclude(order, outcome, body)
            self._under_way.discard(order.sequence)

    async def _outcome(self, order: Order, command: Command) -> tuple[str, Mapping[str, Any]]:
        """Return what became of an order: the kind of the entry, and what it says."""
        try:
            done = self.handlers[type(command)](command)
            result = await done if inspect.isawaitable(done) else done
            _check_result(command, result)
        except OrderRefusedError as error:
            return "order.refused", {"reason": error.reason[:MAX_REASON]}
        except JournalBrokenError:
            raise
        except (EdgeError, WireError, OSError) as error:
            log.warning("order.failed", extra={"kind": order.kind, "sequence": order.sequence, "error": _kind(error)})
            return "order.failed", {"reason": _reason(error)}
        except Exception as error:  # one handler's fault takes no other order down
            log.exception("order.crashed", extra={"kind": order.kind, "sequence": order.sequence})
            return "order.failed", {"reason": _kind(error)}
        return "order.done", result

    async def _conclude(self, order: Order, outcome: str, body: Mapping[str, Any]) -> None:
        failures = 0
        while True:
            try:
                self.docket.conclude(order, outcome, body)
            except JournalBrokenError:
                raise
            except JournalError:
                failures += 1
                self.counts["order_journal_failures"] += 1
                await asyncio.sleep(wait_s(failures))
                stop_if_cancelled()
            else:
                self.counts[f"orders_{outcome.removeprefix('order.')}"] += 1
                log.info("order.concluded", extra={"kind": order.kind, "sequence": order.sequence, "outcome": outcome})
                return


def _lane_of(command: Command) -> str:
    match command:
        case Export():
            return "export"
        case RotateKeys() | Restart():
            return "device"
        case _:
            return "camera"


def _check_result(command: Command, result: Mapping[str, Any]) -> None:
    encoded = cbor.dumps(dict(result))
    if len(encoded) > MAX_RESULT_OCTETS:
        raise EdgeError("the result is too large for the log")
    if isinstance(command, Export) and any(key in encoded for key in command.strands.values()):
        raise EdgeError("the result holds a key")


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) else str(error)
    return f"{_kind(error)}: {text}"[:MAX_REASON] if text else _kind(error)


def _kind(error: Exception) -> str:
    return type(error).__name__
