"""The way to the city: what settles a batch, and what does not."""

import asyncio
from collections import Counter
from typing import Any

import aiomqtt
import pytest

from edge.agent import Agent
from server.config import BrokerConfig
from server.embedded.broker import Broker, free_port
from wire import keys, topics
from wire.messages import Heartbeat, Receipt


@pytest.fixture
def agent(gateway: Any, radio: Any) -> Any:
    """A gateway that is not connected, with one batch in its outbox, number 1."""
    made = Agent.open(gateway("gw-1", radio=radio.path))
    made.keeper.sight.merge.hear((0, bytes(8)), -70, at_ms=1_800_000_000_000)
    made.keeper.keep(is_final=True)
    assert made.outbox.totals().pending_batches == 1
    yield made
    made.close()


def pending(agent: Any) -> int:
    return int(agent.outbox.totals().pending_batches)


def test_a_receipt_of_the_city_settles_once(agent: Any, city: Any) -> None:
    receipt = city.receipt("gw-1", Receipt(agent.outbox.epoch, accepted=(1,)))
    agent.uplink.take_receipt(receipt)
    agent.uplink.take_receipt(receipt)
    totals = agent.outbox.totals()
    assert (totals.put_rows, totals.accepted_rows, totals.pending_batches) == (1, 1, 0)


def test_a_receipt_of_another_epoch_settles_nothing(agent: Any, city: Any) -> None:
    agent.uplink.take_receipt(city.receipt("gw-1", Receipt(agent.outbox.epoch ^ 1, accepted=(1,))))
    assert pending(agent) == 1
    assert agent.health.counts["receipts_foreign"] == 1


def test_a_forged_receipt_settles_nothing(agent: Any, city: Any) -> None:
    receipt = Receipt(agent.outbox.epoch, accepted=(1,))
    good = city.receipt("gw-1", receipt)
    forged = [
        city.receipt("gw-1", receipt, keys.new_signing_key()),
        city.receipt("gw-2", receipt),
        good[:-1] + bytes((good[-1] ^ 1,)),
        good[:40],
        b"",
        receipt.encode(),
    ]
    for data in forged:
        agent.uplink.take_receipt(data)
    assert pending(agent) == 1
    assert agent.health.counts["receipts_forged"] == len(forged)


def test_a_heartbeat_is_no_receipt(agent: Any) -> None:
    agent.uplink.take_receipt(agent.uplink.sealer.sign_heartbeat(Heartbeat("gw-1").encode(), agent.outbox.epoch, 1))
    assert pending(agent) == 1


def test_a_refused_batch_is_counted_and_not_sent_again(agent: Any, city: Any, caplog: pytest.LogCaptureFixture) -> None:
    agent.uplink.take_receipt(city.receipt("gw-1", Receipt(agent.outbox.epoch, refused=((1, "clock-wrong"),))))
    assert pending(agent) == 0
    assert agent.health.counts["batches_refused"] == 1
    assert [(r.message, vars(r)["reason"]) for r in caplog.records if r.levelname == "ERROR"] == [
        ("batch.refused", "clock-wrong")
    ]


async def test_a_silent_city_gets_the_batch_again_and_keeps_it_once(
    broker: Any, city: Any, radio: Any, gateway: Any, serving: Any, running: Any, until: Any, eid: Any
) -> None:
    city.is_silent = True
    async with serving(broker.port), running(gateway("gw-1", broker.port, radio=radio.path)) as healths:
        await until(lambda: radio.socket.connected == 1)
        radio.hear("gw-1", eid(1), count=5)
        await until(lambda: city.arrivals >= 3 and city.counts == radio.truth)
        city.is_silent = False
        await until(lambda: healths["gw-1"].outbox.totals().pending_batches == 0)
        assert healths["gw-1"].counts["receipt_timeouts"] >= 1
    assert city.counts == radio.truth


async def test_without_a_broker_everything_waits_and_goes_when_it_comes(
    open_dir: Any, city: Any, radio: Any, gateway: Any, serving: Any, running: Any, until: Any, eid: Any
) -> None:
    config = BrokerConfig(tls=False, mqtt_port=free_port(), nats_port=free_port())
    async with running(gateway("gw-1", config.mqtt_port, radio=radio.path)) as healths:
        await until(lambda: radio.socket.connected == 1)
        radio.hear("gw-1", eid(1), count=50)
        await until(lambda: healths["gw-1"].outbox.totals().put_rows >= 1)
        await until(lambda: healths["gw-1"].counts["broker_failures"] >= 2)
        with Broker(open_dir / "late", config):
            async with serving(config.mqtt_port):
                await until(lambda: city.counts == radio.truth)
                await until(lambda: healths["gw-1"].outbox.totals().pending_batches == 0)


async def test_a_killed_broker_loses_nothing(
    open_dir: Any, city: Any, radio: Any, gateway: Any, serving: Any, running: Any, until: Any, eid: Any
) -> None:
    config = BrokerConfig(tls=False, mqtt_port=free_port(), nats_port=free_port())
    first = Broker(open_dir / "killed", config)
    first.start()
    async with serving(config.mqtt_port), running(gateway("gw-1", config.mqtt_port, radio=radio.path)) as healths:
        await until(lambda: radio.socket.connected == 1 and healths["gw-1"].is_connected)
        for round_ in range(3):
            for n in range(60):
                radio.hear("gw-1", eid(n % 5))
                await asyncio.sleep(0.005)
            first.process.kill()
            first.stop()
            first = Broker(open_dir / "killed", config)
            first.start()
            await until(lambda: city.counts == radio.truth, 40)
            assert round_ >= 0
    assert city.counts == radio.truth
    first.stop()


async def test_a_stop_in_the_moment_the_broker_dies_ends(
    open_dir: Any, radio: Any, gateway: Any, running: Any, until: Any
) -> None:
    config = BrokerConfig(tls=False, mqtt_port=free_port(), nats_port=free_port())
    for delay_s in (0.0, 0.01, 0.05, 0.3):
        with Broker(open_dir / "dying", config) as dying:
            async with asyncio.timeout(20), running(gateway("gw-1", config.mqtt_port, radio=radio.path)) as healths:
                await until(lambda: bool(healths) and healths["gw-1"].is_connected)
                dying.process.kill()
                await asyncio.sleep(delay_s)


async def test_receipts_go_to_their_own_topic_alone(
    broker: Any, city: Any, radio: Any, gateway: Any, serving: Any, running: Any, until: Any, eid: Any
) -> None:
    async with serving(broker.port), aiomqtt.Client("127.0.0.1", broker.port) as onlooker:
        await onlooker.subscribe(topics.city_filter(city.name, "receipts"))
        async with running(*(gateway(name, broker.port, radio=radio.path) for name in ("gw-1", "gw-2"))):
            await until(lambda: radio.socket.connected == 2)
            radio.hear("gw-1", eid(1))
            radio.hear("gw-2", eid(2))
            await until(lambda: city.counts == radio.truth)
        seen: Counter[str] = Counter()
        async with asyncio.timeout(5):
            async for message in onlooker.messages:
                seen[topics.parse(str(message.topic)).detector] += 1
                if len(seen) == 2:
                    break
    assert set(seen) == {"gw-1", "gw-2"}
