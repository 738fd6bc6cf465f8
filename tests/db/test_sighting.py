import dataclasses
import datetime as dt
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.config import ServerConfig
from server.store import retention, sighting
from server.store.connection import Connection, connect
from server.store.sighting import Sightings

pytestmark = pytest.mark.db
NOW_MS = 1_795_402_800_000  # 2026-11-23T03:00:00Z
DAY_MS = 86_400_000


@pytest.fixture
async def conn(db: ServerConfig) -> AsyncIterator[Connection]:
    opened = await connect(db.dsn("ingest"))
    yield opened
    await opened.close()


def _rows(times_ms: list[int]) -> Sightings:
    n = len(times_ms)
    ts = np.array(times_ms, np.int64)
    where = np.where(np.arange(n) % 2 == 0, np.nan, 34.5 + np.arange(n) / 1000)
    return Sightings(
        ts, ts - 9_000, np.arange(n, dtype=np.int32), np.full(n, 7, np.int32), np.full(n, 70_000, np.int32),
        np.full(n, -41, np.int16), np.full(n, -127, np.int16), np.full(n, 1023, np.int16), np.full(n, 255, np.int16),
        where, where + 100, np.where(np.isnan(where), np.nan, 12.5).astype(np.float32),
        np.where(np.arange(n) % 3 == 0, -1, 29).astype(np.int16),
    )  # fmt: skip


async def _days(conn: Connection) -> list[str]:
    rows = await conn.execute(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'sighting'::regclass ORDER BY 1"
    )
    return [row[0].removeprefix("sighting_") for row in await rows.fetchall()]


@pytest.mark.parametrize("n", [5, 30_000])
async def test_what_is_copied_is_read_back(conn: Connection, n: int) -> None:
    rows = _rows([NOW_MS + k for k in range(n)])
    await sighting.copy(conn, rows)
    back = await sighting.recent(conn, NOW_MS)
    _assert_same(back, rows)


def _assert_same(back: Sightings, rows: Sightings) -> None:
    """Compare rows whose tags are numbered in their order."""
    assert len(back) == len(rows)
    order = np.argsort(back.tag_index)
    for field in dataclasses.fields(Sightings):
        was, read = getattr(rows, field.name), getattr(back, field.name)
        np.testing.assert_array_equal(read[order], was)
        assert read.dtype == was.dtype


_TIMES_MS = st.integers(0, 253_402_300_799_999)
_PLACES = st.tuples(st.floats(-90, 90), st.floats(-180, 180), st.floats(0, 1e6, width=32))
_ROWS = st.tuples(
    st.tuples(_TIMES_MS, _TIMES_MS),
    st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1)),
    st.tuples(*[st.integers(-(2**15), 2**15 - 1)] * 4),
    st.one_of(_PLACES, st.just((np.nan,) * 3)),
    st.tuples(st.integers(-1, 2**15 - 1)),
)
_KINDS = [np.int64] * 2 + [np.int32] * 2 + [np.int16] * 4 + [np.float64] * 2 + [np.float32, np.int16]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_ROWS, max_size=30))
async def test_whatever_is_said_and_left_out_comes_back(
    conn: Connection, drawn: list[tuple[tuple[float, ...], ...]]
) -> None:
    flat = [sum(row, ()) for row in drawn]
    columns: list[Any] = [np.array([row[number] for row in flat], kind) for number, kind in enumerate(_KINDS)]
    columns.insert(2, np.arange(len(flat), dtype=np.int32))
    rows = Sightings(*columns)
    async with conn.transaction(force_rollback=True):
        await sighting.copy(conn, rows)
        _assert_same(await sighting.recent(conn, 0), rows)


async def test_the_view_by_name_tells_the_battery(db: ServerConfig) -> None:
    owner = await connect(db.dsn())
    async with owner:
        rows = await owner.execute("SELECT battery_dv, tag_id FROM sighting_by_name")
        assert await rows.fetchall() == []


async def test_nothing_copied_is_nothing_read(conn: Connection) -> None:
    await sighting.copy(conn, _rows([]))
    assert len(await sighting.recent(conn, 0)) == 0


async def test_partitions_are_made_ahead_and_dropped_behind(conn: Connection) -> None:
    await retention.sweep(conn, NOW_MS)
    assert await _days(conn) == [*(f"d202611{day}" for day in range(20, 27)), "default"]
    await sighting.copy(conn, _rows([NOW_MS - 2 * DAY_MS, NOW_MS, NOW_MS + 1]))
    swept = await retention.sweep(conn, NOW_MS + 3 * DAY_MS)
    assert (swept.partitions_made, swept.partitions_dropped) == (3, 3)
    assert (await sighting.recent(conn, 0)).ts.tolist() == [NOW_MS, NOW_MS + 1]


async def test_town_time_may_leap_by_weeks(conn: Connection) -> None:
    for weeks in (0, 3, 2, 50):
        await retention.sweep(conn, NOW_MS + weeks * 7 * DAY_MS)
    assert len(await _days(conn)) == 8


async def test_rows_of_a_day_without_partition_wait_and_move_in(conn: Connection) -> None:
    await sighting.copy(conn, _rows([NOW_MS, NOW_MS + DAY_MS]))
    await sighting.prepare(conn, dt.date(2026, 11, 23), dt.date(2026, 11, 23))
    rows = await conn.execute("SELECT tableoid::regclass::text FROM sighting ORDER BY ts")
    assert [row[0] for row in await rows.fetchall()] == ["sighting_d20261123", "sighting_default"]


async def test_days_that_are_over_are_ordered_by_tag_once(conn: Connection) -> None:
    await sighting.prepare(conn, dt.date(2026, 11, 22), dt.date(2026, 11, 23))
    assert await sighting.seal(conn, dt.date(2026, 11, 23)) == 1
    assert await sighting.seal(conn, dt.date(2026, 11, 23)) == 0


@pytest.mark.parametrize(("hours", "first"), [(0, 20), (20, 20), (21, 21), (45, 22)])
def test_a_whole_day_is_kept_while_any_of_it_must_be(hours: int, first: int) -> None:
    kept_ms = retention.first_kept_ms(NOW_MS + hours * 3_600_000)
    assert dt.datetime.fromtimestamp(kept_ms / 1000, dt.UTC) == dt.datetime(2026, 11, first, tzinfo=dt.UTC)
