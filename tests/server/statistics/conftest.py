"""A town whose people were heard, in a real database: 90 at one corner in the morning, a few at another."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from privacy import ordinance
from privacy.policy.engine import Engine
from server.config import ServerConfig
from server.statistics.publishing import Press
from server.store.connection import Connection, connect

ZONE = ZoneInfo("Asia/Tokyo")
CORNER, OTHER = (34.7569, 134.8413), (34.7650, 134.8413)
"""Two places in meshes 52341607 and 52341617."""
Sql = Callable[..., list[tuple[Any, ...]]]


def at_ms(text: str) -> int:
    """Return the UTC ms of a moment in Japan."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZONE).timestamp() * 1000)


@dataclass
class Town:
    """The town."""

    sql: Sql
    wards: int = 0

    def detector(self, name: str, place: tuple[float, float]) -> None:
        self.sql(
            """INSERT INTO detector (id, city_id, kind, label_ja, label_en, lat_deg, lon_deg, public_key)
               VALUES (%s, 'mimamori', 'fixed', '角', 'corner', %s, %s, 'k')""",
            name,
            *place,
        )

    def people(self, count: int) -> list[str]:
        """Add so many people; return their ids."""
        names = [f"w-{self.wards + number}" for number in range(count)]
        self.wards += count
        self.sql("INSERT INTO ward SELECT name, 'mimamori', 'ゆい', 'Yui' FROM unnest(%s::text[]) AS name", names)
        return names

    def heard(self, wards: list[str], when: str, place: tuple[float, float] = CORNER) -> None:
        """Let people be placed; `when` in Japan."""
        self.sql(
            """INSERT INTO fix (ward_id, bucket_at, at, lat_deg, lon_deg, accuracy_m, detectors, received_at)
               SELECT name, t, t, %s, %s, 30, 2, t
               FROM unnest(%s::text[]) AS name, to_timestamp(%s) AS t""",
            *place,
            wards,
            at_ms(when) / 1000,
        )

    def counts(self) -> dict[tuple[int, int], int]:
        """Return what is pending, by hour and mesh, as only the owner can see it."""
        return {(row[0], row[1]): row[2] for row in self.sql("SELECT hour, mesh, people FROM statistic_count")}


@pytest.fixture
def sql(db: ServerConfig) -> Sql:
    """Run one statement as the owner and give its rows."""

    def run(statement: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(db.dsn(), autocommit=True) as conn:
            cursor = conn.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

    return run


@pytest.fixture
def town(sql: Sql) -> Town:
    sql("INSERT INTO city VALUES ('mimamori', 'みまもり市', 'Mimamori City', 'Asia/Tokyo')")
    made = Town(sql)
    made.detector("gw-1", CORNER)
    made.detector("gw-2", OTHER)
    return made


@pytest.fixture
async def clerk(db: ServerConfig) -> AsyncIterator[Connection]:
    conn = await connect(db.dsn("clerk"))
    yield conn
    await conn.close()


@pytest.fixture(scope="session")
def engine() -> Engine:
    return Engine.load()


@pytest.fixture
def press(engine: Engine) -> Press:
    return Press(engine, ordinance.load("proposal"), ZONE)
