"""The sealed history of wards on two real databases, and what is left of it after an erasure."""

import asyncio
import contextlib
import dataclasses
import random
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import psycopg
import pytest

from server import keys as server_keys
from server.config import ServerConfig
from server.history.erase import erase
from server.history.errors import KeyStoreError, UnknownWardError
from server.history.fixes import HOUR_MS
from server.history.keyring import HELD_S, KeyRing
from server.history.sealing import HOT_MS, Sealer
from server.history.track import track
from server.ingest.page import write
from server.ingest.parcel import Work
from server.store import erasure, fix, retention, ward_hour
from server.store.connection import Connection, connect
from server.store.errors import StaleRosterError
from server.store.family import FixRow
from server.store.fix import FixRows
from tests.granting import seeing
from wire.clock import Clock

pytestmark = pytest.mark.db
Town = Any  # the class of the fixture lives in conftest.py, which tests cannot import

NOON_MS = 1_795_402_800_000
DAY_MS = 24 * HOUR_MS
LATER_MS = NOON_MS + DAY_MS + HOT_MS
WARDS = """
INSERT INTO city VALUES ('mimamori', 'みまもり市', 'Mimamori City', 'Asia/Tokyo');
INSERT INTO tag (id, city_id, kind, static_id, shard) VALUES ('t-1', 'mimamori', 'uid', '\\x0000000000000001', 1),
    ('t-2', 'mimamori', 'uid', '\\x0000000000000002', 2);
INSERT INTO ward VALUES ('w-1', 'mimamori', 'ゆい', 'Yui', 't-1'), ('w-2', 'mimamori', 'そら', 'Sora', 't-2');
INSERT INTO account VALUES ('g-1', 'demo', 'x', '母', 'Mother'), ('g-2', 'other', 'x', '父', 'Father');
INSERT INTO guardianship (guardian_id, ward_id, since)
    VALUES ('g-1', 'w-1', '2026-01-01'), ('g-2', 'w-2', '2026-01-01');
"""


@dataclasses.dataclass(frozen=True)
class Placed:
    """One row of the track; its bucket is that of its time."""

    ward: str
    at_ms: int
    lat_deg: float
    lon_deg: float
    accuracy_m: float
    detectors: int
    is_late: bool
    is_whole: bool


def _rows(fixes: list[Placed]) -> FixRows:
    columns = [np.array([dataclasses.astuple(placed)[number] for placed in fixes]) for number in range(1, 8)]
    at_ms, lat_deg, lon_deg, accuracy_m, detectors, is_late, is_whole = columns
    wards, bucket_ms, received_ms = [placed.ward for placed in fixes], at_ms // 10_000 * 10_000, at_ms + 700
    return FixRows(
        wards, bucket_ms, at_ms, lat_deg, lon_deg, accuracy_m, detectors, received_ms, is_late, is_whole
    )  # fmt: skip


def _fixes(ward: str, seed: int, *, n: int = 300, from_ms: int = NOON_MS) -> list[Placed]:
    """Return fixes of one ward over a day, each at coordinates that occur nowhere else."""
    rng = random.Random(seed)
    made = []
    for bucket in sorted(rng.sample(range(from_ms // 10_000, (from_ms + DAY_MS) // 10_000), n)):
        at_ms = bucket * 10_000 + rng.randrange(10_000)
        where = rng.uniform(34, 35), rng.uniform(134, 135), round(rng.uniform(5, 90), 1)
        made.append(Placed(ward, at_ms, *where, rng.randint(1, 4), rng.random() < 0.1, True))
    return made


@dataclasses.dataclass
class Archive:
    """Two databases with two wards, and what reads and seals them."""

    config: ServerConfig
    conn: Connection
    sealer: Sealer
    ring: KeyRing

    async def put(self, fixes: list[Placed]) -> None:
        async with self.conn.transaction():
            await fix.save(self.conn, _rows(fixes))

    async def seal(self, now_ms: int = LATER_MS, wards: list[str] | None = None) -> None:
        await self.sealer.plan(self.conn, now_ms)
        if wards is not None:
            self.sealer._wards = deque(wards)
        assert await self.sealer.work(self.conn, budget_s=60)

    async def track(self, ward: str = "w-1", **over: Any) -> list[FixRow]:
        asked: dict[str, Any] = {"span_ms": (NOON_MS - DAY_MS, NOON_MS + 3 * DAY_MS), "limit": 10_000, **over}
        async with seeing(self.config, ward, "track", account=f"g-{ward[-1]}") as conn:
            return await track(conn, self.ring, ward, **asked)

    async def count(self, table: str) -> int:
        with psycopg.connect(self.config.dsn()) as conn:
            row = conn.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
        assert row
        return int(row[0])


def _kek(config: ServerConfig) -> bytes:
    return (config.keys_dir / server_keys.HISTORY).read_bytes()


@contextlib.asynccontextmanager
async def _archive(config: ServerConfig) -> AsyncIterator[Archive]:
    rings = [KeyRing(config.keystore_dsn(role), _kek(config)) for role in ("ingest", "api")]
    async with await connect(config.dsn("ingest")) as conn:
        yield Archive(config, conn, Sealer(rings[0]), rings[1])
        for ring in rings:
            await ring.close()


@pytest.fixture
async def archive(db: ServerConfig) -> AsyncIterator[Archive]:
    server_keys.make(db)
    with psycopg.connect(db.dsn(), autocommit=True) as conn:
        conn.execute(WARDS.encode())
    async with _archive(db) as made:
        yield made


async def test_a_sealed_day_reads_as_it_was_written(archive: Archive) -> None:
    for number, ward in enumerate(("w-1", "w-2")):
        await archive.put(_fixes(ward, number))
    before = {ward: await archive.track(ward) for ward in ("w-1", "w-2")}
    assert {ward: len(rows) for ward, rows in before.items()} == {"w-1": 300, "w-2": 300}
    await archive.seal()
    assert await archive.count("fix") == 0
    assert await archive.count("ward_hour") == 2 * 24
    assert {ward: await archive.track(ward) for ward in ("w-1", "w-2")} == before


async def test_hours_that_may_still_change_stay_plain(archive: Archive) -> None:
    await archive.put(_fixes("w-1", 1))
    before = await archive.track()
    await archive.seal(NOON_MS + 12 * HOUR_MS)
    with psycopg.connect(archive.config.dsn()) as conn:
        oldest = conn.execute("SELECT (extract(epoch FROM min(bucket_at)) * 1000)::bigint FROM fix").fetchone()
    assert oldest
    assert NOON_MS + 10 * HOUR_MS <= oldest[0] < NOON_MS + 11 * HOUR_MS
    assert await archive.track() == before


@pytest.mark.parametrize(("from_h", "to_h", "limit"), [(3, 9, 99), (3.5, 3.6, 9), (-5, 0, 9), (0, 24, 7), (23, 48, 5)])
async def test_any_span_and_limit_give_the_same_sealed_or_not(
    archive: Archive, from_h: float, to_h: float, limit: int
) -> None:
    await archive.put(_fixes("w-1", 2))
    span_ms = (NOON_MS + round(from_h * HOUR_MS), NOON_MS + round(to_h * HOUR_MS))
    before = await archive.track(span_ms=span_ms, limit=limit)
    await archive.seal(NOON_MS + 8 * HOUR_MS)
    assert await archive.track(span_ms=span_ms, limit=limit) == before
    await archive.seal()
    assert await archive.track(span_ms=span_ms, limit=limit) == before


async def test_what_comes_late_is_merged_as_if_nothing_had_been_sealed(archive: Archive) -> None:
    rng = random.Random(3)
    first = _fixes("w-1", 3, n=60)
    later = []
    for placed in rng.choices(first, k=40):
        moved = dataclasses.replace(placed, lat_deg=placed.lat_deg + rng.random() * 1e-3, detectors=rng.randint(1, 4))
        later.append(dataclasses.replace(moved, is_late=True, is_whole=rng.random() < 0.3))
    for fixes in (first, later[:15], later[15:30], later[30:]):
        for ward in ("w-1", "w-2"):
            await archive.put([dataclasses.replace(placed, ward=ward) for placed in fixes])
        assert await archive.track("w-1") == await archive.track("w-2")
        await archive.seal(wards=["w-1"])
        assert await archive.track("w-1") == await archive.track("w-2")
    await archive.seal()
    assert await archive.count("fix") == 0
    assert await archive.track("w-1") == await archive.track("w-2")


async def test_a_row_put_in_another_place_is_refused(archive: Archive) -> None:
    for number, ward in enumerate(("w-1", "w-2")):
        await archive.put(_fixes(ward, number, n=3))
    await archive.seal()
    mine = await archive.track("w-1")
    with psycopg.connect(archive.config.dsn(), autocommit=True) as conn:
        conn.execute(
            "INSERT INTO ward_hour SELECT 'w-1', hour_at + interval '200 days', sealed FROM ward_hour"
            " UNION ALL SELECT 'w-1', hour_at + interval '300 days', sealed FROM ward_hour WHERE ward_id = 'w-2'"
            " ON CONFLICT DO NOTHING"
        )
    assert await archive.track("w-1", span_ms=(0, NOON_MS + 400 * DAY_MS)) == mine


async def test_sealed_hours_live_fourteen_days(archive: Archive) -> None:
    await archive.put(_fixes("w-1", 1))
    await archive.seal()
    await retention.sweep(archive.conn, NOON_MS + 14 * DAY_MS - HOUR_MS)
    assert await archive.count("ward_hour") == 24
    await retention.sweep(archive.conn, NOON_MS + 15 * DAY_MS + HOUR_MS)
    assert await archive.count("ward_hour") == 0


async def test_without_a_key_store_everything_waits_in_the_plain_table(archive: Archive) -> None:
    await archive.put(_fixes("w-1", 1))
    away = Sealer(KeyRing(archive.config.dsn("ingest").replace("dbname=", "dbname=no_"), _kek(archive.config)))
    await away.plan(archive.conn, LATER_MS)
    assert not await away.work(archive.conn)
    assert (await archive.count("fix"), await archive.count("ward_hour")) == (300, 0)
    await archive.seal()
    assert (await archive.count("fix"), await archive.count("ward_hour")) == (0, 24)


async def test_sealed_hours_without_a_key_store_are_no_empty_day(archive: Archive) -> None:
    await archive.put(_fixes("w-1", 1))
    await archive.seal()
    archive.ring = KeyRing(archive.config.dsn("api").replace("dbname=", "dbname=no_"), _kek(archive.config))
    with pytest.raises(KeyStoreError):
        await archive.track()


async def test_a_key_is_kept_before_the_first_row_under_it_and_killing_in_between_harms_nothing(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    await archive.put(_fixes("w-1", 1))
    before = await archive.track()

    def keys() -> list[tuple[Any, ...]]:
        with psycopg.connect(archive.config.keystore_dsn()) as conn:
            return conn.execute("SELECT ward_id, key_id FROM ward_key").fetchall()

    async def killed(*_: object) -> None:
        assert [ward for ward, _ in keys()] == ["w-1"]
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ward_hour, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            await archive.seal()
    left = keys()
    assert (await archive.count("fix"), await archive.count("ward_hour")) == (300, 0)
    await archive.seal()
    assert keys() == left
    assert await archive.track() == before


async def test_a_lost_key_costs_its_hours_and_nothing_else(archive: Archive) -> None:
    await archive.put(_fixes("w-1", 1))
    await archive.seal()
    with psycopg.connect(archive.config.keystore_dsn(), autocommit=True) as conn:
        conn.execute("DELETE FROM ward_key")
    assert await archive.track() == []
    fresh = _fixes("w-1", 2, n=50)
    await archive.put(fresh)
    await archive.seal()
    assert [row.heard_at_ms for row in await archive.track()] == [placed.at_ms for placed in fresh]
    assert archive.sealer.counts.lost > 0


async def test_a_key_is_held_for_seconds_and_never_longer(archive: Archive) -> None:
    await archive.put(_fixes("w-1", 1))
    await archive.seal()
    now_s = [100.0]
    archive.ring.now_s = lambda: now_s[0]
    assert len(await archive.track()) == 300
    with psycopg.connect(archive.config.keystore_dsn(), autocommit=True) as conn:
        conn.execute("DELETE FROM ward_key")
    now_s[0] += HELD_S + 0.1
    assert await archive.track() == []


async def test_a_key_store_that_was_restarted_is_found_again(archive: Archive) -> None:
    await archive.put(_fixes("w-1", 1))
    await archive.seal()
    archive.ring.now_s = iter(range(0, 10_000, 100)).__next__
    before = await archive.track()
    with psycopg.connect(archive.config.keystore_dsn(), autocommit=True) as conn:
        conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                     " AND pid <> pg_backend_pid()")  # fmt: skip
    assert await archive.track() == before


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("notify", "SELECT 1 FROM ward_hour"),
        ("notify", "SELECT 1 FROM fix"),
        ("notify", "SELECT purpose_scope('track')"),
        ("ingest", "SELECT purpose_scope('track')"),
        ("api", "DELETE FROM fix"),
    ],
)
def test_sealed_or_plain_nobody_reads_what_is_not_for_them(db: ServerConfig, role: str, statement: str) -> None:
    with psycopg.connect(db.dsn(role)) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute(statement.encode())


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("ingest", "UPDATE ward_key SET wrapped = ''"),
        ("ingest", "DELETE FROM ward_key"),
        ("api", "INSERT INTO ward_key VALUES ('w', decode(repeat('00', 16), 'hex'), '')"),
        ("api", "UPDATE ward_key SET wrapped = ''"),
        ("api", "DELETE FROM ward_key"),
        ("ingest", "CREATE TABLE mine (x int)"),
    ],
)
def test_nobody_but_the_owner_changes_or_deletes_a_key(db: ServerConfig, role: str, statement: str) -> None:
    with psycopg.connect(db.keystore_dsn(role)) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute(statement.encode())


def test_notify_does_not_even_enter_the_key_store(db: ServerConfig) -> None:
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(db.keystore_dsn("notify"))


async def test_a_grant_by_mistake_shows_nobody_a_row(archive: Archive) -> None:
    await archive.put(_fixes("w-1", 1))
    await archive.seal()
    with psycopg.connect(archive.config.dsn(), autocommit=True) as conn:
        conn.execute("GRANT SELECT ON ward_hour TO api, notify")
    for role in ("api", "notify"):
        with psycopg.connect(archive.config.dsn(role)) as conn:
            assert conn.execute("SELECT count(*) FROM ward_hour").fetchone() == (0,)


async def test_a_right_to_something_else_opens_no_hour(archive: Archive) -> None:
    await archive.put(_fixes("w-1", 1))
    await archive.seal()
    span_ms = (NOON_MS - DAY_MS, NOON_MS + 3 * DAY_MS)
    others = (("w-2", "track", span_ms), ("w-1", "place", span_ms), ("w-1", "track", (0, NOON_MS)))
    for ward, data_class, of_ms in others:
        async with seeing(archive.config, ward, data_class, span_ms=of_ms) as conn:
            assert await track(conn, archive.ring, "w-1", span_ms=span_ms, limit=99) == []


async def test_ingest_seals_by_itself_once_an_hour_is_over(town: Town) -> None:
    box, tag = town.boxes["gw-1"], town.tags["t-1"]
    for number in range(6):
        at_ms = town.noon_ms + number * HOUR_MS
        clock = Clock(origin_wall_ms=time.time_ns() // 1_000_000, origin_town_ms=at_ms)
        town.ingest.config = dataclasses.replace(town.config, clock=clock)
        await town.take(box.message(tag.row(at_ms), at_ms=at_ms))
        await town.settle(at_ms)
    assert (town.count("ward_hour"), town.count("fix")) == (3, 3)


async def test_what_ingest_has_in_hand_of_an_erased_ward_is_not_written(town: Town) -> None:
    at_ms = town.noon_ms
    await town.take(town.boxes["gw-1"].message(town.tags["t-1"].row(at_ms), at_ms=at_ms))
    await town.settle(at_ms)
    message = town.boxes["gw-1"].message(town.tags["t-1"].row(at_ms + 20_000), at_ms=at_ms + 20_000)
    work: Work = town.ingest._opening.open([message])
    desk = town.ingest._desk
    certificate = await erase(town.config, "w-1")
    with pytest.raises(StaleRosterError):
        await write(desk.conn, await desk.think(work, town.ingest.finish), desk.roster)
    await town.take(message)
    assert (town.count("fix"), town.count("last_place"), town.count("presence")) == (0, 0, 0)
    assert certificate.deleted["sighting"] == certificate.deleted["fix"] == certificate.deleted["tag_state"] == 1
    assert town.ask("SELECT tag_id FROM ward WHERE id = 'w-1'") == [(None,)]
    assert town.count("sighting") == 1  # of a tag that is nobody's


async def test_erasing_waits_for_what_is_being_written(town: Town) -> None:
    at_ms = town.noon_ms
    await town.take(town.boxes["gw-1"].message(town.tags["t-1"].row(at_ms), at_ms=at_ms))
    await town.settle(at_ms)
    async with await connect(town.config.dsn("ingest")) as writer:
        async with writer.transaction():
            await erasure.share(writer)
            task = asyncio.create_task(erase(town.config, "w-1"))
            await asyncio.sleep(0.3)
            assert not task.done()
            assert town.count("fix") == 1
        await task
    assert town.count("fix") == 0


async def test_a_ward_nobody_knows_cannot_be_erased(archive: Archive) -> None:
    with pytest.raises(UnknownWardError):
        await erase(archive.config, "w-9")
