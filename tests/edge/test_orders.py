"""The desk: what the city signed for this gateway a moment ago is done once, all else is refused and counted."""

import asyncio
import contextlib
import dataclasses
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.errors import EdgeError, JournalFullError, OrderRefusedError
from edge.journal import MAX_BYTES, Journal
from edge.orders import Desk
from wire import cbor, keys, orders, seal
from wire.entry import Entry
from wire.messages import Order
from wire.orders import MAX_AGE_MS, Export, Freeze, SetMask, Thaw

NOW_MS = 1_800_000_000_000
THAW = {"case": "case-1"}
FREEZE = {"case": "case-1", "from_ms": 1_000, "to_ms": 9_000, "until_ms": NOW_MS}
EXPORT = {"export": "e-1", "case": "case-1", "from_ms": 1_000, "to_ms": 9_000, "recipient": "age1x"}


@dataclasses.dataclass
class Bench:
    """A desk on a real journal, and handlers that note what they are given."""

    city: Any
    path: Path
    seal_key: X25519PrivateKey = dataclasses.field(default_factory=X25519PrivateKey.generate)
    now_ms: int = NOW_MS
    done: list[Any] = dataclasses.field(default_factory=list)
    handlers: dict[Any, Any] = dataclasses.field(default_factory=dict)
    counts: Counter[str] = dataclasses.field(default_factory=Counter)

    def __post_init__(self) -> None:
        for kind in (Freeze, Thaw, Export, SetMask):
            self.handlers[kind] = self.note
        self.start()

    def note(self, command: Any) -> dict[str, Any]:
        self.done.append(command)
        return {"until_ms": 7}

    def start(self, *, max_bytes: int = MAX_BYTES) -> None:
        """Open the journal and sit down, as at the program's start."""
        self.journal = Journal.open(self.path, max_bytes=max_bytes, now_ms=lambda: self.now_ms)
        self.desk = Desk(
            self.city.bundle,
            "gw-1",
            self.journal,
            self.handlers,
            self.counts,
            lambda: self.seal_key,
            lambda: self.now_ms,
        )

    def order(self, sequence: int = 1, kind: str = "thaw", body: Any = None, *, age_ms: int = 0) -> Order:
        return Order(sequence, self.now_ms - age_ms, kind, THAW if body is None else body)

    def sign(self, order: Order, **over: Any) -> bytes:
        return bytes(self.city.order(order, **over))

    def take(self, *orders_: Order) -> None:
        for order in orders_:
            self.desk.take(self.sign(order))

    def log(self) -> list[tuple[str, Any]]:
        return [(entry.kind, entry.body.get("sequence")) for entry in self.journal.tail(1_000)]

    def reasons(self) -> list[str]:
        return [entry.body["reason"] for entry in self.journal.tail(1_000) if "reason" in entry.body]

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not is_so():  # noqa: ASYNC110 -- the log has no event
                await asyncio.sleep(0)

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Carry out what is queued inside the block, and all of it before its end."""
        task = asyncio.create_task(self.desk.run())
        await asyncio.sleep(0)
        try:
            yield
            await self.until(lambda: not self.desk.lanes._under_way)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def bench(city: Any, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(city, tmp_path / "journal.db")
    yield made
    made.journal.close()


async def test_an_order_of_the_city_is_written_down_done_and_written_down_again(bench: Bench) -> None:
    async with bench.working():
        bench.take(bench.order(1), bench.order(2, "freeze", FREEZE))
    assert bench.done == [Thaw("case-1"), Freeze("case-1", 1_000, 9_000, NOW_MS)]
    received, done = bench.journal.tail(4)[0], bench.journal.tail(4)[2]
    assert bench.log() == [("order.received", 1), ("order.received", 2), ("order.done", 1), ("order.done", 2)]
    assert received.body == {"sequence": 1, "kind": "thaw", "order": orders.digest("thaw", THAW)}
    assert done.body == {"until_ms": 7, **received.body}
    assert bench.journal.order_sequence == 2
    assert bench.counts == {"orders_taken": 2, "orders_done": 2}


async def test_a_sealed_order_is_opened_and_its_keys_are_written_nowhere(bench: Bench) -> None:
    strands = {bytes(16): b"k" * 32}
    order = bench.order(1, "export", {**EXPORT, "strands": strands})
    async with bench.working():
        bench.desk.take(bench.sign(order, recipient=bench.seal_key.public_key()))
    assert bench.done[0].strands == strands
    bench.journal.close()
    files = [file.read_bytes() for file in bench.path.parent.iterdir() if file.name.startswith("journal")]
    assert not any(b"k" * 32 in content for content in files)
    bench.start()


def _other_key(bench: Bench) -> bytes:
    return bench.sign(bench.order(), signer=keys.new_signing_key())


def _flipped(bench: Bench, at: int) -> bytes:
    good = bytearray(bench.sign(bench.order()))
    good[at] ^= 1
    return bytes(good)


def _kid_of_the_city_by_another(bench: Bench) -> bytes:
    other = keys.new_signing_key()
    honest = bench.sign(bench.order())
    forged = bench.sign(bench.order(), signer=other)
    kid, other_kid = (keys.kid(key.public_key()) for key in (bench.city.order_key, other))
    assert kid in honest
    return forged.replace(other_kid, kid)


SIGNED_BUT_WRONG: dict[str, tuple[Callable[[Bench], bytes], str]] = {
    "another city": (lambda b: b.sign(b.order(), city="elsewhere"), "foreign"),
    "another detector": (lambda b: b.sign(b.order(), detector="gw-2"), "foreign"),
    "other contents": (lambda b: b.sign(b.order(), content="mask"), "foreign"),
    "an epoch": (lambda b: b.sign(b.order(), epoch=1), "malformed"),
    "another sequence in the header": (lambda b: b.sign(b.order(), sequence=2), "malformed"),
    "sequence 0": (lambda b: b.sign(b.order(0)), "malformed"),
    "a sequence that is a text": (
        lambda b: _raw(b, {1: "1", 2: NOW_MS, 3: "thaw", 4: THAW}),
        "malformed",
    ),
    "a time that is none": (lambda b: _raw(b, {1: 1, 2: -5, 3: "thaw", 4: THAW}), "malformed"),
    "a kind that is a number": (lambda b: _raw(b, {1: 1, 2: NOW_MS, 3: 3, 4: THAW}), "malformed"),
    "a body that is a list": (lambda b: _raw(b, {1: 1, 2: NOW_MS, 3: "thaw", 4: [1]}), "malformed"),
    "a later version": (lambda b: _raw(b, {0: 2, 1: 1, 2: NOW_MS, 3: "thaw", 4: THAW}), "malformed"),
    "stale": (lambda b: b.sign(b.order(age_ms=MAX_AGE_MS + 1)), "stale"),
    "of the future": (lambda b: b.sign(b.order(age_ms=-MAX_AGE_MS - 1)), "stale"),
    "an unknown kind": (lambda b: b.sign(b.order(kind="dance")), "unknown"),
    "a body without a case": (lambda b: b.sign(b.order(body={})), "malformed"),
    "a case that is no id": (lambda b: b.sign(b.order(body={"case": "../x"})), "malformed"),
    "a window too long": (
        lambda b: b.sign(b.order(kind="freeze", body={**FREEZE, "to_ms": 10**9})),
        "malformed",
    ),
    "sealed for another": (
        lambda b: b.sign(b.order(), recipient=X25519PrivateKey.generate().public_key()),
        "sealed_for_another",
    ),
    "nothing to do it with": (lambda b: b.sign(b.order(kind="configure", body={"settings": b""})), "no_camera"),
    "no way to renew keys": (lambda b: b.sign(b.order(kind="rotate-keys", body={})), "no_enrolment"),
}


def _raw(bench: Bench, fields: dict[int, object]) -> bytes:
    signer_kid = keys.kid(bench.city.order_key.public_key())
    header = seal.Header(bench.city.name, "gw-1", 0, 1, NOW_MS, b"", signer_kid, "order")
    return seal.sign(cbor.dumps({0: 1, **fields}), header, signer=bench.city.order_key)


@pytest.mark.parametrize("name", SIGNED_BUT_WRONG)
async def test_what_the_city_signed_and_is_not_for_here_and_now_is_refused_counted_and_written_down(
    bench: Bench, name: str
) -> None:
    make, reason = SIGNED_BUT_WRONG[name]
    async with bench.working():
        bench.desk.take(make(bench))
    assert bench.done == []
    assert bench.counts == {f"orders_{reason}": 1}
    assert [entry.kind for entry in bench.journal.tail(9)] == ["order.refused"]
    assert bench.reasons() == [reason.replace("_", "-")]


FORGED: dict[str, tuple[Callable[[Bench], bytes], str]] = {
    "another key": (_other_key, "forged"),
    "another key under the city's id": (_kid_of_the_city_by_another, "forged"),
    "the receipt key": (lambda b: b.sign(b.order(), signer=b.city.receipt_key), "forged"),
    "a signature's octet": (lambda b: _flipped(b, -1), "forged"),
    "the body's octet": (lambda b: _flipped(b, -70), "forged"),
    "nothing": (lambda _: b"", "malformed"),
    "oversized": (lambda b: b.sign(b.order(body={"case": "x" * 300_000})), "malformed"),
    "a bare order": (lambda b: b.order().encode(), "malformed"),
}


@pytest.mark.parametrize("name", FORGED)
async def test_what_the_city_did_not_sign_is_refused_and_counted(bench: Bench, name: str) -> None:
    make, reason = FORGED[name]
    async with bench.working():
        bench.desk.take(make(bench))
    assert bench.done == []
    assert bench.counts == {f"orders_{reason}": 1}
    assert bench.log() == [("order.forged", None)]


async def test_no_octet_of_an_order_can_be_changed(bench: Bench) -> None:
    good = bench.sign(bench.order())
    async with bench.working():
        for at in range(len(good)):
            bench.desk.take(good[:at] + bytes([good[at] ^ 0x01]) + good[at + 1 :])
    assert bench.done == []
    assert bench.counts["orders_taken"] == 0
    assert sum(bench.counts.values()) == len(good)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=400))
def test_noise_is_refused_and_breaks_nothing(bench: Bench, noise: bytes) -> None:
    before = sum(bench.counts.values())
    bench.desk.take(noise)
    assert sum(bench.counts.values()) == before + 1
    assert bench.counts["orders_taken"] == 0


_plain = st.none() | st.booleans() | st.integers() | st.binary(max_size=9) | st.text(max_size=9)
_values = st.recursive(
    _plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_plain, inner, max_size=3), max_leaves=6
)
_names = st.sampled_from(["case", "from_ms", "to_ms", "until_ms", "export", "recipient", "strands", "mask"])
_bodies = st.dictionaries(_names | st.text(max_size=4), _values, max_size=6)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([*sorted(orders.KINDS), "x"]), _bodies)
def test_whatever_the_city_signs_is_taken_or_refused(bench: Bench, kind: str, body: dict[str, Any]) -> None:
    before = sum(bench.counts.values())
    bench.desk.take(bench.sign(bench.order(bench.journal.order_sequence + 1, kind, body)))
    assert sum(bench.counts.values()) == before + 1


async def test_a_repeat_is_answered_with_its_entry_and_done_no_more(bench: Bench) -> None:
    payload = bench.sign(bench.order())
    async with bench.working():
        bench.desk.take(payload)
    bench.journal.settle([1, 2])
    async with bench.working():
        bench.desk.take(payload)
        bench.now_ms += 9
        bench.take(bench.order())  # signed anew, as the city does
    assert len(bench.done) == 1
    assert [Entry.decode(encoded).kind for _, encoded in bench.journal.unsent(9)] == ["order.done"]
    assert bench.counts["orders_repeated"] == 2


@pytest.mark.parametrize(("age_ms", "stale"), [(MAX_AGE_MS, 0), (MAX_AGE_MS + 1, 1), (-MAX_AGE_MS, 0)])
async def test_an_order_is_good_for_a_quarter_of_an_hour(bench: Bench, age_ms: int, stale: int) -> None:
    bench.now_ms += 2 * MAX_AGE_MS
    async with bench.working():
        bench.take(bench.order(age_ms=age_ms))
    assert bench.counts["orders_stale"] == stale
    assert len(bench.done) == 1 - stale


async def test_an_order_played_back_ten_thousand_times_is_answered_once_a_second(bench: Bench) -> None:
    payload, answers = bench.sign(bench.order()), 0
    async with bench.working():
        bench.desk.take(payload)
        await bench.until(lambda: ("order.done", 1) in bench.log())
        for _ in range(10_000):
            if waiting := bench.journal.unsent(9):
                answers += len(waiting)
                bench.journal.settle(sequence for sequence, _ in waiting)
            bench.now_ms += 1
            bench.desk.take(payload)
    assert len(bench.done) == 1
    assert answers <= 13
    assert len(bench.journal.tail(99)) == 2


async def test_an_order_behind_the_last_one_is_refused(bench: Bench) -> None:
    async with bench.working():
        bench.take(bench.order(5), bench.order(3))
    assert len(bench.done) == 1
    assert bench.counts["orders_replayed"] == 1


async def test_the_number_of_an_order_serves_no_other(bench: Bench) -> None:
    async with bench.working():
        bench.take(bench.order(1), bench.order(1, body={"case": "case-2"}))
    assert bench.done == [Thaw("case-1")]
    assert bench.reasons() == ["replayed"]


async def test_the_last_sequence_outlives_a_restart(bench: Bench) -> None:
    payload = bench.sign(bench.order(1, body={"case": "other"}))
    async with bench.working():
        bench.take(bench.order(2))
    bench.journal.close()
    bench.start()
    bench.desk.take(payload)
    assert bench.counts["orders_replayed"] == 1


async def test_a_new_journal_knows_no_orders_and_takes_none_from_before(bench: Bench) -> None:
    old = bench.sign(bench.order(1))
    async with bench.working():
        bench.desk.take(old)
    bench.journal.close()
    bench.path.write_bytes(b"damaged" * 2_000)
    bench.now_ms += 1_000
    bench.start()
    async with bench.working():
        bench.desk.take(old)
    assert len(bench.done) == 1
    assert bench.counts["orders_stale"] == 1


@pytest.mark.parametrize(
    ("error", "outcome", "reason"),
    [
        (OrderRefusedError("old-version"), "order.refused", "old-version"),
        (EdgeError("no such case"), "order.failed", "EdgeError: no such case"),
        (OSError(28, "No space left on device"), "order.failed", "OSError: No space left on device"),
        (ZeroDivisionError("a name"), "order.failed", "ZeroDivisionError"),
    ],
)
async def test_a_handler_that_fails_is_told_and_keeps_no_later_order_waiting(
    bench: Bench, error: Exception, outcome: str, reason: str
) -> None:
    def fail(_: Any) -> dict[str, Any]:
        raise error

    bench.handlers[Freeze] = fail
    async with bench.working():
        bench.take(bench.order(1, "freeze", FREEZE), bench.order(2))
    assert (outcome, 1) in bench.log()
    assert ("order.done", 2) in bench.log()
    assert bench.reasons() == [reason]


async def test_a_result_that_holds_a_key_or_too_much_is_a_failure(bench: Bench) -> None:
    bench.handlers[Export] = lambda command: {"parts": list(command.strands.values())}
    bench.handlers[Thaw] = lambda _: {"parts": bytes(200_000)}
    body = {**EXPORT, "strands": {bytes(16): b"k" * 32}}
    async with bench.working():
        bench.take(bench.order(1, "export", body), bench.order(2))
    assert sorted(bench.reasons()) == [
        "EdgeError: the result holds a key",
        "EdgeError: the result is too large for the log",
    ]


async def test_a_long_export_keeps_no_freeze_waiting(bench: Bench) -> None:
    gate = asyncio.Event()

    async def export(_: Export) -> dict[str, Any]:
        await gate.wait()
        return {}

    bench.handlers[Export] = export
    async with bench.working():
        bench.take(bench.order(1, "export", EXPORT), bench.order(2, "freeze", FREEZE))
        await bench.until(lambda: ("order.done", 2) in bench.log())
        assert ("order.done", 1) not in bench.log()
        bench.take(bench.order(1, "export", EXPORT))  # repeated while it lasts: not begun twice
        gate.set()
    assert bench.log().count(("order.done", 1)) == 1


async def test_a_flood_of_forged_orders_leaves_the_log_small_and_the_next_order_done(bench: Bench) -> None:
    forged, foreign = _other_key(bench), bench.sign(bench.order(), detector="gw-2")
    stale = [bench.sign(bench.order(n, age_ms=MAX_AGE_MS + 9)) for n in range(1, 101)]
    async with bench.working():
        for n in range(10_000):
            bench.now_ms += 3  # 30 s in all
            bench.desk.take((forged, foreign, stale[n % 100])[n % 3])
        bench.take(bench.order(1))
    assert bench.counts["orders_forged"] == 3_334
    assert len(bench.journal.tail(10_000)) < 20
    assert bench.done == [Thaw("case-1")]


async def test_forged_orders_are_written_down_once_a_minute_with_their_number(bench: Bench) -> None:
    forged = _other_key(bench)
    for minute in range(3):
        for _ in range(5):
            bench.desk.take(forged)
        bench.now_ms += 60_000
        assert minute >= 0
    assert [entry.body["count"] for entry in bench.journal.tail(9)] == [1, 5, 5]


def fill(journal: Journal) -> None:
    """Leave no room for the smallest entry."""
    with contextlib.suppress(JournalFullError):
        while True:
            journal.add("a.b", {"octets": bytes(1_000)})
    while True:
        journal.add("a.b")


async def test_an_order_that_cannot_be_written_down_is_not_done(bench: Bench) -> None:
    bench.journal.close()
    bench.path.unlink()
    bench.start(max_bytes=131_072)
    with pytest.raises(JournalFullError):
        fill(bench.journal)
    async with bench.working():
        bench.take(bench.order(1))
        assert bench.counts == {"order_journal_failures": 1}
        bench.journal.settle(sequence for sequence, _ in bench.journal.unsent(1_000))
        bench.now_ms += 1
        bench.take(bench.order(1))
    assert bench.done == [Thaw("case-1")]


async def test_what_a_death_cut_short_is_done_at_the_next_start(bench: Bench) -> None:
    bench.take(bench.order(1, "freeze", FREEZE))
    bench.journal.close()  # nothing else is written: as after kill -9
    bench.start()
    async with bench.working():
        pass
    assert bench.log() == [("order.received", 1), ("order.done", 1)]
    assert len(bench.done) == 1


async def test_an_export_that_a_death_cut_short_is_done_when_it_comes_again(bench: Bench) -> None:
    body = {**EXPORT, "strands": {bytes(16): b"k" * 32}}
    bench.take(bench.order(1, "export", body))
    bench.journal.close()
    bench.start()
    async with bench.working():
        pass
    assert bench.done == []
    assert bench.log() == [("order.received", 1), ("order.interrupted", 1)]
    async with bench.working():
        bench.take(bench.order(1, "export", body))
    assert len(bench.done) == 1
    assert ("order.done", 1) in bench.log()
