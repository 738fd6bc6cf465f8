"""The protocol with the service manager, over a real datagram socket."""

import asyncio
import contextlib
import os
import secrets
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.notify import Liveness, Notifier, watch
from edge.pulse import Pulses

WELL = Liveness(is_ready=True, status="動作 1/1。running 1")


class Manager:
    """systemd's end of the socket."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.setblocking(False)
        self.address = address

    def heard(self) -> list[dict[str, str]]:
        messages = []
        with contextlib.suppress(BlockingIOError):
            while True:
                lines = self.socket.recv(4096).decode().splitlines()
                messages.append(dict(line.split("=", 1) for line in lines))
        return messages

    def pings(self) -> int:
        return sum("WATCHDOG" in said for said in self.heard())


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, open_dir: Path) -> Iterator[Manager]:
    name = f"notify-{secrets.token_hex(4)}"
    made = Manager(f"@{name}" if request.param == "abstract" else str(open_dir / name))
    yield made
    made.socket.close()


@contextlib.asynccontextmanager
async def watching(manager: Manager, look: Any, interval_s: float = 0.02) -> Any:
    task = asyncio.create_task(watch(Notifier(manager.address, interval_s), look))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_ready_is_said_once_alive_again_and_again_and_stopping_in_the_end(manager: Manager) -> None:
    async with watching(manager, lambda: WELL):
        await asyncio.sleep(0.2)
    heard = manager.heard()
    assert [said.get("READY") for said in heard] == ["1", *[None] * (len(heard) - 1)]
    assert sum(said.get("WATCHDOG") == "1" for said in heard) >= 3
    assert heard[0]["STATUS"] == WELL.status
    assert heard[-1]["STOPPING"] == "1"


async def test_before_the_work_has_begun_it_is_not_ready(manager: Manager) -> None:
    async with watching(manager, lambda: Liveness(is_ready=False, status="x")):
        await asyncio.sleep(0.1)
        heard = manager.heard()
    assert heard
    assert not any("READY" in said for said in heard)


async def test_a_part_that_hangs_stops_the_pings_and_they_come_back_with_it(
    manager: Manager, caplog: pytest.LogCaptureFixture
) -> None:
    pulses = Pulses()
    beat = pulses.add("keeper", 0.1)
    pulses.add("uplink", 60.0)
    look = lambda: Liveness(is_ready=True, status="x", hung=tuple(pulses.hung()))  # noqa: E731 -- one line
    async with watching(manager, look):
        await asyncio.sleep(0.05)
        assert manager.pings() > 0
        await asyncio.sleep(0.2)
        manager.heard()
        await asyncio.sleep(0.1)
        assert manager.pings() == 0
        beat()
        await asyncio.sleep(0.05)
        assert manager.pings() > 0
    assert [record.__dict__["part"] for record in caplog.records if record.message == "part.hung"] == ["keeper"]


async def test_a_stalled_loop_pings_nobody(manager: Manager) -> None:
    async with watching(manager, lambda: WELL):
        await asyncio.sleep(0.05)
        assert manager.pings() > 0
        time.sleep(0.3)  # noqa: ASYNC251 -- the stall is what is tested
        assert manager.pings() == 0


async def test_a_manager_that_is_gone_harms_nothing(open_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    notifier = Notifier(str(open_dir / "nobody"))
    notifier.send(READY="1")
    notifier.send(WATCHDOG="1")
    assert [record.message for record in caplog.records] == ["manager.unreachable"]


def test_a_line_break_begins_no_other_message(manager: Manager) -> None:
    Notifier(manager.address).send(STATUS="a\nREADY=1")
    assert manager.heard() == [{"STATUS": "a READY=1"}]


@pytest.mark.parametrize(
    ("environment", "address", "interval_s"),
    [
        ({}, "", 10.0),
        ({"NOTIFY_SOCKET": "vsock:2:1"}, "", 10.0),
        ({"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "120000000"}, "/run/n", 40.0),
        ({"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "120000000", "WATCHDOG_PID": "1"}, "/run/n", 10.0),
        ({"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "soon"}, "@n", 10.0),
    ],
)
def test_what_systemd_asks_for_is_read_from_its_variables(
    environment: dict[str, str], address: str, interval_s: float
) -> None:
    made = Notifier.of(environment, os.getpid())
    assert (made.address, made.interval_s) == (address, interval_s)


def test_a_part_that_ended_in_order_does_not_hang() -> None:
    now_s = [0.0]
    pulses = Pulses(lambda: now_s[0])
    pulses.add("camera", 1.0)
    now_s[0] = 2.0
    assert pulses.hung() == ["camera"]
    pulses.remove("camera")
    assert pulses.hung() == []
