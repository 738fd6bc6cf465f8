"""What left the radio is in the store exactly once, whatever dies when."""

import random
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [pytest.mark.system, pytest.mark.db, pytest.mark.timeout(900)]
ROUNDS = {"nats": 24, "mosquitto": 6}
VICTIMS = ("broker", "database", "ingest", "api", "notify", "edge", "phones")


@pytest.mark.parametrize("broker", ["nats", "mosquitto"])
def test_kill_9_at_random_moments_loses_and_doubles_nothing(broker: str, village: Callable[..., Any]) -> None:
    chance = random.Random(20261124)
    town = village(broker=broker)
    deaths = [*VICTIMS, *chance.choices(VICTIMS, k=ROUNDS[broker])][: max(ROUNDS[broker], len(VICTIMS))]
    for victim in deaths:
        town.pause(chance.uniform(0.3, 2.0))
        town.kill(victim)
        town.pause(chance.uniform(0.0, 1.0))
        assert town.wait_ready(victim)
    town.deliver_all()
    truth, stored = town.truth(), town.stored()
    assert sum(truth.values()) > 500
    assert stored == truth
    assert sum(town.supervisor.restarts().values()) >= ROUNDS[broker]
    assert town.said_twice() == 0
