"""A small town in a real database: detectors that seal, tags that advertise, and ingest without a broker."""

import contextlib
import dataclasses
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from server import keys as server_keys
from server.config import ServerConfig
from server.core.engine import GRACE_MS
from server.core.suppress import BUCKET_MS
from server.ingest import loop
from server.ingest.loop import Ingest, make
from server.ingest.metrics import Metrics
from server.ingest.parcel import Parcel
from server.ingest.source import Received
from server.registry.importer import import_registry
from server.store.connection import connect
from wire import batch, eid, keys, seal, status, topics
from wire.batch import Batch, Row
from wire.clock import Clock
from wire.condition import Condition
from wire.messages import Heartbeat, Receipt

CITY = "mimamori"
NOON_MS = 1_795_402_800_000
"""A fixed moment of a town: 2026-11-23T03:00:00Z, noon in Japan."""
LAT_DEG, LON_DEG = 34.75, 134.84


@dataclass
class Air:
    """One tag, as its firmware would be."""

    identity_key: bytes
    offset_ms: int = 1_000_000_000_000

    def beacon_s(self, at_ms: int) -> int:
        return (at_ms - self.offset_ms) // 1000

    def eid(self, at_ms: int) -> bytes:
        return eid.derive(self.identity_key, 10, self.beacon_s(at_ms))

    def row(self, at_ms: int, *, rssi_dbm: int = -70, first_ms: int | None = None, **said: Any) -> Row:
        """Return what a detector writes down; `said` are fields of TagStatus."""
        name = self.eid(at_ms)
        told = status.TagStatus(status.step_of(self.beacon_s(at_ms)), **said)
        sealed = status.seal(status.StatusKeys.of(self.identity_key), name, told)
        return Row(0, name, sealed, rssi_dbm, rssi_dbm, 3, at_ms - 2000 if first_ms is None else first_ms, at_ms)


@dataclass
class Box:
    """One detector with its outbox counters."""

    id: str
    key: ec.EllipticCurvePrivateKey
    city: keys.CityBundle
    epoch: int = 7
    sequence: int = 0

    def header(self, content: str, at_ms: int, **over: Any) -> seal.Header:
        sealed_to = seal.kid(self.city.seal_key) if content == "sightings" else b""
        plain = seal.Header(
            city=CITY,
            detector=self.id,
            epoch=self.epoch,
            sequence=self.sequence,
            sealed_at_ms=at_ms,
            recipient_kid=sealed_to,
            signer_kid=seal.kid(self.key.public_key()),
            content=content,
        )
        return dataclasses.replace(plain, **over)

    def message(self, *rows: Row, at_ms: int, received_ms: int | None = None, **over: Any) -> Received:
        """Return the next batch as it arrives; `over` are fields of the header."""
        self.sequence += 1
        header = self.header("sightings", at_ms, **over)
        payload = batch.encode(Batch.from_rows(rows))
        data = seal.seal(payload, header, signer=self.key, recipient=self.city.seal_key)
        return Received(topics.sightings(CITY, self.id), data, at_ms if received_ms is None else received_ms)

    def beat(self, at_ms: int, received_ms: int, condition: Condition | None = None) -> Received:
        said = Heartbeat(self.id, epoch=self.epoch, sent_at_ms=at_ms, condition=condition)
        data = seal.sign(said.encode(), self.header("heartbeat", at_ms), signer=self.key)
        return Received(topics.heartbeat(CITY, self.id), data, received_ms)


@dataclass
class Mailbag:
    """A whole source: what is put in is fetched, what is published is kept."""

    waiting: list[Received] = field(default_factory=list)
    published: list[tuple[str, bytes]] = field(default_factory=list)

    async def fetch(self) -> list[Received]:
        taken, self.waiting = self.waiting, []
        return taken

    async def publish(self, receipts: Sequence[tuple[str, bytes]]) -> None:
        self.published += receipts


@dataclass
class Town:
    """The town, its database and its ingest."""

    config: ServerConfig
    city: keys.CityBundle
    registry: dict[str, Any]
    tags: dict[str, Air]
    boxes: dict[str, Box]
    ingest: Ingest
    bag: Mailbag
    noon_ms: int = NOON_MS

    async def take(self, *messages: Received) -> list[Receipt]:
        """Let ingest work off messages; return the receipts, their signatures checked."""
        return await self.work_off(Parcel(messages))

    async def open(self, *messages: Received) -> Parcel:
        """Let ingest open messages, as it does while it commits others."""
        self.bag.waiting += messages
        return await self.ingest.prepare(self.bag)

    async def work_off(self, parcel: Parcel) -> list[Receipt]:
        """Let ingest work off what it opened; return the receipts, their signatures checked."""
        before = len(self.bag.published)
        await self.ingest.work_off(parcel, self.bag)
        await self.ingest.settle()
        return self.receipts(before)

    def receipts(self, since: int) -> list[Receipt]:
        """Return the receipts that were published after the first so many, their signatures checked."""
        published = self.bag.published[since:]
        return [Receipt.decode(seal.verify(data, verifier=self.city.receipt_key)[1]) for _, data in published]

    async def settle(self, at_ms: int) -> None:
        """Let time pass until all that was heard by `at_ms` has been placed."""
        clock = Clock(time.time_ns() // 1_000_000, at_ms + BUCKET_MS + GRACE_MS, speed=1e-5)
        kept, self.ingest.config = self.ingest.config, dataclasses.replace(self.ingest.config, clock=clock)
        await self.ingest.work_off(Parcel([]), self.bag)
        self.ingest.config = kept

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.config.dsn(), autocommit=True) as conn:
            done = conn.execute(query.encode(), values)
            return done.fetchall() if done.description else []

    def count(self, table: str) -> int:
        return int(self.ask(f"SELECT count(*) FROM {table}")[0][0])

    async def import_again(self, registry: dict[str, Any]) -> None:
        conn = await connect(self.config.dsn())
        try:
            await import_registry(conn, registry, (self.config.keys_dir / "kek.bin").read_bytes())
        finally:
            await conn.close()


def _registry(tags: dict[str, Air], boxes: dict[str, Box]) -> dict[str, Any]:
    east = {"gw-1": 0.0, "gw-2": 0.0005, "gw-far": 0.2}
    detectors = [
        {"id": name, "kind": "fixed" if name in east else "phone", "label_ja": "角", "label_en": "corner",
         "lat_deg": LAT_DEG if name in east else None, "lon_deg": LON_DEG + east[name] if name in east else None,
         "accuracy_m": 5.0, "public_key": keys.encode_public(box.key.public_key())}
        for name, box in boxes.items()
    ]  # fmt: skip
    guardians = [
        {"id": "g-1", "login": "demo", "code": "123456", "name_ja": "母", "name_en": "Mother", "email": "a@example.jp",
         "wards": ["w-1"], "push": {"endpoint": "http://127.0.0.1/p", "p256dh": "k", "auth": "a"}},
        {"id": "g-2", "login": "other", "code": "567890", "name_ja": "父", "name_en": "Father", "email": None,
         "wards": ["w-2"], "push": None},
    ]  # fmt: skip
    school = {"id": "school", "name_ja": "小学校", "name_en": "School", "kind": "school", "lat_deg": LAT_DEG,
              "lon_deg": LON_DEG, "radius_m": 60.0, "ward": None}  # fmt: skip
    return {
        "city": {"id": CITY, "name_ja": "みまもり市", "name_en": "Mimamori City", "tz": "Asia/Tokyo"},
        "detectors": detectors,
        "tags": [
            *({"id": name, "kind": "eid", "identity_key": tag.identity_key.hex(), "rotation_exponent": 10,
               "clock_offset_ms": tag.offset_ms} for name, tag in tags.items()),
            {"id": "t-old", "kind": "ibeacon", "static_id": "0102030405060708"},
        ],
        "wards": [
            {"id": "w-1", "name_ja": "ゆい", "name_en": "Yui", "tag": "t-1"},
            {"id": "w-2", "name_ja": "そら", "name_en": "Sora", "tag": "t-2"},
            {"id": "w-3", "name_ja": "はな", "name_en": "Hana", "tag": "t-old"},
        ],
        "guardians": guardians,
        "places": [school],
        "watches": [{"ward": "w-1", "place": "school", "arrive": True, "leave": False, "dwell_s": 60}],
    }  # fmt: skip


@pytest.fixture
async def town(db: ServerConfig, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Town]:
    """A town of four detectors, three tags and two families, at noon, imported and ready for batches."""
    # Ingest looks through the whole heap at each start: here that is pytest's, again and again.
    monkeypatch.setattr(loop, "_without_collections", contextlib.nullcontext)
    config = dataclasses.replace(db, clock=Clock(origin_wall_ms=0, origin_town_ms=NOON_MS, speed=1e-5))
    server_keys.make(config)
    city = keys.CityBundle.load(config.keys_dir / server_keys.CITY)
    tags = {name: Air(secrets.token_bytes(16)) for name in ("t-1", "t-2")}
    boxes = {name: Box(name, keys.new_signing_key(), city) for name in ("gw-1", "gw-2", "gw-far", "phone-1")}
    ingest = make(config, Metrics())
    made = Town(config, city, _registry(tags, boxes), tags, boxes, ingest, Mailbag())
    await made.import_again(made.registry)
    yield made
    await made.ingest.close()


@pytest.fixture
def restarted(town: Town) -> Callable[[], Ingest]:
    """Make another ingest over the same database, as after a crash: nothing but the tables is left."""
    return lambda: make(town.config, Metrics())
