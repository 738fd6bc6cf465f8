"""How often footage of a camera was released, as the public page counts it."""

import pytest

from server.store import camera_use
from tests.casework import DAY_MS, NOW_MS, WINDOW, Hall

pytestmark = pytest.mark.db


async def _released(hall: Hall, from_ms: int, to_ms: int) -> dict[str, int]:
    async with hall.pool.connection() as conn:
        return await camera_use.released(conn, "mimamori", from_ms=from_ms, to_ms=to_ms)


async def test_a_camera_counts_once_for_each_request_whose_footage_was_released(hall: Hall) -> None:
    await hall.released()
    await hall.submitted()
    assert await _released(hall, NOW_MS - DAY_MS, NOW_MS + DAY_MS) == {WINDOW.detector: 1}


async def test_a_request_decided_after_the_time_is_not_counted_yet(hall: Hall) -> None:
    await hall.released()
    assert await _released(hall, NOW_MS - DAY_MS, NOW_MS) == {}
