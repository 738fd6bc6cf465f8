from collections.abc import AsyncIterator

import psycopg
import pytest

from server.config import ServerConfig
from server.core.places import Event, Kind
from server.store import event
from server.store.connection import Connection, connect

pytestmark = pytest.mark.db
NOON_MS = 1_795_402_800_000
TOWN = """
INSERT INTO city VALUES ('mimamori', 'みまもり市', 'Mimamori City', 'Asia/Tokyo');
INSERT INTO ward VALUES ('w-1', 'mimamori', 'ゆい', 'Yui'), ('w-2', 'mimamori', 'そら', 'Sora');
INSERT INTO place VALUES ('p-1', 'mimamori', '学校', 'School', 'school', 34.5, 134.5, 60);
INSERT INTO watch VALUES ('w-1', 'p-1', true, false, 60);
INSERT INTO account VALUES ('g-1', 'one', 'x', '母', 'Mother', 'a@example.jp'),
    ('g-2', 'two', 'x', '父', 'Father', NULL), ('g-3', 'three', 'x', '祖母', 'Grandmother', 'b@example.jp');
INSERT INTO guardianship (guardian_id, ward_id) VALUES ('g-1', 'w-1'), ('g-2', 'w-1');
INSERT INTO guardianship VALUES ('g-3', 'w-1', '-infinity', '2026-01-01');
INSERT INTO push_subscription (guardian_id, endpoint, p256dh, auth)
    VALUES ('g-1', 'x', '', ''), ('g-1', 'y', '', ''), ('g-2', 'z', '', '');
"""
ARRIVED = Event("w-1", "p-1", Kind.ARRIVED, NOON_MS)
DEPARTED = Event("w-1", "p-1", Kind.DEPARTED, NOON_MS + 1)
SOS = Event("w-1", None, Kind.SOS, NOON_MS + 2)
NOBODYS = Event("w-2", None, Kind.SOS, NOON_MS + 3)


@pytest.fixture
async def conn(db: ServerConfig) -> AsyncIterator[Connection]:
    with psycopg.connect(db.dsn(), autocommit=True) as owner:
        owner.execute(TOWN.encode())
    opened = await connect(db.dsn("ingest"))
    yield opened
    await opened.close()


async def test_everyone_in_charge_is_told_by_every_way_they_have(conn: Connection) -> None:
    new, notices = await event.tell(conn, [NOBODYS, SOS, DEPARTED, ARRIVED], NOON_MS + 5)
    assert new == [NOBODYS, SOS, DEPARTED, ARRIVED]
    assert notices == 8
    found = await conn.execute(
        """SELECT e.kind, n.guardian_id, n.channel, count(*) FROM event AS e JOIN notice AS n ON n.event_id = e.id
           GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"""
    )
    told = [("g-1", "mail", 1), ("g-1", "push", 2), ("g-2", "push", 1)]
    assert await found.fetchall() == [(kind, *rest) for kind in ("arrived", "sos") for rest in told]


async def test_an_event_that_is_known_is_told_once(conn: Connection) -> None:
    assert await event.tell(conn, [SOS, SOS], NOON_MS + 5) == ([SOS], 4)
    assert await event.tell(conn, [SOS], NOON_MS + 6) == ([], 0)
    assert await event.tell(conn, [DEPARTED, SOS, ARRIVED], NOON_MS + 7) == ([DEPARTED, ARRIVED], 4)
    assert await event.tell(conn, [], NOON_MS + 8) == ([], 0)


async def test_ids_are_in_the_order_of_the_events(conn: Connection) -> None:
    events = [Event("w-1", None, Kind.SOS, NOON_MS + 7919 * n % 1009) for n in range(1009)]
    new, _ = await event.tell(conn, events, NOON_MS)
    found = await conn.execute("SELECT (extract(epoch FROM at) * 1000)::bigint FROM event ORDER BY id")
    assert [row[0] for row in await found.fetchall()] == [e.at_ms for e in events] == [e.at_ms for e in new]
