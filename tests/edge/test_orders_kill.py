"""kill -9 before any statement that the desk has SQLite run: no order is lost, none has two outcomes."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from edge.journal import Journal
from edge.orders import Desk
from wire.messages import Order
from wire.orders import Export, Freeze, Thaw

NOW_MS = 1_800_000_000_000
FREEZE = {"case": "case-1", "from_ms": 1_000, "to_ms": 9_000, "until_ms": NOW_MS}
EXPORT = {"export": "e-1", "case": "case-1", "from_ms": 1_000, "to_ms": 9_000, "recipient": "age1x"}
ORDERS = [
    Order(1, NOW_MS, "freeze", FREEZE),
    Order(2, NOW_MS, "export", {**EXPORT, "strands": {bytes(16): bytes(32)}}),
    Order(3, NOW_MS, "thaw", {"case": "case-1"}),
]


def carry_out(city: Any, path: Path, *, kill_at: int, offline: bool = False) -> int:
    """Take the orders in a process of its own, killed at the n-th statement; return how many it ran, 0 if killed."""
    pid = os.fork()
    if pid == 0:
        try:
            ran = asyncio.run(_child(city, path, kill_at, [] if offline else ORDERS))
            os._exit(min(ran, 250))
        finally:
            os._exit(255)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return 0
    assert os.WEXITSTATUS(status) < 251
    return os.WEXITSTATUS(status)


async def _child(city: Any, path: Path, kill_at: int, orders: list[Order]) -> int:
    ran = 0

    def count(_: str) -> None:
        nonlocal ran
        ran += 1
        if ran == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def note(command: Any) -> dict[str, Any]:
        (path.parent / type(command).__name__).touch()
        return {}

    journal = Journal.open(path, now_ms=lambda: NOW_MS)
    journal._file._database.set_trace_callback(count)
    handlers: Any = dict.fromkeys((Freeze, Thaw, Export), note)
    desk = Desk(city.bundle, "gw-1", journal, handlers, now_ms=lambda: NOW_MS)
    desk.seal_key = lambda: city.seal_key
    working = asyncio.create_task(desk.run())
    await asyncio.sleep(0)
    for order in orders:
        recipient = city.seal_key.public_key() if order.kind == "export" else None
        desk.take(city.order(order, recipient=recipient))
    while desk.lanes._under_way:  # noqa: ASYNC110 -- killed in the middle of it
        await asyncio.sleep(0)
    working.cancel()
    journal._file._database.set_trace_callback(None)
    journal.close()
    return ran


def outcomes(path: Path) -> list[tuple[str, int]]:
    with Journal.open(path) as journal:
        assert journal.verify() is None
        return [(entry.kind, entry.body["sequence"]) for entry in journal.tail(99)]


@pytest.mark.timeout(120)
def test_a_death_between_any_two_steps_leaves_every_order_with_one_outcome(city: Any, tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    statements = carry_out(city, tmp_path / "whole" / "journal.db", kill_at=0)
    assert 20 < statements < 250
    for kill_at in range(1, statements + 1):
        path = tmp_path / str(kill_at) / "journal.db"
        path.parent.mkdir()
        assert carry_out(city, path, kill_at=kill_at) == 0
        assert carry_out(city, path, kill_at=0) > 0
        said = outcomes(path)
        assert sorted(sequence for kind, sequence in said if kind == "order.done") == [1, 2, 3]
        for sequence in (1, 2, 3):
            assert said.index(("order.received", sequence)) < said.index(("order.done", sequence))
        assert {file.name for file in path.parent.iterdir()} >= {"Freeze", "Export", "Thaw"}


def test_a_freeze_that_a_death_cut_short_needs_no_city_to_be_done(city: Any, tmp_path: Path) -> None:
    kept = 0
    for kill_at in range(1, 60):
        path = tmp_path / str(kill_at) / "journal.db"
        path.parent.mkdir()
        if carry_out(city, path, kill_at=kill_at):
            break
        was_received = ("order.received", 1) in outcomes(path)
        carry_out(city, path, kill_at=0, offline=True)
        assert (("order.done", 1) in outcomes(path)) == was_received
        kept += was_received
    assert kept > 3
