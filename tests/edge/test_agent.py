"""Gateways against real brokers and the simulated radio's own socket."""

import os
from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture(params=["nats", "mosquitto"])
def broker_port(request: pytest.FixtureRequest) -> int:
    name = "broker" if request.param == "nats" else "mosquitto"
    return int(request.getfixturevalue(name).port)


async def test_every_packet_reaches_the_city_once(
    broker_port: int,
    city: Any,
    radio: Any,
    gateway: Any,
    serving: Any,
    running: Any,
    until: Any,
    eid: Callable[[int], Any],
) -> None:
    async with serving(broker_port), running(gateway("gw-1", broker_port, radio=radio.path)) as healths:
        await until(lambda: radio.socket.connected == 1)
        for n in range(200):
            radio.hear("gw-1", eid(n % 7), -60 - n % 30)
        await until(lambda: city.counts == radio.truth)
        await until(lambda: healths["gw-1"].outbox.totals().pending_batches == 0)
    assert city.counts == radio.truth
    assert city.heartbeats[-1].state == "offline"
    assert city.heartbeats[-1].rows_total == sum(len(rows) for rows in city.rows.values())


async def test_a_gateway_with_a_damaged_outbox_goes_on_with_a_new_one(
    city: Any, radio: Any, gateway: Any, serving: Any, running: Any, until: Any, broker: Any, eid: Callable[[int], Any]
) -> None:
    config = gateway("gw-1", broker.port, radio=radio.path)
    config.state_dir.mkdir()
    damaged = os.urandom(8_192)
    (config.state_dir / "outbox.db").write_bytes(damaged)
    async with serving(broker.port), running(config) as healths:
        await until(lambda: radio.socket.connected == 1)
        radio.hear("gw-1", eid(1), count=20)
        await until(lambda: city.counts == radio.truth)
        assert healths["gw-1"].counts["outboxes_renewed"] == 1
    assert (config.state_dir / "outbox.db.broken").read_bytes() == damaged
