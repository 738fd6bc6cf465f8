"""What is on the disk when, and what happens when it cannot be."""

import asyncio
from typing import Any

import pytest

from edge import position
from edge.agent import Agent
from wire import batch, seal
from wire.clock import Clock
from wire.gpsd import Position
from wire.merge import Merged

NOW_MS = 1_800_000_000_000


@pytest.fixture
def opened(gateway: Any, radio: Any) -> Any:
    """Open gateways, and close them at the end."""
    agents = []

    def made(**changes: Any) -> Agent:
        agents.append(Agent.open(gateway("gw-1", radio=radio.path, **changes)))
        return agents[-1]

    yield made
    for agent in agents:
        agent.close()


def rows_of(agent: Agent, city: Any) -> list[batch.Row]:
    rows = []
    for item in agent.outbox.pending(1000):
        _, payload = seal.unseal(item.payload, verifier=city.detectors["gw-1"], recipient=city.seal_key)
        rows += batch.decode(payload).rows()
    return rows


def hear(agent: Agent, n: int, at_ms: int = NOW_MS) -> None:
    agent.keeper.sight.merge.hear((0, n.to_bytes(8, "big")), -70, at_ms=at_ms, sealed=b"sealed")
    agent.source.position += 1


def test_what_was_released_to_the_radio_survives_a_kill_between_any_two_steps(opened: Any, city: Any) -> None:
    first = opened()
    hear(first, 1)
    hear(first, 1)
    first.keeper.keep()
    released = first.source._safe
    hear(first, 1)  # heard, and never said to be safe
    first.close()  # nothing else is written: as after kill -9
    second = opened()
    assert second.source.position == released == 2
    second.keeper.keep(is_final=True)
    assert sum(row.count for row in rows_of(second, city)) == 2


def test_a_full_outbox_gives_up_old_batches_and_says_how_many(
    opened: Any, city: Any, caplog: pytest.LogCaptureFixture
) -> None:
    agent = opened(max_bytes=100_000)
    agent.keeper.keep()
    for n in range(400):
        hear(agent, n)
        agent.keeper.keep(is_final=True)
    agent.keeper._told_ms = 0
    agent.keeper.keep()
    totals = agent.outbox.totals()
    assert totals.put_rows == 400 == totals.thinned_rows + len(rows_of(agent, city))
    assert totals.thinned_rows > 100
    assert agent.source._safe == agent.source.position
    (said,) = [record for record in caplog.records if record.message == "outbox.thinned"]
    assert (vars(said)["rows"], vars(said)["batches"]) == (totals.thinned_rows, totals.thinned_batches)
    assert f'rows_thinned_total{{detector="gw-1"}} {totals.thinned_rows}' in "\n".join(agent.health.lines())


def test_a_row_in_haste_goes_in_an_urgent_batch_of_its_own(opened: Any, city: Any) -> None:
    agent = opened()
    for n in range(5):
        hear(agent, n)
    for n in range(6):
        hear(agent, 9, NOW_MS + 100 * n)
    agent.keeper.keep()
    urgent = agent.outbox.urgent(9)
    assert len(urgent) == 1
    assert urgent == agent.outbox.oldest(1)
    assert [row.id[-1] for row in rows_of(agent, city)] == [9, 0, 1, 2, 3, 4, 9, 9]


async def test_a_full_outbox_is_said_once_and_retried(
    opened: Any, caplog: pytest.LogCaptureFixture, until: Any
) -> None:
    agent = opened(max_bytes=100_000)
    task = asyncio.create_task(agent.keeper.run())
    for n in range(20_000):
        hear(agent, n)
    await until(lambda: agent.health.counts["put_failures"] >= 2)
    task.cancel()
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == ["outbox.failed"]


def test_an_unreadable_journal_is_counted_and_left_behind(opened: Any) -> None:
    first = opened()
    first.outbox.journal(b"\xff not ours", 7)
    first.close()
    second = opened()
    assert second.health.counts["journal_failures"] == 1
    assert second.source.position == 7


def test_rows_of_a_clock_that_jumped_go_in_batches_of_their_own(opened: Any, city: Any) -> None:
    agent = opened()
    for n, at_ms in enumerate((NOW_MS, NOW_MS + 80 * 86_400_000, NOW_MS - 86_400_001)):
        hear(agent, n, at_ms)
    agent.keeper.keep(is_final=True)
    assert agent.outbox.totals().pending_batches == 3
    assert len(rows_of(agent, city)) == 3


def test_rows_that_no_batch_can_hold_block_nothing(opened: Any, city: Any) -> None:
    agent = opened()
    agent.keeper.sight.merge.ready.append(Merged(0, b"short", None, None, -70, -70, 1, NOW_MS, NOW_MS, NOW_MS))
    agent.keeper.keep()
    assert agent.outbox.totals().put_rows == 0
    hear(agent, 1)
    agent.keeper.sight.merge.ready.append(Merged(0, bytes(8), None, None, -700, -70, 1, NOW_MS, NOW_MS, NOW_MS))
    hear(agent, 2)
    agent.keeper.keep()
    assert agent.health.counts["rows_unfit"] == 2
    assert [row.id for row in rows_of(agent, city)] == [bytes(7) + b"\x01", bytes(7) + b"\x02"]


def test_a_moving_gateway_waits_for_its_position(opened: Any, city: Any) -> None:
    agent = opened()
    agent.keeper.track = position.whereabouts(60.0)
    agent.keeper.sealer = type(agent.keeper.sealer)(
        city.bundle, "gw-1", agent.keeper.sealer.key, Clock(0, NOW_MS, 1e-5)
    )
    now_ms = agent.keeper.sealer.clock.now_ms()
    hear(agent, 1, now_ms - 61_000)
    hear(agent, 2, now_ms)
    agent.keeper.keep()
    assert [row.lat_deg for row in rows_of(agent, city)] == [None]
    agent.keeper.track.add(Position(now_ms, 34.76, 134.84, 5.0, 8.0))
    agent.keeper.keep()
    (_, second) = rows_of(agent, city)
    assert (second.lat_deg, second.lon_deg, second.position_accuracy_m) == (34.76, 134.84, 5.0)


def test_a_gateway_that_stands_still_says_no_position(opened: Any, city: Any) -> None:
    agent = opened()
    hear(agent, 1)
    agent.keeper.keep()
    assert [row.lat_deg for row in rows_of(agent, city)] == [None]


def test_the_trail_of_a_vehicle_reaches_no_further_back_than_its_waiting_rows(opened: Any, city: Any) -> None:
    agent = opened()
    track = agent.keeper.track = position.whereabouts(60.0)
    sealer = agent.keeper.sealer
    now_ms = Clock().now_ms()
    agent.keeper.sealer = type(sealer)(city.bundle, "gw-1", sealer.key, Clock())
    for second in range(300):
        track.add(Position(now_ms - (300 - second) * 1000, 34.76 + second * 1e-4, 134.84, 5.0, 8.0))
    hear(agent, 1, now_ms - 30_500)
    agent.keeper.keep(is_final=True)
    agent.keeper.keep()
    assert len(track) == 2  # one window of a second, and the point before it
    (row,) = rows_of(agent, city)
    assert row.position_age_s == 1
    assert row.lat_deg == pytest.approx(34.76 + 269.5e-4)
    hear(agent, 2, now_ms - 500)
    track.add(Position(now_ms + 60_000, 34.8, 134.84, 5.0, 8.0))
    agent.keeper.keep()
    assert len(track) > 1
