"""Orders in the database and what gateways report of them: real PostgreSQL, gateways that only sign."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import aiomqtt
import psycopg
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from prometheus_client import Counter

from server import keys as server_keys
from server.config import CityConfig, ServerConfig
from server.gate.dispatch import Dispatcher, UnfitOrderError
from server.gate.order_metrics import OrderMetrics
from server.gate.orders import OrderDesk, pause_ms
from server.gate.reports import Reporter
from server.orders import audit, issue
from server.store import gateway_log
from server.store import order as orders
from server.store.connection import Connection, connect
from server.store.errors import UnknownDetectorError
from server.store.order import Outcome
from wire import cbor, entry, keys, seal, strand, topics
from wire.camera_settings import CameraSettings
from wire.entry import FIRST, Entry
from wire.errors import MessageError
from wire.messages import Order, Receipt
from wire.orders import Export, Freeze, Restart, Thaw, digest, read

pytestmark = pytest.mark.db

CITY = "town"
NOW_MS = 1_800_000_000_000
WINDOW = (NOW_MS - 7_200_000, NOW_MS - 3_600_000)
RECIPIENT = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"


@dataclasses.dataclass
class Box:
    """A gateway that keeps a log and does nothing else."""

    id: str
    key: ec.EllipticCurvePrivateKey = dataclasses.field(default_factory=keys.new_signing_key)
    seal_key: X25519PrivateKey = dataclasses.field(default_factory=X25519PrivateKey.generate)
    epoch: int = 7
    entries: list[Entry] = dataclasses.field(default_factory=list)

    def add(self, kind: str, /, **body: Any) -> Entry:
        previous = entry.digest(self.entries[-1].encode()) if self.entries else FIRST
        self.entries.append(Entry(len(self.entries) + 1, NOW_MS, kind, body, previous))
        return self.entries[-1]

    def told(self, kind: str, order: Order, /, **body: Any) -> Entry:
        said = {"sequence": order.sequence, "kind": order.kind, "order": digest(order.kind, order.body)}
        return self.add(kind, **body, **said)

    def sign(self, said: Entry, **over: Any) -> bytes:
        key = over.pop("key", self.key)
        kid = keys.kid(key.public_key())
        header = seal.Header(CITY, self.id, self.epoch, said.sequence, NOW_MS, b"", kid, "report")
        return seal.sign(said.encode(), dataclasses.replace(header, **over), signer=key)


@dataclasses.dataclass
class Hall:
    """City hall: its database as the owner and as the gate, and what signs and takes for it."""

    config: ServerConfig
    owner: Connection
    gate: Connection
    dispatcher: Dispatcher
    reporter: Reporter
    metrics: OrderMetrics
    box: Box

    async def add(self, kind: str = "thaw", **body: Any) -> int:
        said = body or ({"case": "c-1"} if kind == "thaw" else {})
        return await orders.add(self.owner, detector=self.box.id, kind=kind, body=said, now_ms=NOW_MS)

    async def due(self, now_ms: int = NOW_MS) -> list[int]:
        return [one.sequence for one in await orders.due(self.gate, city=CITY, now_ms=now_ms)]

    async def envelope(self, sequence: int, now_ms: int = NOW_MS) -> bytes:
        found = next(one for one in await orders.due(self.gate, city=CITY, now_ms=now_ms) if one.sequence == sequence)
        return await self.dispatcher.envelope(self.gate, found, now_ms)

    async def order(self, sequence: int) -> orders.GatewayOrder:
        found = await orders.find(self.owner, self.box.id, sequence)
        assert found is not None
        return found

    async def report(self, said: Entry, **over: Any) -> Receipt | None:
        return await self.take(self.box.sign(said, **over))

    async def take(self, payload: bytes) -> Receipt | None:
        answer = await self.reporter.take(self.gate, topics.reports(CITY, self.box.id), payload, NOW_MS)
        if answer is None:
            return None
        assert answer[0] == topics.receipts(CITY, self.box.id)
        _, receipt = seal.verify(answer[1], verifier=self.reporter.receipt_key.public_key())
        return Receipt.decode(receipt)

    async def broken(self) -> list[int]:
        return [one.sequence for one in await gateway_log.whole(self.owner, self.box.id) if one.is_broken]

    async def faults(self) -> list[str]:
        return [fault.english for fault in await audit.faults(self.owner, CITY, self.box.id)]


def _der(key: ec.EllipticCurvePublicKey | X25519PublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def count(counter: Counter, label: str) -> float:
    return float(counter.labels(label)._value.get())


@pytest.fixture
async def hall(db: ServerConfig) -> AsyncIterator[Hall]:
    config = dataclasses.replace(db, city=CityConfig(id=CITY))
    server_keys.make(config)
    box, metrics = Box("gw-1"), OrderMetrics()
    reporter = Reporter(CITY, metrics, keys.load_signing_key(config.keys_dir / "receipt.pem"))
    async with await connect(config.dsn()) as owner, await connect(config.dsn("gate")) as gate:
        await owner.execute("INSERT INTO city VALUES (%s, '町', 'Town', 'Asia/Tokyo')", (CITY,))
        await owner.execute(
            """INSERT INTO detector (id, city_id, kind, label_ja, label_en, public_key, seal_key)
               VALUES (%s, %s, 'vehicle', '車', 'car', %s, %s)""",
            (box.id, CITY, _der(box.key.public_key()), _der(box.seal_key.public_key())),
        )
        yield Hall(config, owner, gate, Dispatcher.of(config), reporter, metrics, box)


async def test_orders_of_a_gateway_are_numbered_without_a_gap_also_when_given_at_once(hall: Hall) -> None:
    async def give() -> int:
        async with await connect(hall.config.dsn()) as conn:
            return await orders.add(conn, detector="gw-1", kind="thaw", body={"case": "c"}, now_ms=NOW_MS)

    assert sorted(await asyncio.gather(*(give() for _ in range(12)))) == list(range(1, 13))


@pytest.mark.parametrize(
    ("kind", "body"), [("dance", {}), ("thaw", {}), ("freeze", {"case": "c"}), ("mask", {"mask": 1})]
)
async def test_what_is_no_order_is_never_numbered(hall: Hall, kind: str, body: dict[str, Any]) -> None:
    with pytest.raises(MessageError):
        await orders.add(hall.owner, detector="gw-1", kind=kind, body=body, now_ms=NOW_MS)
    assert await hall.add() == 1


async def test_a_gateway_that_is_unknown_or_revoked_gets_no_order(hall: Hall) -> None:
    with pytest.raises(UnknownDetectorError):
        await orders.add(hall.owner, detector="gw-9", kind="restart", body={}, now_ms=NOW_MS)
    await hall.add()
    await hall.owner.execute("UPDATE detector SET revoked_at = now()")
    with pytest.raises(UnknownDetectorError):
        await hall.add()
    assert await hall.due() == []


async def test_the_keys_of_footage_are_in_no_row(hall: Hall) -> None:
    body = {"export": "e", "case": "c", "from_ms": 0, "to_ms": 1000, "recipient": RECIPIENT}
    await hall.add("export", **body, strands={bytes(16): b"k" * 32})
    assert b"k" * 32 not in (await hall.order(1)).body


async def test_the_gate_hears_of_a_new_order_at_once(hall: Hall) -> None:
    async with await connect(hall.config.dsn("gate")) as conn, contextlib.aclosing(orders.changes(conn)) as heard:
        assert await anext(heard) == ""
        await hall.add()
        assert await asyncio.wait_for(anext(heard), 5) == "gw-1"


async def test_the_next_order_waits_until_the_one_before_is_received(hall: Hall) -> None:
    await hall.add()
    await hall.add("restart")
    assert await hall.due() == [1]
    first = (await orders.due(hall.gate, city=CITY, now_ms=NOW_MS))[0]
    await orders.mark_sent(hall.gate, first, now_ms=NOW_MS, next_ms=NOW_MS + 5_000)
    assert await hall.due() == []
    assert await hall.due(NOW_MS + 5_000) == [1]
    await orders.mark_received(hall.gate, "gw-1", 1, now_ms=NOW_MS, next_ms=NOW_MS + 30_000)
    assert await hall.due() == [2]
    assert await hall.due(NOW_MS + 30_000) == [2, 1]
    assert (await hall.order(1)).state == "sent"


def test_repeats_wait_longer_and_longer() -> None:
    assert [pause_ms(n) // 1_000 for n in (0, 1, 2, 5, 6, 7, 1_000)] == [5, 10, 20, 160, 300, 300, 300]


async def test_an_order_is_signed_anew_each_time(hall: Hall) -> None:
    await hall.add("thaw", case="c-1")
    for now_ms in (NOW_MS, NOW_MS + 60_000):
        order_key = hall.dispatcher.order_key.public_key()
        header, payload = seal.verify(await hall.envelope(1, now_ms), verifier=order_key)
        assert (header.city, header.detector, header.content) == (CITY, "gw-1", "order")
        assert (header.epoch, header.sequence, header.sealed_at_ms) == (0, 1, now_ms)
        assert Order.decode(payload) == Order(1, now_ms, "thaw", {"case": "c-1"})


def export_of(from_ms: int, to_ms: int, case: str = "c-1") -> dict[str, Any]:
    return {"export": "e-1", "case": case, "from_ms": from_ms, "to_ms": to_ms, "recipient": RECIPIENT, "upload_url": ""}


async def frozen(hall: Hall, case: str, window: tuple[int, int], *strands: strand.Strand, until_ms: int = 0) -> None:
    """Give a freeze order and let the gateway report that it is done."""
    body = {"case": case, "from_ms": window[0], "to_ms": window[1], "until_ms": until_ms or NOW_MS + 10**9}
    sequence = await hall.add("freeze", **body)
    told = [[one.id, one.wrapped] for one in strands]
    await hall.report(hall.box.told("order.done", Order(sequence, NOW_MS, "freeze", body), strands=told))


def a_strand(hall: Hall, camera: str = "gw-1") -> strand.Strand:
    assert hall.dispatcher.footage_key is not None
    return strand.Strand.new(camera, hall.dispatcher.footage_key.public_key())


async def test_an_export_carries_the_keys_of_its_own_window_and_only_the_gateway_reads_them(hall: Hall) -> None:
    middle = (WINDOW[0] + WINDOW[1]) // 2
    first, second, other = a_strand(hall), a_strand(hall), a_strand(hall)
    await frozen(hall, "c-1", (WINDOW[0], middle), first)
    await frozen(hall, "c-1", (middle, WINDOW[1]), second)
    await frozen(hall, "c-2", WINDOW, other)
    await hall.add("export", **export_of(WINDOW[0], middle))
    await hall.add("export", **export_of(WINDOW[0], WINDOW[1]))
    for sequence, wanted in ((4, {first}), (5, {first, second})):
        payload = await hall.envelope(sequence)
        assert not any(one.key in payload for one in (first, second, other))
        verifier = hall.dispatcher.order_key.public_key()
        _, opened = seal.unseal(payload, verifier=verifier, recipient=hall.box.seal_key)
        command = read(Order.decode(opened))
        assert isinstance(command, Export)
        assert command.strands == {one.id: one.key for one in wanted}
        await orders.mark_received(hall.gate, "gw-1", sequence, now_ms=NOW_MS, next_ms=NOW_MS)


async def test_the_order_of_an_export_is_the_same_to_both_sides(hall: Hall) -> None:
    await frozen(hall, "c-1", WINDOW, a_strand(hall))
    await hall.add("export", **export_of(*WINDOW))
    payload = await hall.envelope(2)
    _, opened = seal.unseal(payload, verifier=hall.dispatcher.order_key.public_key(), recipient=hall.box.seal_key)
    await hall.report(hall.box.told("order.done", Order.decode(opened), parts=1))
    assert (await hall.order(2)).state == "done"


@pytest.mark.parametrize("why", ["never", "another case", "thawed", "over", "partly", "refused"])
async def test_what_its_case_has_not_frozen_is_not_exported(hall: Hall, why: str) -> None:
    one = a_strand(hall)
    match why:
        case "another case":
            await frozen(hall, "c-2", WINDOW, one)
        case "thawed":
            await frozen(hall, "c-1", WINDOW, one)
            await hall.add("thaw", case="c-1")
            await orders.mark_received(hall.gate, "gw-1", 2, now_ms=NOW_MS, next_ms=NOW_MS + 10**6)
        case "over":
            await frozen(hall, "c-1", WINDOW, one, until_ms=NOW_MS)
        case "partly":
            await frozen(hall, "c-1", (WINDOW[0] + 1_000, WINDOW[1]), one)
        case "refused":
            body = {"case": "c-1", "from_ms": WINDOW[0], "to_ms": WINDOW[1], "until_ms": NOW_MS + 10**9}
            await hall.add("freeze", **body)
            await hall.report(hall.box.told("order.refused", Order(1, NOW_MS, "freeze", body), reason="no-camera"))
    sequence = await hall.add("export", **export_of(*WINDOW))
    with pytest.raises(UnfitOrderError, match="not-frozen"):
        await hall.envelope(sequence)


async def test_a_strand_of_another_camera_opens_nothing(hall: Hall) -> None:
    await frozen(hall, "c-1", WINDOW, a_strand(hall, "gw-2"))
    await hall.add("export", **export_of(*WINDOW))
    with pytest.raises(UnfitOrderError, match="strands-unreadable"):
        await hall.envelope(2)


async def test_nothing_is_exported_without_a_key_to_seal_to_or_to_open_with(hall: Hall) -> None:
    await frozen(hall, "c-1", WINDOW, a_strand(hall))
    await hall.add("export", **export_of(*WINDOW))
    blind = dataclasses.replace(hall.dispatcher, footage_key=None)
    found = (await orders.due(hall.gate, city=CITY, now_ms=NOW_MS))[0]
    with pytest.raises(UnfitOrderError, match="no-footage-key"):
        await blind.envelope(hall.gate, found, NOW_MS)
    await hall.owner.execute("UPDATE detector SET seal_key = NULL")
    with pytest.raises(UnfitOrderError, match="no-seal-key"):
        await hall.envelope(2)


async def test_an_order_that_nobody_can_read_is_refused_and_keeps_none_waiting(hall: Hall, broker: Any) -> None:
    sequence = await hall.add("thaw")
    await hall.owner.execute(r"UPDATE gateway_order SET body = '\xff'")
    desk = OrderDesk(hall.config, hall.dispatcher, hall.reporter, hall.metrics, lambda: NOW_MS)
    (found,) = await orders.due(hall.gate, city=CITY, now_ms=NOW_MS)
    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        await desk._send_one(client, hall.gate, found)
    settled = await hall.order(sequence)
    assert (settled.state, settled.reason) == ("refused", "malformed")
    assert await hall.due() == []


async def test_a_log_is_kept_as_it_was_signed_and_a_report_that_comes_again_changes_nothing(hall: Hall) -> None:
    said = [hall.box.add("mask.set", version=n) for n in range(3)]
    for one in (*said, *said):
        assert await hall.report(one) == Receipt(7, accepted=(one.sequence,))
    kept = await gateway_log.whole(hall.owner, "gw-1")
    assert [(one.sequence, one.kind, one.is_broken) for one in kept] == [(n, "mask.set", False) for n in (1, 2, 3)]
    assert kept[1].signed == hall.box.sign(said[1]) or seal.parse(kept[1].signed).read() == said[1].encode()
    assert [cbor.loads(one.body, max_octets=99) for one in kept] == [{"version": n} for n in range(3)]
    assert (count(hall.metrics.reports, "new"), count(hall.metrics.reports, "again")) == (3, 3)
    assert await hall.faults() == []


@pytest.mark.parametrize(
    ("outcome", "state"), [("order.done", "done"), ("order.failed", "failed"), ("order.refused", "refused")]
)
async def test_an_outcome_settles_its_order_once(hall: Hall, outcome: str, state: str) -> None:
    await hall.add("thaw", case="c-1")
    order = Order(1, NOW_MS, "thaw", {"case": "c-1"})
    await hall.report(hall.box.told("order.received", order))
    assert (await hall.order(1)).is_received
    for n in range(2):
        await hall.report(hall.box.told(outcome, order, reason=f"r{n}"))
    found = await hall.order(1)
    assert (found.state, found.reason, found.is_settled) == (state, "r0", True)
    assert found.result is not None
    assert cbor.loads(found.result, max_octets=999)["reason"] == "r0"


async def test_an_outcome_of_another_order_with_the_number_settles_nothing(hall: Hall) -> None:
    await hall.add("thaw", case="c-1")
    await hall.report(hall.box.told("order.done", Order(1, NOW_MS, "thaw", {"case": "c-2"})))
    assert not (await hall.order(1)).is_settled
    assert count(hall.metrics.alarms, "unlike") == 1


@pytest.mark.parametrize("reason", ["stale", "sealed-for-another"])
async def test_a_refusal_that_may_pass_is_noted_and_the_order_goes_on(hall: Hall, reason: str) -> None:
    await hall.add()
    await hall.report(hall.box.add("order.refused", sequence=1, kind="", reason=reason))
    found = await hall.order(1)
    assert (found.is_settled, found.reason) == (False, reason)


async def test_an_export_that_was_cut_short_is_sent_again_at_once(hall: Hall) -> None:
    await hall.add("thaw", case="c-1")
    order = Order(1, NOW_MS, "thaw", {"case": "c-1"})
    await hall.report(hall.box.told("order.received", order))
    assert await hall.due() == []
    await hall.report(hall.box.told("order.interrupted", order))
    assert await hall.due() == [1]


async def test_a_gateway_that_comes_back_gets_at_once_what_it_did_not_receive(hall: Hall) -> None:
    await hall.add()
    first = (await orders.due(hall.gate, city=CITY, now_ms=NOW_MS))[0]
    for sent_ms, wanted in ((NOW_MS, []), (NOW_MS - 60_000, [1])):
        await orders.mark_sent(hall.gate, first, now_ms=sent_ms, next_ms=NOW_MS + 300_000)
        started = hall.box.add("gateway.started")
        await hall.report(started)
        assert await hall.due() == wanted
    await orders.mark_sent(hall.gate, first, now_ms=NOW_MS - 60_000, next_ms=NOW_MS + 300_000)
    await hall.report(hall.box.add("footage.deleted"))
    assert await hall.due() == []
    await hall.report(hall.box.entries[-1])  # again, as at each new connection
    assert await hall.due() == [1]


async def test_a_gap_is_flagged_concludes_nothing_and_heals_when_the_missing_entry_comes(hall: Hall) -> None:
    await hall.add("thaw", case="c-1")
    order = Order(1, NOW_MS, "thaw", {"case": "c-1"})
    received, done = hall.box.told("order.received", order), hall.box.told("order.done", order)
    assert await hall.report(done) == Receipt(7, accepted=(2,))
    assert await hall.broken() == [2]
    assert await gateway_log.flagged(hall.gate) == 1
    assert (count(hall.metrics.reports, "early"), count(hall.metrics.alarms, "broken")) == (1, 0)
    assert not (await hall.order(1)).is_settled
    assert await hall.faults() == ["epoch 00000007 is broken at 1"]
    await hall.report(received)
    assert await hall.broken() == []
    assert (await hall.order(1)).state == "done"
    assert await hall.faults() == []


async def test_an_entry_that_waited_for_another_than_came_is_an_alarm(hall: Hall) -> None:
    hall.box.add("mask.set", version=1)
    await hall.report(hall.box.add("mask.set", version=2))
    await hall.report(dataclasses.replace(hall.box.entries[0], body={"version": 9}))
    assert await hall.broken() == [2]
    assert count(hall.metrics.alarms, "broken") == 1


async def test_an_entry_that_does_not_name_the_one_before_is_flagged_for_ever(hall: Hall) -> None:
    await hall.add("thaw", case="c-1")
    order = Order(1, NOW_MS, "thaw", {"case": "c-1"})
    await hall.report(hall.box.add("mask.set", version=1))
    hall.box.entries[-1] = dataclasses.replace(hall.box.entries[-1], body={"version": 2})
    await hall.report(hall.box.told("order.done", order))
    await hall.report(hall.box.add("mask.set", version=3))
    assert await hall.broken() == [2]
    assert not (await hall.order(1)).is_settled
    assert await hall.faults() == ["epoch 00000007 is broken at 2"]


async def test_a_second_entry_of_a_number_is_kept_apart_and_refused(hall: Hall) -> None:
    await hall.add("thaw", case="c-1")
    await hall.report(hall.box.add("mask.set", version=1))
    hall.box.entries.clear()
    other = hall.box.told("order.done", Order(1, NOW_MS, "thaw", {"case": "c-1"}))
    assert await hall.report(other) == Receipt(7, refused=((1, "forked"),))
    assert [one.kind for one in await gateway_log.whole(hall.owner, "gw-1")] == ["mask.set"]
    assert not (await hall.order(1)).is_settled
    assert count(hall.metrics.alarms, "forked") == 1
    assert await hall.faults() == ["1 entries came with the number of another one"]


async def test_a_new_journal_is_a_chain_of_its_own(hall: Hall) -> None:
    await hall.report(hall.box.add("a.b"))
    hall.box.epoch, hall.box.entries = 8, []
    await hall.report(hall.box.add("journal.renewed"))
    assert await hall.broken() == []
    assert await hall.faults() == []


async def test_reports_stay_proven_when_the_gateway_has_another_key(hall: Hall) -> None:
    await hall.report(hall.box.add("a.b"))
    old, hall.box.key = hall.box.key, keys.new_signing_key()
    await hall.owner.execute("UPDATE detector SET public_key = %s", (_der(hall.box.key.public_key()),))
    await hall.report(hall.box.add("c.d"))
    assert await hall.report(hall.box.add("e.f"), key=old) is None
    assert await hall.faults() == []


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE gateway_log SET entry = '\\x00' WHERE sequence = 2", "epoch 00000007: entry 2 is not signed"),
        ("DELETE FROM gateway_log WHERE sequence = 2", "epoch 00000007 is broken at 2"),
        ("UPDATE gateway_log SET sequence = 9 WHERE sequence = 3", "epoch 00000007: entry 9 is not signed"),
    ],
)
async def test_whoever_changes_the_citys_copy_is_found_out(hall: Hall, statement: str, fault: str) -> None:
    for _ in range(3):
        await hall.report(hall.box.add("a.b"))
    await hall.owner.execute(statement.encode())
    assert fault in await hall.faults()


async def test_what_no_gateway_of_ours_signed_is_counted_and_not_answered(hall: Hall) -> None:
    said, other = hall.box.add("a.b"), keys.new_signing_key()
    assert await hall.report(said, key=other) is None
    assert await hall.report(said, city="elsewhere") is None
    assert await hall.report(said, detector="gw-2") is None
    assert await hall.report(said, content="heartbeat") is None
    assert await hall.take(b"noise") is None
    assert await hall.take(bytes(300_000)) is None
    await hall.owner.execute("UPDATE detector SET revoked_at = now()")
    assert await hall.report(said) is None
    counts = {reason: count(hall.metrics.reports, reason) for reason in ("forged", "foreign", "malformed", "unknown")}
    assert counts == {"forged": 1, "foreign": 3, "malformed": 2, "unknown": 1}
    assert await gateway_log.whole(hall.owner, "gw-1") == []


async def test_what_a_gateway_signed_and_is_no_entry_is_refused_for_good(hall: Hall) -> None:
    nul = hall.box.add("a\0b")
    assert await hall.report(nul) == Receipt(7, refused=((1, "malformed"),))
    assert await hall.report(nul, sequence=5) == Receipt(7, refused=((5, "malformed"),))


async def test_a_mask_has_the_version_after_the_last_one(hall: Hall) -> None:
    signer = issue.CitySigner.of(hall.config)
    drawing = issue.Drawing((((0.1, 0.1), (0.5, 0.1), (0.5, 0.5)),))
    versions = [
        (await issue.issue_mask(hall.owner, signer, "gw-1", drawing=drawing, now_ms=NOW_MS))[1] for _ in range(3)
    ]
    assert versions == [1, 2, 3]


async def test_settings_keep_what_is_not_changed_and_what_was_refused_is_no_ground(hall: Hall) -> None:
    signer = issue.CitySigner.of(hall.config)

    async def given(**changes: Any) -> CameraSettings:
        _, made = await issue.issue_settings(hall.owner, signer, "gw-1", changes=changes, now_ms=NOW_MS)
        return made

    assert await given(fps=10) == CameraSettings(1, fps=10)
    assert await given(retention_days=7) == CameraSettings(2, fps=10, retention_days=7)
    await orders.settle(hall.gate, "gw-1", 2, Outcome("refused"), now_ms=NOW_MS)
    assert await given(max_mb=50) == CameraSettings(3, fps=10, max_mb=50)
    with pytest.raises(MessageError, match="fps"):
        await given(fps=0)


@pytest.mark.parametrize(
    "command", [Freeze("c", *WINDOW, NOW_MS), Thaw("c"), Restart(), Export("e", "c", 0, 1_000, RECIPIENT)]
)
async def test_every_command_can_be_issued(hall: Hall, command: Any) -> None:
    sequence = await issue.issue(hall.owner, "gw-1", command, now_ms=NOW_MS)
    kept = await hall.order(sequence)
    assert read(Order(sequence, NOW_MS, kept.kind, cbor.loads(kept.body, max_octets=9_999))) == command


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("gate", "DELETE FROM gateway_log"),
        ("gate", "UPDATE gateway_log SET entry = ''"),
        ("gate", "UPDATE gateway_order SET body = ''"),
        ("gate", "INSERT INTO gateway_order VALUES ('gw-1', 1, 'thaw', '', now())"),
        ("api", "UPDATE gateway_order SET state = 'done'"),
        ("api", "INSERT INTO gateway_order VALUES ('gw-1', 1, 'export', '', now())"),
        ("api", "SELECT 1 FROM gateway_order"),
        ("api", "SELECT 1 FROM gateway_log"),
        ("api", "INSERT INTO gateway_log VALUES ('gw-1')"),
        ("ingest", "SELECT 1 FROM gateway_order"),
        ("notify", "SELECT 1 FROM gateway_log"),
    ],
)
def test_nobody_rewrites_orders_or_logs(db: ServerConfig, role: str, statement: str) -> None:
    with psycopg.connect(db.dsn(role)) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute(statement.encode())
