"""How gateways are, kept and asked for again."""

import dataclasses
from collections.abc import AsyncIterator

import psycopg
import pytest

from server.config import ServerConfig
from server.store import health
from server.store.connection import Connection, connect
from server.store.health import Health
from wire.condition import Condition

pytestmark = pytest.mark.db
NOON_MS = 1_795_402_800_000
TOWN = """
INSERT INTO city VALUES ('mimamori', 'みまもり市', 'Mimamori City', 'Asia/Tokyo');
INSERT INTO detector (id, city_id, kind, label_ja, label_en, public_key, lat_deg, lon_deg, revoked_at) VALUES
    ('gw-1', 'mimamori', 'fixed', '正門', 'Gate', '', 34.7, 134.8, NULL),
    ('gw-2', 'mimamori', 'fixed', '駅', 'Station', '', 34.7, 134.8, NULL),
    ('gw-3', 'mimamori', 'fixed', '廃止', 'Gone', '', 34.7, 134.8, now()),
    ('car-1', 'mimamori', 'vehicle', '公用車', 'City car', '', NULL, NULL, NULL),
    ('d-1', 'mimamori', 'phone', '電話', 'Phone', '', NULL, NULL, NULL);
"""
FULL = Condition(
    True, 12, 340, 9_000, -512, 310, 92, 0, 4, "moved", 2_500, 7, NOON_MS, 512, bytes(range(32)), False, NOON_MS + 1
)  # fmt: skip
BEAT = Health("gw-1", NOON_MS, 0, NOON_MS - 5, 7, 60, 2, NOON_MS - 90, 5, 1, 0, 99, "edge", FULL)


@pytest.fixture
async def conn(db: ServerConfig) -> AsyncIterator[Connection]:
    with psycopg.connect(db.dsn(), autocommit=True) as owner:
        owner.execute(TOWN.encode())
    opened = await connect(db.dsn("ingest"))
    yield opened
    await opened.close()


async def test_a_condition_comes_back_whole_and_one_that_is_not_said_as_nothing(
    conn: Connection, db: ServerConfig
) -> None:
    await health.save(conn, [BEAT, dataclasses.replace(BEAT, detector="car-1", condition=Condition())])
    car, gate, station = await health.standings(conn)
    assert (gate.detector, gate.state, gate.condition) == ("gw-1", "online", FULL)
    assert (gate.received_at_ms, gate.sent_at_ms, gate.oldest_queued_ms) == (NOON_MS, NOON_MS - 5, NOON_MS - 90)
    assert (car.detector, car.condition) == ("car-1", Condition())
    assert (station.detector, station.state, station.received_at_ms) == ("gw-2", None, None)
    assert health.read_standings(db.dsn()) == [car, gate, station]


async def test_when_rows_were_thinned_is_kept_until_more_are(conn: Connection) -> None:
    for minute, rows in enumerate((0, 5, 5, 5, 9, 0, None)):
        said = dataclasses.replace(FULL, rows_thinned=rows)
        await health.save(conn, [dataclasses.replace(BEAT, received_at_ms=NOON_MS + minute * 60_000, condition=said)])
        thinned_at_ms = (await health.standings(conn))[1].thinned_at_ms
        last = {0: None, 1: 1, 2: 1, 3: 1, 4: 4, 5: 4, 6: 4}[minute]
        assert thinned_at_ms == (None if last is None else NOON_MS + last * 60_000)


async def test_an_older_heartbeat_changes_nothing_of_the_condition(conn: Connection) -> None:
    await health.save(conn, [BEAT])
    await health.save(conn, [dataclasses.replace(BEAT, received_at_ms=NOON_MS - 1, condition=Condition(camera="off"))])
    assert (await health.standings(conn))[1].condition == FULL
