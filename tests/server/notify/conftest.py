"""A city with two guardians of one ward, the family's phones and mail boxes, and a notify process on them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from firmware_sim.family import Family, Received, push_subscriptions
from server.config import NotifyConfig, ServerConfig
from server.notify.desk import Pace
from server.notify.loop import run
from server.notify.outcome import Backoff

SEED = 7
QUICK = Pace(lease_s=1.0, look_s=0.2, backoff=Backoff(first_s=0.05, most_s=0.2, tries=4))

_REGISTRY = """
INSERT INTO city VALUES ('test', 'テスト市', 'Test City', 'Asia/Tokyo');
INSERT INTO ward (id, city_id, name_ja, name_en) VALUES ('w-001', 'test', 'ゆい', 'Yui');
INSERT INTO account (id, login, code_hash, name_ja, name_en, email) VALUES
    ('g-001', 'one', '-', 'ゆいの保護者', 'Guardian of Yui', 'g1@example.jp'),
    ('g-002', 'two', '-', 'ゆいの祖父', 'Grandfather of Yui', 'g2@example.jp');
INSERT INTO guardianship (guardian_id, ward_id) VALUES ('g-001', 'w-001'), ('g-002', 'w-001');
INSERT INTO place VALUES ('p-001', 'test', 'みまもり小学校', 'Mimamori School', 'school', 34.75, 134.83, 60, NULL);
"""


@dataclass
class City:
    """The database of a small city, and what reached its families."""

    config: ServerConfig
    family: Family
    received: list[Received]
    subscriptions: dict[str, int] = field(default_factory=dict)

    def execute(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        with psycopg.connect(self.config.dsn(), autocommit=True) as owner:
            cursor = owner.execute(sql, values)
            return list(cursor.fetchall()) if cursor.description else []

    def subscribe(self, *guardian_ids: str) -> None:
        base = f"http://127.0.0.1:{self.family.http_port}"
        for guardian_id, keys in push_subscriptions(base, guardian_ids, SEED).items():
            (row,) = self.execute(
                "INSERT INTO push_subscription (guardian_id, endpoint, p256dh, auth)"
                " VALUES (%s, %s, %s, %s) RETURNING id",
                guardian_id, keys["endpoint"], keys["p256dh"], keys["auth"],
            )  # fmt: skip
            self.subscriptions[guardian_id] = int(str(row[0]))

    def happen(self, kind: str = "arrived", *, mail: bool = True) -> int:
        """Commit an event with its notices and the wake-up, as ingest does; return the event's id."""
        place = None if kind == "sos" else "p-001"
        with psycopg.connect(self.config.dsn()) as ingest:
            row = ingest.execute(
                "INSERT INTO event (ward_id, place_id, kind, at, received_at)"
                " VALUES ('w-001', %s, %s, clock_timestamp(), clock_timestamp()) RETURNING id",
                (place, kind),
            ).fetchone()
            assert row
            ingest.execute(
                "INSERT INTO notice (event_id, guardian_id, channel, target)"
                " SELECT %(event)s, guardian_id, 'push', id::text FROM push_subscription"
                " UNION ALL SELECT %(event)s, id, 'mail', '' FROM account WHERE %(mail)s",
                {"event": row[0], "mail": mail},
            )
            ingest.execute("""SELECT pg_notify('live', '{"kind":"event","wards":["w-001"]}')""")
        return int(row[0])

    def states(self, channel: str) -> list[tuple[object, ...]]:
        return self.execute("SELECT guardian_id, state, attempts FROM notice WHERE channel = %s ORDER BY id", channel)

    def arrived(self, channel: str) -> list[str]:
        return sorted(n.guardian for n in self.received if n.channel == channel)


@pytest.fixture
async def family() -> AsyncIterator[Family]:
    kept: list[Received] = []
    mail = {"g1@example.jp": "g-001", "g2@example.jp": "g-002"}
    family = Family(["g-001", "g-002"], mail, seed=SEED, on_notice=kept.append)
    family.kept = kept  # type: ignore[attr-defined]  # handed on to `city`
    async with family.open():
        yield family


@pytest.fixture
def city(db: ServerConfig, family: Family) -> City:
    db.keys_dir.mkdir(parents=True)
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (db.keys_dir / "vapid.pem").write_bytes(pem)
    mail_url = f"mailto://127.0.0.1:{family.smtp_port}?from=mimamori@example.jp&to={{to}}&mode=insecure&format=text"
    city = City(replace(db, notify=NotifyConfig(mail_url=mail_url)), family, family.kept)  # type: ignore[attr-defined]
    city.execute(_REGISTRY)
    return city


@pytest.fixture
async def notify(city: City) -> AsyncIterator[asyncio.Task[None]]:
    """The notify process as a task, with short waits."""
    task = asyncio.create_task(run(city.config, push_pace=QUICK, mail_pace=QUICK))
    yield task
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


Until = Callable[[Callable[[], bool]], Awaitable[None]]


@pytest.fixture
def until() -> Until:
    """Wait until something holds, 40 seconds at most."""

    async def wait(holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(40):
            while not await asyncio.to_thread(holds):  # noqa: ASYNC110 - what is waited for lies in another process
                await asyncio.sleep(0.02)

    return wait


@pytest.fixture
def config_file(city: City, tmp_path: Path) -> Path:
    """The configuration as another process reads it."""
    file = tmp_path / "mimamori.toml"
    file.write_text(city.config.to_toml())
    return file
