"""The live radio over its real sockets."""

import asyncio
import contextlib
import json
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from firmware_sim import run as live
from firmware_sim.registry import TAGS
from firmware_sim.run import Live, RunSettings
from firmware_sim.tag import provision
from wire import air, hci
from wire.clock import Clock

SPEED = 20.0
GATE = "gw-001"


@pytest.fixture
def sockets() -> Iterator[RunSettings]:
    """Short paths: a Unix socket's may have 107 octets."""
    now_ms = int(time.time() * 1000)
    clock = Clock(now_ms, 1_795_473_600_000, SPEED)
    with tempfile.TemporaryDirectory(prefix="mmr-") as directory:
        place = Path(directory)
        yield RunSettings(place / "radio.sock", place / "gpsd.sock", place / "truth.json", clock)


@contextlib.asynccontextmanager
async def _running(settings: RunSettings) -> AsyncIterator[Live]:
    town = Live(7, provision(7, TAGS, 1_795_473_600_000), settings.clock)
    stop = asyncio.Event()
    task = asyncio.create_task(live.run(town, settings, stop))
    while not settings.radio_socket.exists():  # noqa: ASYNC110 - nothing tells of a file
        await asyncio.sleep(0.01)
    try:
        yield town
    finally:
        stop.set()
        await task


class Detector:
    """A host that keeps packets and can be killed between any two octets."""

    def __init__(self, path: Path, name: str = GATE) -> None:
        self.path = path
        self.name = name
        self.packets: list[air.Packet] = []
        self.acknowledged = 0

    async def listen(self, wall_s: float, *, acknowledges: bool = True, chunk: int = 4096, hears: bool = True) -> None:
        reader, writer = await asyncio.open_unix_connection(self.path)
        session = air.AirSession(self.name, len(self.packets))
        writer.write(session.hello() + session.scan(is_on=hears))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wall_s):
                while octets := await reader.read(chunk):
                    self.packets += session.feed(octets)
                    if acknowledges:
                        writer.write(session.ack(session.number))
        writer.close()


async def _truth(settings: RunSettings) -> dict[str, Any]:
    table: dict[str, Any] = await asyncio.to_thread(lambda: json.loads((settings.truth_file or Path()).read_text()))
    return table


def _in_truth(truth: dict[str, Any], detector: str) -> int:
    row = truth["detectors"][detector]
    return int(sum(row["tags"].values()) + sum(row["telemetry"].values()) + row["strangers"])


@pytest.mark.parametrize("acknowledges", [True, False])
async def test_a_detector_killed_again_and_again_loses_and_doubles_nothing(
    sockets: RunSettings, *, acknowledges: bool
) -> None:
    detector = Detector(sockets.radio_socket)
    async with _running(sockets):
        for chunk in (4096, 100, 33, 4096):
            await detector.listen(0.4, acknowledges=acknowledges, chunk=chunk)
        await detector.listen(1.0, hears=False)
    numbers = [packet.number for packet in detector.packets]
    assert numbers == list(range(1, len(numbers) + 1))
    assert _in_truth(await _truth(sockets), GATE) == len(numbers) > 20
    assert len(Counter(detector.packets)) == len(numbers)
    assert all(len(hci.reports(packet.octets)) == 1 for packet in detector.packets)


async def test_packets_carry_town_time_in_order(sockets: RunSettings) -> None:
    detector = Detector(sockets.radio_socket)
    async with _running(sockets):
        await detector.listen(1.0)
    times_ms = [packet.at_ms for packet in detector.packets]
    assert times_ms == sorted(times_ms)
    assert sockets.clock.origin_town_ms <= times_ms[0]
    assert times_ms[-1] <= sockets.clock.now_ms()
    assert times_ms[-1] - times_ms[0] > 5_000


async def test_a_receiver_that_is_off_hears_nothing(sockets: RunSettings) -> None:
    async with _running(sockets):
        reader, writer = await asyncio.open_unix_connection(sockets.radio_socket)
        session = air.AirSession(GATE, 0)
        writer.write(session.hello())
        writer.write(session.scan(is_on=False))
        session.feed(await _whatever(reader, 0.3))
        off_since_ms = sockets.clock.now_ms()
        silence = await _whatever(reader, 0.6)
        on_again_ms = sockets.clock.now_ms()
        writer.write(session.scan(is_on=True))
        heard = session.feed(silence + await _whatever(reader, 0.8))
        writer.close()
    assert heard
    assert not [packet for packet in heard if off_since_ms < packet.at_ms < on_again_ms]


async def _whatever(reader: asyncio.StreamReader, wall_s: float) -> bytes:
    octets = b""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(wall_s):
            while piece := await reader.read(4096):
                octets += piece
    return octets


async def test_nobody_connected_means_nothing_left_the_radio(sockets: RunSettings) -> None:
    async with _running(sockets):
        await asyncio.sleep(0.3)
    truth = await _truth(sockets)
    assert truth["packets"] == truth["telemetry"] == truth["strangers"] == 0


@pytest.mark.parametrize(
    "line",
    [b"\n", b"[]\n", b'{"detector":"gw-999","resume":0}\n', b'{"detector":"gw-001","resume":-1}\n', b"\xff\xfe\n"],
)
async def test_nonsense_is_refused_and_counted_and_harms_nobody(sockets: RunSettings, line: bytes) -> None:
    async with _running(sockets) as town:
        reader, writer = await asyncio.open_unix_connection(sockets.radio_socket)
        writer.write(line)
        assert await reader.read() == b""
        writer.close()
        assert town.radio.refused == 1
        detector = Detector(sockets.radio_socket)
        await detector.listen(0.5)
        assert detector.packets


async def test_an_impossible_acknowledgement_ends_the_connection(sockets: RunSettings) -> None:
    async with _running(sockets) as town:
        reader, writer = await asyncio.open_unix_connection(sockets.radio_socket)
        writer.write(air.AirSession(GATE, 0).hello() + b'{"ack":1000000}\n')
        async with asyncio.timeout(5):
            while await reader.read(4096):
                pass
        writer.close()
        assert town.radio.refused == 1


async def test_a_hundred_detectors_connect_at_once(sockets: RunSettings) -> None:
    async with _running(sockets) as town:
        detectors = [Detector(sockets.radio_socket, receiver.id) for receiver in town.air.receivers]
        await asyncio.gather(*(detector.listen(1.5) for detector in detectors))
        await asyncio.gather(*(detector.listen(1.0, hears=False) for detector in detectors))
    truth = await _truth(sockets)
    assert sum(len(detector.packets) for detector in detectors) == (
        truth["packets"] + truth["telemetry"] + truth["strangers"]
    )
    assert truth["waiting"] == 0


async def test_gpsd_tells_a_car_where_it_is_once_a_town_second(sockets: RunSettings) -> None:
    async with _running(sockets) as town:
        reader, writer = await asyncio.open_unix_connection(sockets.gpsd_socket)
        writer.write(b'?WATCH={"enable":true,"json":true,"device":"car-1"};\n')
        classes = [json.loads(await reader.readline())["class"] for _ in range(3)]
        reports = [json.loads(await reader.readline()) for _ in range(12)]
        writer.close()
        where = town.air.positions(town.air.now_ms)
        car = next(receiver for receiver in town.air.receivers if receiver.id == "car-1")
        x_m, y_m = town.air.town.plane.to_plane(reports[-1]["lat"], reports[-1]["lon"])
    assert classes == ["VERSION", "DEVICES", "WATCH"]
    assert {report["device"] for report in reports} == {"car-1"}
    assert [report["mode"] for report in reports] == [3] * 12
    assert len({report["time"] for report in reports}) == 12
    assert abs(x_m - where.x_m[car.mover]) < 50
    assert abs(y_m - where.y_m[car.mover]) < 50


async def test_gpsd_answers_nonsense_with_an_error(sockets: RunSettings) -> None:
    async with _running(sockets):
        reader, writer = await asyncio.open_unix_connection(sockets.gpsd_socket)
        writer.write(b"?WATCH=[1];\n")
        lines = [json.loads(line) for line in (await reader.read()).splitlines()]
        writer.close()
    assert [line["class"] for line in lines] == ["VERSION", "ERROR"]


async def test_a_sleep_of_the_machine_is_skipped_not_lived_through(sockets: RunSettings) -> None:
    asleep = Clock(sockets.clock.origin_wall_ms - 3_600_000, sockets.clock.origin_town_ms, 1.0)
    town = Live(7, provision(7, TAGS, 1_795_473_600_000), asleep)
    town.air.skip(-3_600_000)
    town.turn()
    assert town.skipped_ms >= 3_599_000
    assert town.behind_ms < 2_000
