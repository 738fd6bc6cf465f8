"""`mimamori-edge run` as a process of its own, killed at random moments."""

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


@pytest.fixture
def config_files(gateway: Any, radio: Any, broker: Any, tmp_path: Path) -> list[Path]:
    """Two gateways of one process."""
    files = []
    for name in ("gw-1", "gw-2"):
        made = gateway(name, broker.port, radio=radio.path)
        files.append(tmp_path / "configs" / f"{name}.toml")
        files[-1].parent.mkdir(exist_ok=True)
        files[-1].write_text(
            f'city = "{made.city}"\ndetector = "{name}"\nstate_dir = "{made.state_dir}"\n'
            f'[keys]\nsigning_key_file = "{made.keys.signing_key_file}"\ncity_file = "{made.keys.city_file}"\n'
            f'[broker]\nurl = "{made.broker.url}"\nheartbeat_s = 0.5\nreceipt_timeout_s = 1\n'
            f'[scan]\nsource = "{made.scan.source}"\nwindow_s = 1\n'
        )
    return files


@pytest.fixture
def start(config_files: list[Path]) -> Iterator[Callable[[], "subprocess.Popen[bytes]"]]:
    """Start the process; what still runs at the end is killed."""
    command = [sys.executable, "-m", "edge", "run", "--config-dir", str(config_files[0].parent)]
    started: list[subprocess.Popen[bytes]] = []

    def run() -> "subprocess.Popen[bytes]":
        started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.wait()


async def ended(process: "subprocess.Popen[bytes]", number: int) -> int:
    process.send_signal(number)
    return await asyncio.to_thread(process.wait, 20)


async def test_a_gateway_killed_at_random_moments_loses_and_doubles_nothing(
    city: Any, radio: Any, serving: Any, broker: Any, start: Any, until: Any, eid: Any
) -> None:
    draw = random.Random(5)
    async with serving(broker.port):
        for _ in range(6):
            process = start()
            await until(lambda: radio.socket.connected == 2)
            for _ in range(draw.randrange(20, 300)):
                radio.hear(draw.choice(["gw-1", "gw-2"]), eid(draw.randrange(9)), -50 - draw.randrange(40))
                await asyncio.sleep(0.005)
            await ended(process, signal.SIGKILL)
            await until(lambda: radio.socket.connected == 0)
        process = start()
        await until(lambda: city.counts == radio.truth, 40)
        assert await ended(process, signal.SIGTERM) == 0
    assert city.counts == radio.truth
    assert radio.truth.total() > 300


async def test_the_last_will_tells_of_a_killed_gateway(
    city: Any, radio: Any, serving: Any, broker: Any, start: Any, until: Any
) -> None:
    async with serving(broker.port):
        process = start()
        await until(lambda: radio.socket.connected == 2 and {b.detector for b in city.heartbeats} == {"gw-1", "gw-2"})
        await ended(process, signal.SIGKILL)
        await until(lambda: [b.sent_at_ms for b in city.heartbeats if b.state == "offline"] == [0, 0])


async def test_sigterm_ends_in_order_with_nothing_left_behind(
    city: Any, radio: Any, serving: Any, broker: Any, start: Any, until: Any, eid: Any
) -> None:
    async with serving(broker.port):
        process = start()
        await until(lambda: radio.socket.connected == 2)
        radio.hear("gw-1", eid(1), count=500)
        assert await ended(process, signal.SIGTERM) == 0
        await until(lambda: city.counts == radio.truth)
    last = [beat for beat in city.heartbeats if beat.detector == "gw-1"][-1]
    assert (last.state, last.rows_total) == ("offline", sum(len(rows) for rows in city.rows.values()))


async def test_one_broken_gateway_leaves_its_neighbours_alone(
    city: Any, radio: Any, serving: Any, broker: Any, start: Any, until: Any, eid: Any, tmp_path: Path
) -> None:
    (tmp_path / "gw-2.pem").write_bytes(os.urandom(200))
    async with serving(broker.port):
        process = start()
        await until(lambda: radio.socket.connected == 1)
        radio.hear("gw-1", eid(1), count=20)
        await until(lambda: city.counts == radio.truth)
        assert await ended(process, signal.SIGTERM) == 0


async def test_the_service_manager_is_told_and_a_process_that_stands_still_is_silent(
    start: Any, until: Any, open_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = open_dir / f"notify-{os.getpid()}"
    monkeypatch.setenv("NOTIFY_SOCKET", str(path))
    monkeypatch.setenv("WATCHDOG_USEC", "300000")
    said: list[bytes] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.setblocking(False)
        asyncio.get_running_loop().add_reader(manager, lambda: said.append(manager.recv(4096)))
        process = start()
        await until(lambda: any(b"READY=1" in line for line in said))
        await until(lambda: sum(b"WATCHDOG=1" in line for line in said) > 3)
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(0.2)
        said.clear()
        await asyncio.sleep(0.6)
        assert said == []
        process.send_signal(signal.SIGCONT)
        assert await ended(process, signal.SIGTERM) == 0
        await until(lambda: any(b"STOPPING=1" in line for line in said))
        asyncio.get_running_loop().remove_reader(manager)
