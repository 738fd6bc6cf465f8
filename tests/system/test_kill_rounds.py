"""What left the radio is in the store exactly once, whatever dies when. The soak does this for longer: `make soak`."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from server.store.totals import read as read_totals
from tests.system.deaths import Deaths
from tests.system.village import Village

pytestmark = [pytest.mark.system, pytest.mark.db, pytest.mark.timeout(900)]
ROUNDS = {"nats": 24, "mosquitto": 6}


@pytest.mark.parametrize("broker", ["nats", "mosquitto"])
def test_kill_9_at_random_moments_loses_and_doubles_nothing(
    broker: str, founded: Callable[..., AbstractContextManager[Village]]
) -> None:
    with founded(broker=broker) as village:
        deaths = Deaths(village, seed=20261124)
        for _ in range(ROUNDS[broker]):
            deaths.strike()
        village.deliver_all()
        assert sum(village.truth().values()) > 500
        assert village.wrong() == {}, read_totals(village.settings.dsn())
        assert village.said_twice() == 0
