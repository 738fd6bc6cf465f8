"""Gateways against real brokers and the simulated radio's own socket."""

import dataclasses
import os
import random
from collections.abc import Callable
from typing import Any

import pytest

from edge.config import CameraConfig
from wire import btsnoop, hci


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


def broken_packets(draw: random.Random) -> list[bytes]:
    """Packets that end too early, frames of ours with octets missing, and noise."""
    eid_frame = bytes.fromhex("0201060303aafe0d16aafe30ee") + bytes(8) + bytes.fromhex("091600fc") + bytes(6)
    whole = hci.legacy_event([hci.Report("ADV_NONCONN_IND", bytes(6), -60, eid_frame)])
    cut = [whole[: draw.randrange(1, len(whole))] for _ in range(50)]
    short = [bytes.fromhex("0303aafe0516aafe30ee"), bytes.fromhex("0d16aafe30"), bytes.fromhex("031600fcff")]
    inside = [hci.legacy_event([hci.Report("ADV_NONCONN_IND", bytes(6), -60, data)]) for data in short]
    return [*cut, *inside * 10, *(draw.randbytes(draw.randrange(1, 60)) for _ in range(50))]


async def test_broken_frames_and_a_flood_of_ids_take_nothing_from_a_tag_that_is_there(
    city: Any, radio: Any, gateway: Any, serving: Any, running: Any, until: Any, broker: Any, eid: Callable[[int], Any]
) -> None:
    draw = random.Random(8)
    config = gateway("gw-1", broker.port, radio=radio.path)
    config = dataclasses.replace(config, scan=dataclasses.replace(config.scan, max_rows=100))
    async with serving(broker.port), running(config) as healths:
        await until(lambda: radio.socket.connected == 1)
        for packet in broken_packets(draw):
            radio.hear("gw-1", eid(1))
            assert radio.socket.ports["gw-1"].hear(btsnoop.record(packet, at_us=radio.now_ms * 1000))
        for n in range(3_000):
            radio.hear("gw-1", eid(1 if n % 10 == 0 else draw.getrandbits(63)))
        tag = bytes(7) + b"\x01"
        await until(lambda: city.counts[tag] == radio.truth[tag])
        dropped = healths["gw-1"].sight.dropped
        assert dropped["malformed"] > 50
        assert dropped["too-many"] > 1_000
        assert healths["gw-1"].counts["rows_unfit"] == 0


async def test_a_camera_that_cannot_be_used_leaves_the_radio_alone(
    city: Any, radio: Any, gateway: Any, serving: Any, running: Any, until: Any, broker: Any, eid: Callable[[int], Any]
) -> None:
    # The city of these tests gives no key for footage.
    config = dataclasses.replace(gateway("gw-1", broker.port, radio=radio.path), camera=CameraConfig(url="/no/film"))
    async with serving(broker.port), running(config):
        await until(lambda: radio.socket.connected == 1)
        radio.hear("gw-1", eid(1), count=20)
        await until(lambda: city.counts == radio.truth)
        await until(lambda: any(beat.condition and beat.condition.camera for beat in city.heartbeats))
    assert {beat.condition.camera for beat in city.heartbeats if beat.condition.camera} == {"unreadable"}
