from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.config import ServerConfig
from server.store import fix
from server.store.connection import Connection, connect
from server.store.fix import FixRows, LastRows

pytestmark = pytest.mark.db
NOON_MS = 1_795_402_800_000
WARDS = """
INSERT INTO city VALUES ('mimamori', 'みまもり市', 'Mimamori City', 'Asia/Tokyo');
INSERT INTO ward VALUES ('w-1', 'mimamori', 'ゆい', 'Yui'), ('w-2', 'mimamori', 'そら', 'Sora');
"""


@pytest.fixture
async def conn(db: ServerConfig) -> AsyncIterator[Connection]:
    with psycopg.connect(db.dsn(), autocommit=True) as owner:
        owner.execute(WARDS.encode())
    opened = await connect(db.dsn("ingest"))
    yield opened
    await opened.close()


Upsert = tuple[str, int, int, bool]
"""Ward, bucket, detectors, is whole."""


def _rows(upserts: list[Upsert], from_number: int = 0) -> FixRows:
    """Return rows each of which is at a place of its own: 30 degrees north and its number east."""
    n = len(upserts)
    bucket_ms = np.array([NOON_MS + 10_000 * bucket for _, bucket, _, _ in upserts], np.int64)
    return FixRows(
        [ward for ward, *_ in upserts],
        bucket_ms,
        bucket_ms + 5_000,
        np.full(n, 30.0),
        np.arange(from_number, from_number + n, dtype=np.float64),
        np.full(n, 12.5, np.float32),
        np.array([detectors for _, _, detectors, _ in upserts], np.int16),
        bucket_ms + 7_000,
        np.zeros(n, np.bool_),
        np.array([is_whole for *_, is_whole in upserts], np.bool_),
    )


async def _table(conn: Connection, columns: str, table: str) -> list[tuple[Any, ...]]:
    found = await conn.execute(f"SELECT {columns} FROM {table} ORDER BY 1, 2".encode())
    return await found.fetchall()


_UPSERTS = st.tuples(st.sampled_from(["w-1", "w-2"]), st.integers(0, 2), st.integers(1, 4), st.booleans())


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_UPSERTS, max_size=14))
async def test_many_at_once_end_as_one_after_the_other(conn: Connection, upserts: list[Upsert]) -> None:
    seen = []
    for parts in ([upserts], [upserts[:5], upserts[5:]], [[upsert] for upsert in upserts]):
        async with conn.transaction(force_rollback=True):
            number = 0
            for part in parts:
                await fix.save(conn, _rows(part, number))
                await fix.save_doubtful(conn, _rows(part, number))
                number += len(part)
            kept = await _table(conn, "ward_id, bucket_at, lon_deg, detectors, whole", "fix")
            seen.append((kept, await _table(conn, "ward_id, bucket_at, lon_deg, detectors, reason", "doubtful_fix")))
    assert seen[0] == seen[1] == seen[2]


async def test_a_part_replaces_only_what_fewer_said_and_the_whole_everything(conn: Connection) -> None:
    await fix.save(conn, _rows([("w-1", 0, 3, False), ("w-1", 0, 2, False), ("w-1", 0, 1, True), ("w-1", 0, 1, False)]))
    assert await _table(conn, "lon_deg, detectors, whole", "fix") == [(2.0, 1, True)]


def _last(heard_ms: int, *, battery_dv: int = 29, ward: str = "w-1") -> LastRows:
    ms, no = np.array([heard_ms]), np.zeros(1, np.bool_)
    place = np.array([34.5]), np.array([134.5]), np.array([12.5], np.float32)
    return LastRows([ward], *place, ms, ms + 700, no, np.array([battery_dv], np.int16), no, ~no, no)


async def test_the_newest_place_does_not_go_back_and_keeps_the_battery(conn: Connection) -> None:
    for heard_ms, battery_dv in ((NOON_MS, 29), (NOON_MS + 1, -1), (NOON_MS - 1, 20)):
        await fix.save_last(conn, _last(heard_ms, battery_dv=battery_dv))
    await fix.save_last(conn, _last(NOON_MS, battery_dv=-1, ward="w-2"))
    assert await _table(conn, "ward_id, battery_dv, moving", "last_place") == [("w-1", 29, True), ("w-2", None, True)]
    known = await fix.load_last(conn)
    assert dict(zip(known.wards, known.heard_ms.tolist(), strict=True)) == {"w-1": NOON_MS + 1, "w-2": NOON_MS}
    assert known.lat_deg.tolist() == [34.5, 34.5]


async def test_nothing_is_written_and_read_where_there_is_nothing(conn: Connection) -> None:
    await fix.save(conn, _rows([]))
    await fix.save_last(conn, _last(NOON_MS).take(np.zeros(1, np.bool_)))
    known = await fix.load_last(conn)
    assert (len(known), known.wards) == (0, [])
    assert known.heard_ms.dtype == np.int64


async def test_a_ward_that_is_gone_is_refused(conn: Connection) -> None:
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        await fix.save(conn, _rows([("w-9", 0, 1, True)]))
