"""The log on its way to the city: in order, few at once, again until it is receipted."""

import asyncio
import dataclasses
import threading
import time
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from edge.journal import Journal, wall_ms
from edge.reports import MAX_OUTSTANDING, Reports
from wire import topics
from wire.entry import Entry, first_fault
from wire.messages import Order, Receipt


async def _sending(reports: Reports, sent: list[bytes]) -> asyncio.Task[None]:
    async def publish(payload: bytes) -> None:
        sent.append(payload)

    return asyncio.create_task(reports.run(publish))


async def test_few_are_outstanding_and_a_receipt_makes_room(tmp_path: Path, until: Any) -> None:
    with Journal.open(tmp_path / "journal.db") as journal:
        for _ in range(20):
            journal.add("a.b")
        reports, sent = Reports(journal, lambda encoded, _epoch, _sequence: encoded, 60.0), list[bytes]()
        task = await _sending(reports, sent)
        await until(lambda: len(sent) == MAX_OUTSTANDING)
        await asyncio.sleep(0.1)
        assert len(sent) == MAX_OUTSTANDING
        reports.take(Receipt(journal.epoch, (1, 2, 3)))
        await until(lambda: len(sent) == MAX_OUTSTANDING + 3)
        assert [Entry.decode(payload).sequence for payload in sent] == list(range(1, MAX_OUTSTANDING + 4))
        task.cancel()


async def test_a_silent_city_gets_the_oldest_again_and_less_and_less_often(tmp_path: Path, until: Any) -> None:
    with Journal.open(tmp_path / "journal.db") as journal:
        journal.add("a.b")
        journal.add("c.d")
        reports, sent = Reports(journal, lambda encoded, _epoch, _sequence: encoded, 0.05), list[bytes]()
        started_s = time.monotonic()
        task = await _sending(reports, sent)
        await until(lambda: len(sent) == 4)
        assert time.monotonic() - started_s > 0.5
        assert [Entry.decode(payload).sequence for payload in sent] == [1, 2, 1, 1]
        reports.take(Receipt(journal.epoch, (1,)))
        await until(lambda: Entry.decode(sent[-1]).sequence == 2)
        task.cancel()


async def test_an_entry_of_another_thread_is_sent_at_once(tmp_path: Path, until: Any) -> None:
    with Journal.open(tmp_path / "journal.db") as journal:
        reports, sent = Reports(journal, lambda encoded, _epoch, _sequence: encoded, 60.0), list[bytes]()
        task = await _sending(reports, sent)
        await asyncio.sleep(0.05)
        camera = threading.Thread(target=lambda: journal.add("footage.deleted"))
        camera.start()
        await until(lambda: len(sent) == 1, 5)
        camera.join()
        task.cancel()


async def test_orders_go_down_and_the_whole_log_comes_up_over_a_real_broker(
    broker: Any, city: Any, radio: Any, gateway: Any, serving: Any, running: Any, until: Any
) -> None:
    def told() -> list[tuple[str, int]]:
        entries = [Entry.decode(data) for _, data in sorted(city.reports.items())]
        return [(entry.kind, entry.body["sequence"]) for entry in entries if entry.kind != "gateway.started"]

    async with serving(broker.port), running(gateway("gw-1", broker.port, radio=radio.path)) as healths:
        await until(lambda: "gw-1" in healths and healths["gw-1"].is_connected)
        async with aiomqtt.Client("127.0.0.1", broker.port) as gate:
            for order in (Order(1, wall_ms(), "thaw", {"case": "c"}), Order(2, wall_ms(), "restart")):
                await gate.publish(topics.orders(city.name, "gw-1"), city.order(order))
                await until(lambda order=order: any(sequence == order.sequence for _, sequence in told()))
            await until(lambda: told()[-1] == ("order.done", 2))
            await until(lambda: any(beat.condition.order_sequence == 2 for beat in city.heartbeats if beat.condition))
            await until(lambda: "gw-1" not in healths)
    assert told() == [("order.refused", 1), ("order.received", 2), ("order.done", 2)]
    assert first_fault(data for _, data in sorted(city.reports.items())) is None


async def test_a_restart_of_one_gateway_leaves_its_neighbour_running(
    broker: Any, city: Any, radio: Any, gateway: Any, serving: Any, running: Any, until: Any
) -> None:
    configs = [gateway(name, broker.port, radio=radio.path) for name in ("gw-1", "gw-2")]
    async with serving(broker.port), running(*configs) as healths:
        await until(lambda: len(healths) == 2 and all(health.is_connected for health in healths.values()))
        before = dict(healths)
        async with aiomqtt.Client("127.0.0.1", broker.port) as gate:
            await gate.publish(topics.orders(city.name, "gw-1"), city.order(Order(1, wall_ms(), "restart")))
            await until(lambda: "gw-1" in healths and healths["gw-1"] is not before["gw-1"])
            await until(lambda: healths["gw-1"].is_connected)
        assert healths["gw-2"] is before["gw-2"]
        assert healths["gw-2"].is_connected


def test_a_report_that_the_city_refused_is_sent_no_more(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "journal.db") as journal:
        journal.add("a.b")
        reports = Reports(journal, lambda encoded, _epoch, _sequence: encoded)
        assert reports.take(Receipt(journal.epoch, refused=((1, "forked"),))) == 1
        assert journal.unsent(9) == []


async def test_a_gateway_whose_disk_is_full_starts_and_still_talks_to_the_city(
    broker: Any, city: Any, radio: Any, gateway: Any, serving: Any, running: Any, until: Any, tiny_disk: Path
) -> None:
    config = dataclasses.replace(gateway("gw-1", broker.port, radio=radio.path), state_dir=tiny_disk / "gw-1")
    async with serving(broker.port):
        async with running(config) as healths:
            await until(lambda: "gw-1" in healths and healths["gw-1"].is_connected)
        with pytest.raises(OSError, match="space"):
            (tiny_disk / "log").write_bytes(bytes(2 << 20))
        city.heartbeats.clear()
        async with running(config) as healths:
            await until(lambda: any(beat.state == "online" for beat in city.heartbeats))
            assert healths["gw-1"].is_connected
