"""A city hall with one account of each role and two cameras, in a real database, before the real policies."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import psycopg

from privacy.cases import Step
from privacy.ordinance import load
from privacy.policy.engine import Engine
from privacy.terms import Role
from server.config import ServerConfig
from server.duties import cameras, masks
from server.duties.hall import Desk, Hall
from server.permit.ask import Asker
from server.store.camera_duty import Duty, DutyRow
from server.store.connection import Connection, connect
from server.store.mask_change import NewChange

NOW_MS = 1_795_402_800_000
HOUR_MS = 3_600_000
DAY = dt.date(2026, 11, 1)
AREA = (((0.1, 0.1), (0.5, 0.1), (0.5, 0.5)),)
STAFF = (Role.HANDLER, Role.SUPERVISOR, Role.MANAGER, Role.BOARD)
PEOPLE = """
INSERT INTO city VALUES ('mimamori', 'みまもり市', 'Mimamori City', 'Asia/Tokyo');
INSERT INTO detector (id, city_id, kind, label_ja, label_en, lat_deg, lon_deg, public_key)
    SELECT name, 'mimamori', 'fixed', '角', 'corner', 34.75, 134.84, '\\x00' FROM unnest(ARRAY['gw-1', 'gw-2']) AS name;
INSERT INTO agency (id, city_id, kind, name_ja, name_en, legal_basis)
    VALUES ('station', 'mimamori', 'police', '警察署', 'Police station', '刑訴法197条2項'),
           ('provider', 'mimamori', 'provider', '事業者', 'Provider', '契約');
INSERT INTO account (id, login, name_ja, name_en, role, agency_id)
    SELECT role || n, role || n, '人', 'Person', role,
           CASE role WHEN 'officer' THEN 'station' WHEN 'provider' THEN 'provider' END
    FROM unnest(ARRAY['guardian', 'officer', 'handler', 'supervisor', 'manager', 'provider', 'board']) AS role,
         generate_series(1, 2) AS n;
"""


@dataclass
class CityHall:
    """Everybody's desk, over one connection of the role `warden`."""

    config: ServerConfig
    conn: Connection
    hall: Hall
    now_ms: int = NOW_MS

    def desk(self, role: Role, number: int = 1) -> Desk:
        agency = {Role.OFFICER: "station", Role.PROVIDER: "provider"}.get(role)
        return Desk(self.conn, self.hall, Asker(f"{role.value}{number}", role, agency), self.now_ms)

    def sql(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask as the owner, whom nothing binds in a test's database."""
        with psycopg.connect(self.config.dsn(), autocommit=True) as conn:
            done = conn.execute(query.encode(), values)
            return done.fetchall() if done.description else []

    def log(self) -> list[dict[str, Any]]:
        """Return the entries of the log, oldest first."""
        return [row[0] for row in self.sql("SELECT convert_from(body, 'UTF8')::json FROM audit_entry ORDER BY id")]

    def kinds(self) -> list[str]:
        return [entry["kind"] for entry in self.log()]

    async def put_on_record(self, camera: str = "gw-1", without: Duty | None = None) -> None:
        for kind in Duty:
            if kind is not without:
                await cameras.record(self.desk(Role.HANDLER), DutyRow(camera, kind, DAY, "市報"))

    async def approve_mask(self, camera: str = "gw-1") -> int:
        number = await masks.draw(self.desk(Role.HANDLER), NewChange(camera, AREA, is_bare=False, reason="設置"))
        await masks.take(self.desk(Role.SUPERVISOR), number, Step.CHECK)
        await masks.take(self.desk(Role.MANAGER), number, Step.APPROVE)
        return number

    async def go_live(self, camera: str = "gw-1") -> None:
        await self.put_on_record(camera)
        await self.approve_mask(camera)
        await cameras.go_live(self.desk(Role.MANAGER), camera)


@contextlib.asynccontextmanager
async def city_hall(config: ServerConfig, engine: Engine, profile: str) -> AsyncIterator[CityHall]:
    with psycopg.connect(config.dsn(), autocommit=True) as owner:
        owner.execute(PEOPLE.encode())
    async with await connect(config.dsn("warden")) as conn:
        yield CityHall(config, conn, Hall(engine, load(profile), "mimamori"))
