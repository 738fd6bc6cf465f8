"""A city that is asked for footage: its people, cameras and papers, in a real database."""

import asyncio
import contextlib
import hashlib
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pyrage
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen import canvas

from privacy import ordinance
from privacy.cases import Step
from privacy.policy.engine import Engine
from privacy.terms import Basis, Purpose, Role
from server.cases import steps
from server.cases.desk import CaseDesk, Upload
from server.cases.facts import Whole
from server.cases.office import Office
from server.cases.steps import Wish
from server.clerk.metrics import ClerkMetrics
from server.clerk.room import Room
from server.clerk.tend import sweep
from server.config import ServerConfig
from server.footage.exports import FOLDER
from server.permit.ask import Asker
from server.store import export as exports
from server.store import order as orders
from server.store.case import Draft, Window
from server.store.connection import at, connect
from server.store.order import Outcome
from server.store.pool import Pool, make_pool
from wire import cbor

NOW_MS = 1_795_669_200_000
"""2026-11-26T05:00:00Z, two in the afternoon in Japan."""
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
IDENTITY = pyrage.x25519.Identity.generate()
RECIPIENT = str(IDENTITY.to_public())
WINDOW = Window("gw-1", NOW_MS - 5 * HOUR_MS, NOW_MS - 4 * HOUR_MS)
PEOPLE = {
    "officer": ("o-1", Role.OFFICER, "kakogawa-ps"),
    "colleague": ("o-2", Role.OFFICER, "kakogawa-ps"),
    "stranger": ("o-3", Role.OFFICER, "himeji-ps"),
    "handler": ("h-1", Role.HANDLER, None),
    "handler2": ("h-2", Role.HANDLER, None),
    "supervisor": ("s-1", Role.SUPERVISOR, None),
    "manager": ("m-1", Role.MANAGER, None),
    "board": ("b-1", Role.BOARD, None),
    "guardian": ("g-1", Role.GUARDIAN, None),
}
_TOWN = """
INSERT INTO city VALUES ('mimamori', 'みまもり市', 'Mimamori City', 'Asia/Tokyo');
INSERT INTO agency (id, city_id, kind, name_ja, name_en, legal_basis) VALUES
    ('kakogawa-ps', 'mimamori', 'police', '加古川警察署', 'Kakogawa Police Station', '刑訴法197条2項'),
    ('himeji-ps', 'mimamori', 'police', '姫路警察署', 'Himeji Police Station', '刑訴法197条2項');
INSERT INTO detector (id, city_id, kind, label_ja, label_en, lat_deg, lon_deg, public_key) VALUES
    ('gw-1', 'mimamori', 'fixed', '駅前', 'Station', 34.76, 134.84, '\\x01'),
    ('gw-2', 'mimamori', 'fixed', '公園', 'Park', 34.77, 134.85, '\\x02'),
    ('gw-3', 'mimamori', 'fixed', '学校', 'School', 34.78, 134.86, '\\x03');
"""


def asker(name: str) -> Asker:
    account, role, agency = PEOPLE[name]
    return Asker(account, role, agency)


def pdf(*lines: str, encrypted: bool = False, pages: int = 1) -> bytes:
    """A paper as a word processor makes it, its text in it."""
    pdfmetrics.registerFont(UnicodeCIDFont("HeiseiMin-W3"))
    target = io.BytesIO()
    made = canvas.Canvas(target, encrypt="secret" if encrypted else None)
    for _ in range(pages):
        made.setFont("HeiseiMin-W3", 12)
        for number, line in enumerate(lines):
            made.drawString(72, 780 - 20 * number, line)
        made.showPage()
    made.save()
    return target.getvalue()


INQUIRY = ("捜査関係事項照会書", "加古川捜発第123号", "令和8年11月25日", "加古川警察署長", "刑事訴訟法第197条第2項")
REQUEST = ("提供依頼書兼誓約書", "罪名　窃盗", "目的外に使用しません。")
PAPERS = {"inquiry": INQUIRY, "request": REQUEST}


def draft(**over: Any) -> Draft:
    """A request for a theft that happened, as it should be."""
    right = Draft(
        purpose=Purpose.CRIME,
        basis=Basis.INQUIRY,
        offence="窃盗",
        has_occurred=True,
        inquiry_number="加古川捜発第123号",
        inquiry_on=date(2026, 11, 25),
        inquiry_station="加古川警察署",
        inquiry_officer="司法警察員 生活安全課長",
    )
    return replace(right, **over)


@dataclass
class Hall:
    """City hall and a police station, and a clock that tests turn."""

    config: ServerConfig
    pool: Pool
    now_ms: int = NOW_MS
    profile: ordinance.Profile = field(default_factory=lambda: ordinance.load("proposal"))
    engine: Engine = field(default_factory=Engine.load)
    metrics: ClerkMetrics = field(default_factory=ClerkMetrics)

    @property
    def office(self) -> Office:
        return Office(
            city="mimamori",
            zone=ZoneInfo("Asia/Tokyo"),
            profile=self.profile,
            engine=self.engine,
            now_ms=lambda: self.now_ms,
            paper_key=bytes(range(32)),
        )

    @property
    def desk(self) -> CaseDesk:
        return CaseDesk(self.office, self.pool)

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.config.dsn(), autocommit=True) as conn:
            cursor = conn.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

    async def drafted(self, *windows: Window, **over: Any) -> str:
        """A draft without papers; its id."""
        whole = await self.desk.create(asker("officer"), draft(**over), windows or (WINDOW,))
        return whole.row.id

    async def add_papers(self, case_id: str, *kinds: str) -> None:
        for kind in kinds:
            await self.desk.add_paper(asker("officer"), case_id, Upload(kind, f"{kind}.pdf", pdf(*PAPERS[kind])))

    async def take(self, name: str, case_id: str, step: Step, **over: Any) -> None:
        await steps.take(self.office, self.pool, asker(name), case_id, Wish(step=step, **over))

    async def submitted(self, *windows: Window, **over: Any) -> str:
        case_id = await self.drafted(*windows, **over)
        await self.add_papers(case_id, "inquiry", "request")
        await self.take("officer", case_id, Step.SUBMIT)
        return case_id

    async def approved(self, *windows: Window, mode: Any = "download") -> str:
        case_id = await self.submitted(*windows)
        await self.take("handler", case_id, Step.PREPARE)
        await self.take("supervisor", case_id, Step.CHECK)
        await self.take("manager", case_id, Step.APPROVE, mode=mode)
        return case_id

    async def seen(self, case_id: str, name: str = "handler") -> Whole:
        return await self.desk.get(asker(name), case_id)

    def state(self, case_id: str) -> str:
        return str(self.sql("SELECT state FROM footage_case WHERE id = %s", case_id)[0][0])

    def entries(self, kind: str = "%") -> list[dict[str, Any]]:
        """What the log says, the first entry first."""
        rows = self.sql(
            """SELECT b FROM (SELECT id, convert_from(body, 'UTF8')::jsonb AS b FROM audit_entry) AS e
               WHERE b ->> 'kind' LIKE %s AND b ->> 'kind' <> 'camera.live' ORDER BY id""",
            kind,
        )
        return [row[0] for row in rows]

    @property
    def folder(self) -> Path:
        return self.config.state_dir / FOLDER

    async def look(self) -> None:
        """Let the clerk look at all cases once."""
        room = Room(self.office, self.folder, "http://127.0.0.1/api/v1/exports")
        async with await connect(self.config.dsn("clerk")) as conn:
            await sweep(conn, room, self.metrics)

    async def obey(self, *, segments: int = 6, content: bytes = b"sealed", told: bytes | None = None) -> list[str]:
        """Do what open orders want as a gateway would, and say which kinds they were; exports come whole at once."""
        kinds = []
        async with await connect(self.config.dsn()) as conn:
            open_ = self.sql(
                """SELECT g.detector_id, g.sequence, g.kind, o.export_id FROM gateway_order AS g
                   LEFT JOIN case_order AS o USING (detector_id, sequence) WHERE g.state IN ('pending', 'sent')
                   ORDER BY g.issued_at, g.detector_id, g.sequence"""
            )
            for detector, sequence, kind, export in open_:
                kinds.append(str(kind))
                sha256 = hashlib.sha256(content).digest()
                if export is not None:
                    self.folder.mkdir(parents=True, exist_ok=True)
                    (self.folder / f"{export}.age").write_bytes(content)
                    await exports.begin(conn, export, sha256, parts=1, begun_ms=self.now_ms)
                    await exports.settle(conn, export, sha256, len(content))
                    self.sql("UPDATE export SET settled_at = %s WHERE id = %s", at(self.now_ms), export)
                result = cbor.dumps({"segments": segments, "sha256": told or sha256})
                await orders.settle(conn, detector, sequence, Outcome("done", "", result), now_ms=self.now_ms)
        return kinds

    async def work(self) -> None:
        """Let clerk and gateways do all there is to do."""
        await self.look()
        while await self.obey():
            await self.look()

    async def released(self, *, mode: Any = "download") -> str:
        """A case whose officer has signed and may open what was exported."""
        case_id = await self.approved(mode=mode)
        await self.work()
        await self.take("officer", case_id, Step.UNDERTAKE)
        return case_id

    def kinds(self) -> list[str]:
        return [str(entry["kind"]) for entry in self.entries()]


def found(config: ServerConfig) -> None:
    """Fill an empty database with the city's people and cameras."""
    with psycopg.connect(config.dsn(), autocommit=True) as conn:
        conn.execute(_TOWN.encode())
        for name, (account, role, agency) in PEOPLE.items():
            conn.execute(
                "INSERT INTO account (id, login, name_ja, name_en, role, agency_id) VALUES (%s, %s, %s, %s, %s, %s)",
                (account, name, f"{name}さん", name, role.value, agency),
            )
        conn.execute("UPDATE account SET recipient = %s, recipient_set_at = now() WHERE id = 'o-1'", (RECIPIENT,))
        # As if four records and an approved mask were there: how a camera goes live is tested elsewhere.
        conn.execute("SET session_replication_role = replica")
        for gateway in ("gw-1", "gw-2"):
            conn.execute(
                """WITH e AS (INSERT INTO audit_entry (body) VALUES ('{"kind": "camera.live"}') RETURNING id)
                   INSERT INTO camera_live (detector_id, live_at, entry_id) SELECT %s, now(), id FROM e""",
                (gateway,),
            )
            conn.execute(
                """INSERT INTO detector_health (detector_id, state, received_at, camera, footage_from_ms)
                   VALUES (%s, 'online', now(), 'recording', %s)""",
                (gateway, NOW_MS - 10 * DAY_MS),
            )


@contextlib.asynccontextmanager
async def hall(config: ServerConfig) -> AsyncIterator[Hall]:
    await asyncio.to_thread(found, config)
    async with make_pool(config.dsn("warden"), max_size=6) as pool:
        yield Hall(config, pool)
