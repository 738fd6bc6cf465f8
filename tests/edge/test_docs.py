"""What docs/WIRE.md says of orders and of the gateway's log is what a real desk does and writes."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge.journal import Journal
from edge.keep import Sealer
from edge.orders import Desk
from tests.documents import Document
from wire import keys, seal
from wire.clock import Clock
from wire.entry import Entry
from wire.messages import Order

EDGE = Path(__file__).parents[2] / "edge"
WIRE = Document("WIRE.md")
NOW_MS = 1_800_000_000_000
EXPORT = {"export": "e-1", "case": "case-1", "from_ms": 1_000, "to_ms": 9_000, "recipient": "age1x"}
KIND = re.compile(r"[a-z]+\.[a-z]+")
WRITERS = {"add", "adding", "journal", "conclude", "_write"}
"""Functions that write an entry whose kind they are given."""


def _kinds(file: Path) -> Iterator[str]:
    """Yield the kinds of entries that a module writes: what it gives to a writer, or returns as an outcome."""
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name), args=args) if name in WRITERS:
                given = args
            case ast.Return(value=ast.Tuple(elts=given)):
                pass
            case _:
                continue
        texts = [one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        yield from filter(KIND.fullmatch, texts)


def test_the_document_names_every_kind_of_entry_that_a_gateway_writes() -> None:
    told = set(re.findall(r'3: "([a-z.]+)"', WIRE.blocks["cddl", "logged"]))
    assert told == {kind for file in EDGE.rglob("*.py") for kind in _kinds(file)}


def test_the_document_names_every_reason_for_which_a_gateway_refuses() -> None:
    told = {reason for row in WIRE.rows("7. Messages") for reason in re.findall("`([a-z-]+)`", row[0])}
    raised = set()
    for file in EDGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Call(
                    func=ast.Name(id="_Refused" | "OrderRefusedError"), args=[ast.Constant(value=reason), *_]
                ):
                    raised.add(reason)
                case ast.Assign(targets=[ast.Name(id="reason")], value=ast.IfExp(body=body, orelse=other)):
                    raised |= {one.value for one in (body, other) if isinstance(one, ast.Constant)}
    assert told == raised


def _carry_on(desk: Desk, sent: list[bytes]) -> list[Entry]:
    for payload in sent:
        desk.take(payload)
    return desk.journal.tail(1_000)


def _follows(entry: Entry) -> bool:
    is_empty = "{}" in re.findall(rf'"{entry.kind}", 4: (\S+)', WIRE.blocks["cddl", "logged"])
    said = cbor2.dumps({3: entry.kind, 4: dict(entry.body)})
    return WIRE.holds("logged", said) and WIRE.holds("entry", entry.encode()) and (not is_empty or not entry.body)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.db", now_ms=lambda: NOW_MS) as made:
        yield made


def test_what_a_desk_writes_follows_the_document(city: Any, journal: Journal) -> None:
    seal_key = X25519PrivateKey.generate()
    handlers: dict[Any, Any] = {}
    desk = Desk(city.bundle, "gw-1", journal, handlers, seal_key=lambda: seal_key, now_ms=lambda: NOW_MS)
    thaw, export = Order(2, NOW_MS, "thaw", {"case": "case-1"}), Order(3, NOW_MS, "export", EXPORT)
    other = X25519PrivateKey.generate()
    written = _carry_on(
        desk,
        [
            b"noise",
            city.order(thaw, signer=keys.new_signing_key()),
            city.order(thaw, detector="gw-2"),
            city.order(thaw, recipient=other.public_key()),
            city.order(Order(2, 1, "thaw", {"case": "case-1"})),
            city.order(thaw, sequence=9),
            city.order(thaw),
            city.order(Order(2, NOW_MS, "thaw", {"case": "case-2"})),
            city.order(export),
            city.order(Order(4, NOW_MS, "rotate-keys")),
            city.order(Order(5, NOW_MS, "dance")),
            city.order(Order(6, NOW_MS, "thaw", {"case": "a/b"})),
        ],
    )
    assert all(_follows(entry) for entry in written), written
    found = [(entry.kind, entry.body["reason"], entry.body.get("sequence")) for entry in written]
    assert found == [
        ("order.forged", "malformed", None),
        ("order.refused", "foreign", 2),
        ("order.refused", "sealed-for-another", 2),
        ("order.refused", "stale", 2),
        ("order.refused", "malformed", 9),
        ("order.refused", "no-camera", 2),
        ("order.refused", "replayed", 2),
        ("order.refused", "no-camera", 3),
        ("order.refused", "no-enrolment", 4),
        ("order.refused", "unknown", 5),
        ("order.refused", "malformed", 6),
    ]


def test_entries_about_an_order_follow_the_document(city: Any, journal: Journal) -> None:
    desk = Desk(city.bundle, "gw-1", journal, {}, now_ms=lambda: NOW_MS)
    secret = Order(7, NOW_MS, "export", {**EXPORT, "strands": {bytes(16): bytes(32)}})
    desk.docket.receive(secret)
    desk.resume()
    desk.docket.conclude(secret, "order.failed", {"reason": "ExportError: nothing was recorded in this window"})
    written = journal.tail(10)
    assert [entry.kind for entry in written] == ["order.received", "order.interrupted", "order.failed"]
    assert all(_follows(entry) for entry in written), written


def test_a_damaged_log_begins_anew_as_the_document_says(tmp_path: Path) -> None:
    file = tmp_path / "journal.db"
    file.write_bytes(b"no database at all" * 1_000)
    with Journal.open(file) as made:
        (first,) = made.tail(10)
    assert (first.kind, first.sequence) == ("journal.renewed", 1)
    assert _follows(first)


def test_a_report_is_an_entry_in_an_envelope_of_its_epoch_and_sequence(city: Any, journal: Journal) -> None:
    entry = journal.add("gateway.started", {"software": "edge 0.1.0"})
    key = keys.new_signing_key()
    report = Sealer(city.bundle, "gw-1", key, Clock()).sign_report(entry.encode(), journal.epoch, entry.sequence)
    header, payload = seal.verify(report, verifier=key.public_key())
    assert (header.content, header.epoch, header.sequence) == ("report", journal.epoch, 1)
    assert payload == entry.encode()
    assert _follows(entry)
