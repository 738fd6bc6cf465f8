import asyncio
from pathlib import Path
from typing import Any

import pytest

from edge.condition import CameraVitals, Gauges
from edge.health import Health, Vitals, serve_metrics
from edge.position import whereabouts
from edge.sight import Sight
from wire.formats import Formats
from wire.merge import Merge
from wire.messages import Heartbeat
from wire.outbox import Outbox


@pytest.fixture
def health(tmp_path: Path) -> Any:
    with Outbox.open(tmp_path / "outbox.db", max_bytes=10**6) as outbox:
        sight = Sight(Formats.parse(["eid"]), Merge(1_000))
        outbox.put(3, 1_800_000_000_000, lambda *_: b"sealed")
        sight.hear(b"\x02\x01\x06", -70, at_ms=0, address=b"")
        sight.hear(b"\x09\x01", -70, at_ms=0, address=b"")
        yield Health("gw-1", sight, outbox)


def test_a_heartbeat_says_what_was_heard_and_what_waits(health: Health) -> None:
    health.counts["scan_failures"] += 2
    health.counts["reports_sent"] += 7
    beat = health.heartbeat()
    assert (beat.detector, beat.epoch, beat.state) == ("gw-1", health.outbox.epoch, "online")
    assert (beat.heard, beat.dropped, beat.errors) == (2, 1, 3)
    assert (beat.queued_batches, beat.oldest_queued_ms, beat.rows_total) == (1, 1_800_000_000_000, 3)
    assert beat.software.startswith("mimamori-edge")


def test_a_heartbeat_says_how_the_machine_is(health: Health, tmp_path: Path) -> None:
    health.gauges = Gauges(state_dir=tmp_path)
    condition = health.heartbeat().condition
    assert condition is not None
    assert condition.disk_free_mb is not None
    assert condition.disk_free_mb > 0
    assert condition.rss_mb is not None
    assert 5 < condition.rss_mb < 10_000
    assert condition.is_clock_synced is not None
    assert condition.camera == ""
    assert (condition.is_parked, condition.order_sequence, condition.certificate_until_ms) == (None, None, None)
    assert Heartbeat.decode(health.heartbeat().encode()).condition is not None


def test_camera_orders_certificate_and_vehicle_plug_in(health: Health) -> None:
    health.gauges.camera = lambda: CameraVitals("moved", 2_500, 7, 1_000, 512, bytes(32))
    health.gauges.order_sequence = lambda: 9
    health.gauges.certificate_until_ms = lambda: 5_000
    health.gauges.whereabouts = whereabouts(60.0)
    condition = Heartbeat.decode(health.heartbeat().encode()).condition
    assert condition is not None
    assert (condition.camera, condition.camera_fps_centi, condition.mask_version) == ("moved", 2_500, 7)
    assert (condition.footage_from_ms, condition.footage_mb, condition.footage_chain) == (1_000, 512, bytes(32))
    assert (condition.order_sequence, condition.certificate_until_ms, condition.is_parked) == (9, 5_000, False)


async def test_metrics_are_served_as_prometheus_text(health: Health) -> None:
    health.counts["broker_failures"] += 2
    async with await serve_metrics(0, Vitals({"gw-1": health})) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = (await reader.read()).decode()
        writer.close()
    lines = answer.splitlines()
    assert lines[0] == "HTTP/1.1 200 OK"
    assert 'mimamori_edge_broker_failures_total{detector="gw-1"} 2' in lines
    assert 'mimamori_edge_pending_rows{detector="gw-1"} 3' in lines
    assert 'mimamori_edge_dropped_total{detector="gw-1",reason="malformed"} 1' in lines


async def test_who_asks_badly_gets_nothing_and_harms_nobody(health: Health) -> None:
    async with await serve_metrics(0, Vitals({"gw-1": health})) as server:
        for question in (b"", b"x" * 100_000):
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(question)
            writer.write_eof()
            assert await reader.read() == b""
            writer.close()


def test_the_service_manager_is_told_what_runs_what_hangs_and_when_the_work_has_begun(health: Health) -> None:
    vitals = Vitals()
    assert not vitals.liveness().is_ready
    vitals.failures.update({"gw-1": 0, "gw-2": 3})
    assert vitals.liveness().is_ready
    vitals.running["gw-1"] = health
    assert vitals.liveness().status == "動作 1/2、接続 0。running 1, connected 0"
    health.pulses.add("keeper", -1.0)
    assert vitals.liveness().hung == ("gw-1:keeper",)
    assert vitals.liveness().status.endswith("停止 hung: gw-1:keeper")


def test_a_gateway_that_failed_is_down_and_leaves_its_neighbours_samples(health: Health, tmp_path: Path) -> None:
    closed = Health("gw-2", health.sight, Outbox.open(tmp_path / "closed.db", max_bytes=10**6))
    closed.outbox.close()
    vitals = Vitals({"gw-1": health, "gw-2": closed})
    vitals.failures.update({"gw-1": 0, "gw-3": 2})
    lines = vitals.text().splitlines()
    assert 'mimamori_edge_pending_rows{detector="gw-1"} 3' in lines
    assert 'mimamori_edge_agent_up{detector="gw-1"} 1' in lines
    assert 'mimamori_edge_agent_up{detector="gw-3"} 0' in lines
    assert 'mimamori_edge_agent_failures_total{detector="gw-3"} 2' in lines
