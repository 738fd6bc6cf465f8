"""The real program, a real broker, kill -9 between any two steps: every batch is in the store exactly once."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import aiomqtt
import numpy as np
import pytest

from server import config as configuration
from wire import seal, topics
from wire.messages import Receipt

pytestmark = [pytest.mark.db, pytest.mark.timeout(180)]
Town = Any  # the class of the fixture lives in conftest.py, which tests cannot import
BATCHES, ROWS, KILLS = 60, 5, 8


class _Detector:
    """Sends what has no receipt, again and again, as an outbox does."""

    def __init__(self, town: Town, name: str) -> None:
        self.town, self.name = town, name
        box, tag = town.boxes[name], town.tags["t-1"]
        starts_ms = [town.noon_ms + n * 1000 * ROWS for n in range(BATCHES)]
        self.pending = {
            n: box.message(*(tag.row(at_ms + k * 1000) for k in range(ROWS)), at_ms=at_ms).payload
            for n, at_ms in enumerate(starts_ms, start=1)
        }

    async def run(self, host: str, port: int) -> None:
        async with aiomqtt.Client(host, port) as client:
            await client.subscribe(topics.receipts("mimamori", self.name))
            listening = asyncio.create_task(self._listen(client))
            while self.pending:
                for payload in list(self.pending.values())[:8]:
                    await client.publish(topics.sightings("mimamori", self.name), payload, qos=1)
                await asyncio.sleep(0.15)
            listening.cancel()

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            _, data = seal.verify(bytes(message.payload), verifier=self.town.city.receipt_key)
            for number in Receipt.decode(data).accepted:
                self.pending.pop(number, None)


def _start(config_file: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "server", "serve", "ingest", "--config", str(config_file)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


async def test_a_killed_ingest_loses_and_doubles_nothing(town: Town, broker: Any, tmp_path: Path) -> None:
    await town.ingest.close()
    config_file = tmp_path / "mimamori.toml"
    config = configuration.parse({"state_dir": str(town.config.state_dir), "database": {"url": town.config.dsn()},
                                  "broker": {"url": broker.url, "tls": False},
                                  "clock": town.config.clock.to_table()})  # fmt: skip
    config_file.write_text(config.to_toml())
    detectors = [_Detector(town, name) for name in ("gw-1", "gw-2")]
    sending = asyncio.gather(*(detector.run("127.0.0.1", broker.port) for detector in detectors))
    rng, kills = np.random.default_rng(3), 0
    process = _start(config_file)
    deadline_s = time.monotonic() + 150
    while not sending.done() and time.monotonic() < deadline_s:
        await asyncio.sleep(float(rng.uniform(0.3, 1.5)))
        # Killed at any moment of its work, but not before it ever got to it: that is another test's matter.
        if kills < KILLS and town.count("batch") > kills * (2 * BATCHES // (KILLS + 4)):
            process.kill()
            process.wait()
            process, kills = _start(config_file), kills + 1
    await asyncio.wait_for(sending, 5)
    process.kill()
    process.wait()
    assert kills >= 3
    assert town.ask("SELECT count(*), sum(stored) FROM batch") == [(2 * BATCHES, 2 * BATCHES * ROWS)]
    packets = 3 * BATCHES * ROWS
    assert town.ask("SELECT detector_id, sum(count) FROM sighting_by_name GROUP BY 1 ORDER BY 1") == [
        ("gw-1", packets),
        ("gw-2", packets),
    ]
