"""What left the radio is in the store exactly once, whatever dies when."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from server.store.totals import read as read_totals

pytestmark = [pytest.mark.system, pytest.mark.db, pytest.mark.timeout(900)]
ROUNDS = {"nats": 24, "mosquitto": 6}
VICTIMS = ("broker", "database", "ingest", "api", "notify", "edge")
"""Not the phones: one that was killed forgets where it was, and drops what it may have heard in a no-report zone."""


@pytest.mark.parametrize("broker", ["nats", "mosquitto"])
def test_kill_9_at_random_moments_loses_and_doubles_nothing(broker: str, founded: Callable[..., Any]) -> None:
    chance = random.Random(20261124)
    deaths = [*VICTIMS, *chance.choices(VICTIMS, k=ROUNDS[broker])][: ROUNDS[broker]]
    with founded(broker=broker) as town:
        for victim in deaths:
            town.pause(chance.uniform(0.3, 2.0))
            town.kill(victim)
            town.pause(chance.uniform(0.0, 1.0))
        town.deliver_all()
        assert sum(town.truth().values()) > 500
        assert town.wrong() == {}, read_totals(town.settings.dsn())
        assert town.said_twice() == 0
