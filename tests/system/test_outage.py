"""Three days without a network, in seconds; at full size it is `make outage`."""

import pytest

from bench.pipeline import Site
from tests.system.outage import Asked, play, town_for

ASKED = Asked(hours=72, rate=20, live_rate=5, sparse=360)


@pytest.mark.timeout(120)
def test_three_days_without_a_network_lose_nothing_and_a_call_for_help_does_not_wait() -> None:
    with Site(town_for(ASKED.rate)) as site:
        found = play(ASKED, site)
    print(f"recovery: {found.recovery_rows_per_s:,.0f} rows/s, {found.recovery_sightings_per_s:,.0f} sightings/s")  # noqa: T201 - the figure that is asked for
    assert found.heard > 72 * 3600 / ASKED.sparse * ASKED.rate
    assert (found.lost, found.doubled, found.expired, found.thinned_rows) == (0, 0, 0, 0)
    assert 0 < found.sos_s < found.recovery_s
    assert found.octets_per_row < 400
    assert found.rss_growth_mb < 60
