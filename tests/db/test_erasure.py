"""Erasure against its promise: nothing readable on disk, nor in a backup taken before unless its keys are there too."""

import asyncio
import contextlib
import json
import random
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psycopg
import pytest
from typer.testing import CliRunner, Result

from privacy.terms import Role
from privacy.transparency.record import Record
from server import config as configuration
from server import keys as server_keys
from server import schema
from server.cli import app
from server.config import ServerConfig
from server.embedded.postgres import DURABLE_OFF, SMALL, Postgres
from server.history.erase import digest
from server.history.fixes import HOUR_MS
from server.history.keyring import KeyRing
from server.history.sealing import Sealer
from server.history.track import track
from server.store import audit, fix, held
from server.store.connection import connect
from server.store.family import FixRow
from server.store.fix import FixRows, LastRows
from server.store.held import HeldRows
from server.store.migrate import migrate
from tests.granting import seeing

pytestmark = [pytest.mark.db, pytest.mark.timeout(180)]

NOON_MS = 1_795_402_800_000
NIGHT_MS = NOON_MS + 12 * HOUR_MS
SPAN_MS = (NOON_MS - HOUR_MS, NIGHT_MS + HOUR_MS)
LEFT_OUT = ("fix", "doubtful_fix", "last_place", "held_place", "sighting*")
"""As docs/ARCHITECTURE.md has it: tables that a backup leaves out."""
WARDS = """
INSERT INTO city VALUES ('mimamori', 'みまもり市', 'Mimamori City', 'Asia/Tokyo');
INSERT INTO tag (id, city_id, kind, static_id, shard) VALUES ('t-1', 'mimamori', 'uid', '\\x0000000000000001', 1);
INSERT INTO ward VALUES ('w-1', 'mimamori', 'ゆい', 'Yui', 't-1'), ('w-2', 'mimamori', 'そら', 'Sora', NULL);
INSERT INTO account VALUES ('g-1', 'demo', 'x', '母', 'Mother');
INSERT INTO guardianship (guardian_id, ward_id) VALUES ('g-1', 'w-1'), ('g-1', 'w-2');
INSERT INTO event (ward_id, kind, at, received_at) VALUES ('w-1', 'sos', now(), now()), ('w-2', 'sos', now(), now());
INSERT INTO notice (event_id, guardian_id, channel, target) SELECT id, 'g-1', 'mail', '' FROM event;
INSERT INTO tag_state (tag_id, clock_offset_ms) VALUES ('t-1', 0);
"""


class Placed(NamedTuple):
    """One row of the track."""

    ward: str
    at_ms: int
    lat_deg: float
    lon_deg: float


@dataclass
class City:
    """An embedded cluster with both databases, as `mimamori init` and `migrate` leave it."""

    config: ServerConfig
    server: Postgres

    @property
    def config_file(self) -> Path:
        return self.config.state_dir / "mimamori.toml"

    def sql(self, statement: str, *, keystore: bool = False) -> list[tuple[Any, ...]]:
        dsn = self.config.keystore_dsn() if keystore else self.config.dsn()
        with psycopg.connect(dsn, autocommit=True) as conn:
            cursor = conn.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def dump(self, database: str, *options: str) -> bytes:
        return self._run("pg_dump", "--dbname", self.server.dsn(dbname=database), *options)

    def restore(self, database: str, dump: bytes) -> None:
        with psycopg.connect(self.server.dsn(dbname="postgres"), autocommit=True) as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)".encode())
            admin.execute(f"CREATE DATABASE {database} TEMPLATE template0".encode())
        self._run("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", self.server.dsn(dbname=database), stdin=dump)

    def _run(self, program: str, *arguments: str, stdin: bytes | None = None) -> bytes:
        command = [str(self.server.place.bin_dir / program), *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    async def seal(self, now_ms: int) -> None:
        sealer = Sealer(KeyRing(self.config.keystore_dsn("ingest"), self._kek))
        async with await connect(self.config.dsn("ingest")) as conn:
            await sealer.plan(conn, now_ms)
            assert await sealer.work(conn, budget_s=60)
        await sealer.ring.close()

    async def track(self, ward: str) -> list[FixRow]:
        """What the family would be shown, by a process that has just started."""
        ring = KeyRing(self.config.keystore_dsn("api"), self._kek)
        async with seeing(self.config, ward, "track") as conn:
            rows = await track(conn, ring, ward, span_ms=SPAN_MS, limit=9999)
        await ring.close()
        return rows

    async def put(self, fixes: Sequence[Placed]) -> None:
        """Write places into the track, the last one as the newest and as one that waits to be confirmed, too."""
        at_ms, lat_deg, lon_deg = (np.array([placed[number] for placed in fixes]) for number in (1, 2, 3))
        wards, yes, metres = (
            [p.ward for p in fixes],
            np.ones(len(fixes), np.bool_),
            np.full(len(fixes), 12.5, np.float32),
        )
        two = np.full(len(fixes), 2, np.int16)
        rows = FixRows(wards, at_ms - 5_000, at_ms, lat_deg, lon_deg, metres, two, at_ms + 700, ~yes, yes)
        last = LastRows(wards, lat_deg, lon_deg, metres, at_ms, at_ms + 700, ~yes, two + 27, ~yes, ~yes, ~yes)
        lat_e7, lon_e7 = (np.rint(column * 1e7).astype(np.int32) for column in (lat_deg, lon_deg))
        waiting = HeldRows(wards, lat_e7, lon_e7, at_ms, at_ms, metres, two.astype(np.int32))
        is_last = np.arange(len(fixes)) == len(fixes) - 1
        async with await connect(self.config.dsn("ingest")) as conn:
            await fix.save(conn, rows)
            await fix.save_last(conn, last.take(is_last))
            await held.save(conn, waiting.take(is_last))

    @property
    def _kek(self) -> bytes:
        return (self.config.keys_dir / server_keys.HISTORY).read_bytes()

    def on_disk(self, needles: Sequence[bytes]) -> set[str]:
        """Return the kinds of files of the whole cluster that hold any of `needles`: base, pg_wal, …"""
        self.sql("CHECKPOINT")
        data_dir, found = self.server.place.data_dir, set()
        for path in data_dir.rglob("*"):
            octets = path.read_bytes() if path.is_file() else b""
            if any(needle in octets for needle in needles):
                found.add(path.relative_to(data_dir).parts[0])
        return found


@contextlib.contextmanager
def _city(open_dir: Path) -> Iterator[City]:
    with tempfile.TemporaryDirectory(dir=open_dir) as made:
        Path(made).chmod(0o755)
        config = configuration.parse({"state_dir": str(Path(made) / "s")})
        server_keys.make(config)
        with Postgres(config.state_dir, {**SMALL, **DURABLE_OFF, "shared_buffers": "16MB"}) as server:
            schema.bring_up(config)
            city = City(config, server)
            configuration.save(config, city.config_file)
            yield city


@pytest.fixture
def city(open_dir: Path) -> Iterator[City]:
    with _city(open_dir) as made:
        made.sql(WARDS)
        yield made


def _fixes(ward: str, seed: int, *, n: int = 200) -> list[Placed]:
    """Return fixes from noon to midnight at coordinates that occur nowhere else."""
    rng = random.Random(seed)
    buckets = sorted(rng.sample(range(NOON_MS // 10_000, NIGHT_MS // 10_000), n))
    return [Placed(ward, b * 10_000 + 5_000, rng.uniform(34, 35), rng.uniform(134, 135)) for b in buckets]


def _octets(fixes: Sequence[Placed]) -> list[bytes]:
    """Return coordinates as PostgreSQL and our columns keep them."""
    return [struct.pack("<d", placed.lat_deg) for placed in fixes]


def _texts(fixes: Sequence[Placed]) -> list[bytes]:
    """Return coordinates as a dump would write them: as numbers, or in the hexadecimal of a bytea."""
    return [text for p in fixes for text in (repr(p.lat_deg).encode(), struct.pack("<d", p.lat_deg).hex().encode())]


async def _command(city: City, *words: str, answer: str = "") -> Result:
    """Run `mimamori ward …` beside this test's event loop."""
    words = ("ward", *words, "--config", str(city.config_file))
    return await asyncio.to_thread(lambda: CliRunner().invoke(app, words, input=answer))


async def _erase(city: City) -> dict[str, Any]:
    done = await _command(city, "erase", "w-1", "--yes")
    assert done.exit_code == 0, done.output
    certificate: dict[str, Any] = json.loads(done.stdout)
    return certificate


async def test_after_an_erasure_no_backup_of_the_main_database_opens(city: City, open_dir: Path) -> None:
    fixes = {ward: _fixes(ward, number) for number, ward in enumerate(("w-1", "w-2"))}
    for of_ward in fixes.values():
        await city.put(of_ward)
    await city.seal(NIGHT_MS)  # the last two hours stay plain
    sealed_by_ms = NIGHT_MS - 2 * HOUR_MS
    assert city.sql("SELECT count(*) > 0 FROM fix") == [(True,)]
    before = {ward: [row for row in await city.track(ward) if row.heard_at_ms < sealed_by_ms] for ward in fixes}
    assert all(len(rows) > 100 for rows in before.values())
    without = [f"--exclude-table-data={table}" for table in LEFT_OUT]
    backup, old_keys = city.dump("mimamori", *without), city.dump("mimamori_keys")
    assert b"COPY public.ward_hour" in backup
    assert not any(text in backup for text in _texts([*fixes["w-1"], *fixes["w-2"]]))

    certificate = await _erase(city)
    assert (await city.track("w-1"), len(await city.track("w-2"))) == ([], 200)
    new_keys = city.dump("mimamori_keys")

    with _city(open_dir) as elsewhere:
        shutil.copytree(city.config.keys_dir, elsewhere.config.keys_dir, dirs_exist_ok=True)
        elsewhere.restore("mimamori", backup)
        elsewhere.restore("mimamori_keys", new_keys)
        assert len(elsewhere.sql("SELECT 1 FROM ward_hour WHERE ward_id = 'w-1'")) == 10
        assert await elsewhere.track("w-1") == []
        assert await elsewhere.track("w-2") == before["w-2"]
        # The control: the same backup with the key store's, taken before, and only then.
        elsewhere.restore("mimamori_keys", old_keys)
        assert await elsewhere.track("w-1") == before["w-1"]
        key_ids = elsewhere.sql("SELECT encode(key_id, 'hex') FROM ward_key WHERE ward_id = 'w-1'", keystore=True)
    assert [(key,) for key in certificate["keys"]] == key_ids


async def test_after_an_erasure_no_file_of_the_cluster_holds_a_place_or_the_key(city: City) -> None:
    fixes = _fixes("w-1", 1)
    await city.put(fixes)
    await city.seal(NIGHT_MS)
    await city.put(_fixes("w-1", 2, n=20))  # some of them late, for sealed hours
    wrapped = city.sql("SELECT wrapped FROM ward_key", keystore=True)
    needles = _octets([*fixes[::10], fixes[-1], *_fixes("w-1", 2, n=20)])
    assert {"base", "pg_wal"} <= city.on_disk(needles)
    assert {"base", "pg_wal"} <= city.on_disk([bytes(wrapped[0][0])])
    certificate = await _erase(city)
    assert certificate["rewritten"] is True
    assert city.on_disk(needles) == set()
    assert city.on_disk([bytes(wrapped[0][0])]) == set()


async def test_an_erasure_takes_everything_of_its_ward_and_nothing_of_another(city: City) -> None:
    tables = ("ward_hour", "fix", "last_place", "held_place", "event", "notice", "tag_state", "ward", "guardianship")
    for number, ward in enumerate(("w-1", "w-2")):
        await city.put(_fixes(ward, number))
    await city.seal(NIGHT_MS - HOUR_MS)

    def counts() -> dict[str, int]:
        return {table: city.sql(f"SELECT count(*) FROM {table}")[0][0] for table in tables}

    before = counts()
    certificate = await _erase(city)
    after, deleted = counts(), certificate["deleted"]
    assert {table: before[table] - after[table] for table in tables} == {
        "ward": 0, "guardianship": 1, **{table: deleted[table] for table in tables[:7]}
    }  # fmt: skip
    left = {"ward_hour": 9, "last_place": 1, "held_place": 1, "event": 1, "notice": 1, "tag_state": 0}
    assert {table: after[table] for table in left} == left
    assert certificate["sha256"] == digest(certificate)
    assert (certificate["ward"], certificate["city"]) == ("w-1", "mimamori")
    assert city.sql("SELECT ward_id FROM ward_key", keystore=True) == [("w-2",)]


async def test_an_erasure_killed_between_the_databases_can_be_run_again(city: City) -> None:
    await city.put(_fixes("w-1", 1))
    await city.seal(NIGHT_MS)
    city.sql("DELETE FROM ward_key", keystore=True)  # as far as it got
    assert len([row for row in await city.track("w-1") if row.heard_at_ms < NIGHT_MS - 2 * HOUR_MS]) == 0
    certificate = await _erase(city)
    assert certificate["keys"] == []
    again = await _erase(city)
    assert set(again["deleted"].values()) == {0}
    assert await city.track("w-1") == []


async def test_a_ward_erased_and_enrolled_again_starts_a_new_history(city: City) -> None:
    await city.put(_fixes("w-1", 1))
    await city.seal(NIGHT_MS)
    await _erase(city)
    city.sql("UPDATE ward SET tag_id = 't-1' WHERE id = 'w-1'")
    fresh = _fixes("w-1", 7, n=30)
    await city.put(fresh)
    await city.seal(NIGHT_MS + 4 * HOUR_MS)
    assert [row.lat_deg for row in await city.track("w-1")] == [placed.lat_deg for placed in fresh]


async def test_the_command_asks_first_and_knows_its_wards(city: City) -> None:
    await city.put(_fixes("w-1", 1, n=5))
    assert (await _command(city, "erase", "w-1", answer="n\n")).exit_code == 1
    assert len(await city.track("w-1")) == 5
    listed = await _command(city, "list")
    assert listed.stdout.splitlines() == ["w-1\tゆい\tYui\tt-1", "w-2\tそら\tSora\t-"]
    assert (await _command(city, "erase", "w-9", "--yes")).exit_code != 0
    done = await _command(city, "erase", "w-1", answer="y\n")
    assert (done.exit_code, json.loads(done.stdout[done.stdout.index("{") :])["deleted"]["fix"]) == (0, 5)


def test_the_planner_keeps_no_sample_of_places(city: City) -> None:
    city.sql("INSERT INTO last_place SELECT id, 34.5, 134.5, 5, now(), now() FROM ward; ANALYZE last_place")
    kept = {row[0] for row in city.sql("SELECT attname FROM pg_stats WHERE tablename = 'last_place'")}
    assert "heard_at" in kept
    assert not kept & {"lat_deg", "lon_deg"}


def test_a_main_database_never_has_the_key_table(city: City) -> None:
    assert city.sql("SELECT to_regclass('ward_key')") == [(None,)]
    assert city.sql("SELECT to_regclass('ward_hour')", keystore=True) == [(None,)]
    assert migrate(city.config.dsn()).applied == ()


async def test_after_an_erasure_nobody_can_tell_of_the_log_whom_it_is_about(city: City) -> None:
    city.sql("INSERT INTO account (id, login, name_ja, name_en, role, ward_id) "
             "VALUES ('a-1', 'yui', 'ゆい', 'Yui', 'watched', 'w-1')")  # fmt: skip
    async with await connect(city.config.dsn("warden")) as conn:
        for ward, account in (("w-1", "g-1"), ("w-1", "a-1"), ("w-2", "g-1")):
            async with conn.transaction():
                record = Record("place.viewed", NOON_MS, Role.GUARDIAN, {}, {"ward": ward, "account": account})
                await audit.append(conn, record)
    of_ward = "(name = 'ward' AND value = 'w-1') OR value = 'a-1'"
    salts = [bytes(row[0]) for row in city.sql(f"SELECT salt FROM audit_opening WHERE {of_ward}")]
    assert len(salts) == 3
    assert "base" in city.on_disk(salts)
    entries = city.sql("SELECT id, body FROM audit_entry ORDER BY id")
    certificate = await _erase(city)
    assert city.sql("SELECT name, value FROM audit_opening ORDER BY entry_id, name") == [
        ("account", "g-1"), ("account", "g-1"), ("ward", "w-2")
    ]  # fmt: skip
    assert city.on_disk(salts) == set()
    after = city.sql("SELECT id, body FROM audit_entry ORDER BY id")
    assert after[: len(entries)] == entries
    emptied, erased = (json.loads(bytes(row[1])) for row in after[-2:])
    assert (emptied["kind"], emptied["facts"]["deleted_audit_opening"]) == ("ward.emptied", 3)
    assert (erased["kind"], erased["facts"]["sha256"]) == ("ward.erased", certificate["sha256"])
    assert "w-1" not in str(emptied) + str(erased)
    assert city.sql("SELECT id FROM account WHERE ward_id IS NOT NULL") == []
