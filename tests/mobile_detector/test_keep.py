import dataclasses
import random
import time
from typing import Any

import pytest

from mobile_detector.agent import Agent
from mobile_detector.config import OutboxConfig
from wire.frames import EidFrame, encode
from wire.hci import Report, legacy_event
from wire.merge import Merged

NOW_MS = time.time_ns() // 1_000_000


def _hear(agent: Agent, eid: bytes, at_ms: int) -> None:
    data = encode(EidFrame(0, eid, b"sealed"))
    agent.ear.hear_packet(legacy_event([Report("ADV_NONCONN_IND", bytes(6), -70, data)]), at_ms)


@pytest.fixture
def agent(phone: Any) -> Any:
    config = dataclasses.replace(phone(upload_url="http://127.0.0.1:1/"), outbox=OutboxConfig(max_bytes=100_000))
    agent = Agent.open(config)
    agent._read_zones()
    yield agent
    agent.outbox.close()


def test_a_full_outbox_gives_up_old_rows_counts_them_and_empties_with_the_receipts(city: Any, agent: Any) -> None:
    rng = random.Random(1)
    for _ in range(100):
        for _ in range(40):
            _hear(agent, rng.randbytes(8), NOW_MS)
        agent.keeper.keep()
    thinned = agent.outbox.totals().thinned_rows
    assert 0 < thinned < 4_000
    while pending := agent.outbox.pending(100):
        for item in pending:
            agent.receipts.take(city.take(item.payload))
    assert sum(row.count for row in city.all_rows()) == 4_000 - thinned


def test_the_radio_may_forget_only_what_is_in_a_batch(agent: Any) -> None:
    _hear(agent, b"12345678", NOW_MS)
    agent.radio.position = 17
    assert agent.outbox.restore() == (b"", 0)
    agent.keeper.keep()
    assert agent.outbox.restore() == (b"", 17)
    assert agent.radio._safe == 17


def test_a_window_of_nothing_but_a_zone_frees_the_radio_and_puts_nothing(agent: Any) -> None:
    _hear(agent, b"12345678", NOW_MS)
    agent.ear.zones = None
    agent.radio.position = 5
    agent.keeper.keep()
    assert agent.outbox.totals().put_rows == 0
    assert agent.outbox.restore() == (b"", 5)


def test_rows_and_position_are_put_in_one_step_however_many_there_are(phone: Any) -> None:
    agent = Agent.open(phone(upload_url="http://127.0.0.1:1/"))
    agent._read_zones()
    for number in range(10_500):
        _hear(agent, number.to_bytes(8, "big"), NOW_MS)
    agent.radio.position = 10_500
    agent.keeper.keep()
    assert agent.outbox.totals().pending_batches == 1
    assert agent.outbox.totals().put_rows == 10_000
    assert agent.outbox.restore() == (b"", 10_500)
    agent.outbox.close()


def test_a_row_that_no_batch_can_hold_takes_no_other_with_it(city: Any, agent: Any) -> None:
    _hear(agent, b"12345678", NOW_MS)
    agent.ear.merge.ready.append(Merged(0, bytes(8), None, None, -700, -70, 1, NOW_MS, NOW_MS, NOW_MS))
    agent.keeper.keep()
    for item in agent.outbox.pending(9):
        agent.receipts.take(city.take(item.payload))
    assert [row.id for row in city.all_rows()] == [b"12345678"]
