"""What the core is started from again: clocks, presences, held places, and how far it had gone."""

import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import psycopg
import pytest

from server.config import ServerConfig
from server.store import batch, held, presence, roster, tagstate, watermark
from server.store.batch import BatchRows
from server.store.columns import Rows
from server.store.connection import Connection, connect
from server.store.held import HeldRows
from server.store.presence import PresenceRows
from server.store.tagstate import TagStates

pytestmark = pytest.mark.db
NOON_MS = 1_795_402_800_000
TOWN = """
INSERT INTO city VALUES ('mimamori', 'みまもり市', 'Mimamori City', 'Asia/Tokyo');
INSERT INTO tag (id, city_id, kind, static_id, shard) VALUES ('t-1', 'mimamori', 'uid', '\\x0000000000000001', 1),
    ('t-2', 'mimamori', 'uid', '\\x0000000000000002', 2);
INSERT INTO ward VALUES ('w-1', 'mimamori', 'ゆい', 'Yui', 't-1'), ('w-2', 'mimamori', 'そら', 'Sora', 't-2');
INSERT INTO place VALUES ('p-1', 'mimamori', '学校', 'School', 'school', 34.5, 134.5, 60);
INSERT INTO detector (id, city_id, kind, label_ja, label_en, public_key)
    VALUES ('d-1', 'mimamori', 'phone', '電話', 'Phone', '');
"""
WARDS = ["w-1", "w-2"]


@pytest.fixture
async def conn(db: ServerConfig) -> AsyncIterator[Connection]:
    with psycopg.connect(db.dsn(), autocommit=True) as owner:
        owner.execute(TOWN.encode())
    opened = await connect(db.dsn("ingest"))
    yield opened
    await opened.close()


def _as_lists(rows: Rows) -> list[list[Any]]:
    columns = [getattr(rows, field.name) for field in dataclasses.fields(rows)]
    return [list(column) for column in columns]


def _states(sos_from_ms: list[int], **over: Any) -> TagStates:
    whole, real = np.array([NOON_MS, 0]), np.array([0.25, -1e12])
    sos_ms = np.array(sos_from_ms)
    states = TagStates(["t-1", "t-2"], real, real, whole, whole, whole, real, np.array([True, False]), sos_ms, sos_ms)
    return dataclasses.replace(states, **over)


async def test_a_clock_loses_nothing_by_a_restart(conn: Connection) -> None:
    await tagstate.save(conn, _states([NOON_MS, 0]))
    one, two = await roster.tags(conn, "mimamori")
    for tag, ms, real in ((one, NOON_MS, 0.25), (two, None, -1e12)):
        assert (tag.offset_ms, tag.rate_ppm, tag.anchor_offset_ms) == (real, real, real)
        assert {tag.learned_at_ms, tag.accepted_beacon_ms, tag.anchor_ms, tag.sos_from_ms, tag.sos_until_ms} == {ms}
    assert (one.is_lost, two.is_lost) == (True, False)


async def test_a_press_stays_where_none_is_told(conn: Connection) -> None:
    await tagstate.save(conn, _states([NOON_MS, 0]))
    await tagstate.save(conn, _states([0, NOON_MS], learned_ms=np.array([0, NOON_MS])))
    one, two = await roster.tags(conn, "mimamori")
    assert (one.learned_at_ms, one.sos_from_ms, two.sos_until_ms) == (None, NOON_MS, NOON_MS)


async def test_presences_come_back(conn: Connection) -> None:
    assert len(await presence.load(conn)) == 0
    ms = np.array([NOON_MS, 0])
    rows = PresenceRows(WARDS, ["p-1"] * 2, np.array([True, False]), ms + 1, ms, ms, np.array([2, 0], np.int32))
    await presence.save(conn, rows)
    assert _as_lists(await presence.load(conn)) == _as_lists(rows)
    await presence.save(conn, dataclasses.replace(rows, candidate_since_ms=ms * 0))
    assert (await presence.load(conn)).candidate_since_ms.tolist() == [0, 0]


async def test_held_places_come_back_until_they_are_decided(conn: Connection) -> None:
    assert len(await held.load(conn)) == 0
    e7, ms = np.array([-900_000_000, 345_000_000], np.int32), np.array([NOON_MS, NOON_MS + 1])
    rows = HeldRows(WARDS, e7, e7 * 2, ms, ms - 5, np.array([0.5, 9], np.float32), np.array([1, 2], np.int32))
    await held.save(conn, rows)
    await held.save(conn, dataclasses.replace(rows, hits=rows.hits + 1).take(np.array([False, True])))
    back = await held.load(conn)
    assert _as_lists(back)[:6] == _as_lists(rows)[:6]
    assert back.hits.tolist() == [1, 3]
    await held.delete(conn, ["w-1", "w-9"])
    await held.delete(conn, [])
    assert (await held.load(conn)).wards == ["w-2"]


def test_the_planner_keeps_no_sample_of_held_places(db: ServerConfig) -> None:
    with psycopg.connect(db.dsn(), autocommit=True) as owner:
        owner.execute(TOWN.encode())
        owner.execute("INSERT INTO held_place SELECT id, 345000000, 1345000000, now(), now(), 5, 1 FROM ward")
        owner.execute("ANALYZE held_place")
        kept = owner.execute("SELECT attname FROM pg_stats WHERE tablename = 'held_place'").fetchall()
    assert ("since",) in kept
    assert not {("lat_e7",), ("lon_e7",)} & set(kept)


@pytest.mark.parametrize("role", ["api", "notify"])
@pytest.mark.parametrize("table", ["held_place", "core_watermark"])
def test_nobody_but_ingest_sees_what_the_core_keeps(db: ServerConfig, role: str, table: str) -> None:
    with psycopg.connect(db.dsn(role)) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute(f"SELECT 1 FROM {table}".encode())


async def test_the_watermark_is_one_row_that_is_written_in_place(conn: Connection, db: ServerConfig) -> None:
    assert await watermark.load(conn) is None
    for ms in range(200):
        await watermark.save(conn, NOON_MS + ms)
    assert await watermark.load(conn) == NOON_MS + 199
    with psycopg.connect(db.dsn()) as owner:
        pages = owner.execute("SELECT pg_relation_size('core_watermark_pkey') / 8192").fetchone()
    assert pages == (2,)  # one besides the first, which is always there


async def test_a_batch_that_is_known_may_not_be_added_again(conn: Connection) -> None:
    number, count = np.array([2**62, 3]), np.array([1, 2], np.int32)
    rows = BatchRows(["d-1", "d-1"], number, number - 1, number * 0 + NOON_MS, *[count] * 5)
    await batch.add(conn, rows)
    known = await batch.known(conn, [("d-1", 2**62, 2**62 - 1), ("d-1", 3, 3), ("d-2", 3, 2)])
    assert known == {("d-1", 2**62, 2**62 - 1)}
    with pytest.raises(psycopg.errors.UniqueViolation):
        await batch.add(conn, rows.take(np.array([False, True])))
