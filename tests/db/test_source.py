"""The source on real brokers: what is published arrives, a broker that dies is waited for, memory is bounded."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from prometheus_client import Counter, Gauge

from server.config import BrokerConfig
from server.embedded.broker import Broker, free_port
from server.ingest import source as sources
from server.ingest.metrics import Metrics
from server.ingest.source import MqttSource
from wire import topics
from wire.clock import Clock

pytestmark = pytest.mark.db
CITY = "source-town"


@pytest.fixture(params=["broker", "mosquitto"])
def any_broker(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def _source(url: str) -> MqttSource:
    return MqttSource(url, CITY, clock=Clock(), metrics=Metrics(), linger_s=0.02)


async def _until(gauge: Counter | Gauge, least: float, most: float = 1e9) -> None:
    async with asyncio.timeout(20):
        while not least <= gauge._value.get() <= most:  # noqa: ASYNC110 - a counter has no event
            await asyncio.sleep(0.02)


async def _is_up(source: MqttSource) -> None:
    await _until(source._metrics.broker_up, 1)


@pytest.fixture
async def listening(any_broker: Any) -> AsyncIterator[tuple[MqttSource, int]]:
    source = _source(any_broker.url)
    async with source.running():
        await asyncio.wait_for(_is_up(source), 20)
        yield source, any_broker.port


async def test_what_detectors_publish_is_fetched_and_nothing_of_other_cities(listening: tuple[MqttSource, int]) -> None:
    source, port = listening
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.publish(topics.sightings("elsewhere", "gw"), b"no", qos=1)
        await client.publish(topics.sightings(CITY, "gw"), b"one", qos=1)
        await client.publish(topics.heartbeat(CITY, "gw"), b"two", qos=1)
        got: list[bytes] = []
        while len(got) < 2:
            got += [message.payload for message in await asyncio.wait_for(source.fetch(), 20)]
    assert sorted(got) == [b"one", b"two"]


async def test_receipts_reach_their_detector(listening: tuple[MqttSource, int]) -> None:
    source, port = listening
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe(topics.receipts(CITY, "gw"))
        await source.publish([(topics.receipts(CITY, "gw"), b"receipt")])
        async with asyncio.timeout(20):
            assert (await anext(aiter(client.messages))).payload == b"receipt"


@pytest.mark.parametrize("size", [1000, 0])
async def test_too_much_waiting_is_let_go_and_counted(
    listening: tuple[MqttSource, int], monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    source, port = listening
    monkeypatch.setattr(sources, "MAX_WAITING_OCTETS", 10 * (size + 512))
    async with aiomqtt.Client("127.0.0.1", port) as client:
        for _ in range(50):
            await client.publish(topics.sightings(CITY, "gw"), bytes(size), qos=1)
    await _until(source._metrics.dropped, 40)
    assert len(await source.fetch()) == 10


async def test_no_more_is_taken_at_once_than_fits_in_hand(
    listening: tuple[MqttSource, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, port = listening
    monkeypatch.setattr(sources, "MAX_FETCH_OCTETS", 3 * (1000 + 512))
    async with aiomqtt.Client("127.0.0.1", port) as client:
        for number in range(7):
            await client.publish(
                topics.sightings(CITY, "gw"), bytes([number]) * (5_000 if number == 4 else 1000), qos=1
            )
    got: list[list[int]] = []
    while sum(map(len, got)) < 7:
        got.append([message.payload[0] for message in await asyncio.wait_for(source.fetch(), 20)])
    assert [number for part in got for number in part] == list(range(7))
    assert max(map(len, got)) <= 3
    assert [4] in got


async def test_a_broker_that_dies_is_waited_for(open_dir: Path) -> None:
    port = free_port()
    config = BrokerConfig(tls=False, mqtt_port=port, nats_port=free_port())
    source = _source(f"mqtt://127.0.0.1:{port}")
    async with source.running():
        for _ in range(2):
            with Broker(open_dir / "mortal", config):
                await asyncio.wait_for(_is_up(source), 20)
                async with aiomqtt.Client("127.0.0.1", port) as client:
                    await client.publish(topics.sightings(CITY, "gw"), b"here", qos=1)
                assert [m.payload for m in await asyncio.wait_for(source.fetch(), 20)] == [b"here"]
            await _until(source._metrics.broker_up, 0, 0)
            await source.publish([(topics.receipts(CITY, "gw"), b"nobody hears it, nothing breaks")])
