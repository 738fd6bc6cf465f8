"""docs/WIRE.md is true: its CDDL holds for real encodings, its examples are what the code reads and writes."""

import hashlib
import re
from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge import lanes, reports
from edge.agent import UNDER_WAY
from privacy.masks import Mask
from server.enrolment.profile import Kind, Subject
from server.gate import rights
from server.gate.orders import FIRST_PAUSE_MS, MOST_PAUSE_MS
from server.gate.reports import RECEIVED_PAUSE_MS
from tests.documents import Document, damaged, refused
from wire import batch, cose, eid, frames, orders, seal, status, telemetry, thinning
from wire.camera_settings import CameraSettings
from wire.condition import CAMERA_STATES, Condition
from wire.entry import Entry
from wire.errors import WireError
from wire.messages import Heartbeat, Order, Receipt
from wire.window import SendWindow

WIRE = Document("WIRE.md")
TEXT, BLOCKS, HEX, holds = WIRE.text, WIRE.blocks, WIRE.hex, WIRE.holds
IDENTITY_KEY = bytes(range(16))


def check_sealed_tag(data: bytes) -> None:
    said = status.TagStatus(status.step_of(66_000), sos=True, moving=True, battery_dv=29)
    tag_id = eid.derive(IDENTITY_KEY, 10, 66_000)
    sealed = status.seal(status.StatusKeys.of(IDENTITY_KEY), tag_id, said)
    assert frames.encode(frames.EidFrame(-18, tag_id, sealed)) == data
    assert len(data) == 31


def check_plain_tag(data: bytes) -> None:
    assert frames.encode(frames.EidFrame(-18, eid.derive(IDENTITY_KEY, 10, 66_000))) == data


def check_telemetry(data: bytes) -> None:
    frame = frames.decode(data)
    assert isinstance(frame, frames.EtlmFrame)
    assert telemetry.decrypt_tlm(IDENTITY_KEY, 10, 65_280, frame=frame) == frames.TlmFrame(3000, 2150, 0, 0)
    assert frame.salt == bytes.fromhex("00ff")


def check_batch(data: bytes) -> None:
    rows = batch.decode(data).rows()
    assert [(row.kind, row.count) for row in rows] == [(0, 17), (1, 1), (2, 65_535)]
    assert rows[0].last_heard_ms - rows[0].first_heard_ms == 9_800
    assert rows[2].telemetry == bytes(range(16))
    assert batch.encode(batch.Batch.from_rows(rows)) == data


def check_header(data: bytes) -> None:
    signer = ec.derive_private_key(0x1234567890ABCDEF, ec.SECP256R1())
    recipient = X25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
    to, by = seal.kid(recipient.public_key()), seal.kid(signer.public_key())
    header = seal.Header("mimamori", "gw-001", 7, 42, 1_795_000_010_000, to, by, "sightings")
    assert seal._protected(header, signer) == data


def check_envelope(data: bytes) -> None:
    signer = ec.derive_private_key(0x1234567890ABCDEF, ec.SECP256R1())
    header, payload = seal.verify(data, verifier=signer.public_key())
    assert header.content == "receipt"
    assert Receipt.decode(payload) == Receipt(7, (42,))
    assert seal.sign(payload, header, signer=signer) == data


def check_heartbeat(data: bytes) -> None:
    assert Heartbeat.decode(data).encode() == data


def check_receipt(data: bytes) -> None:
    receipt = Receipt.decode(data)
    assert receipt == Receipt(7, (41, 42), ((40, "unknown-key"),))
    assert receipt.encode() == data


def check_order(data: bytes) -> None:
    assert Order.decode(data) == Order(3, 1_795_000_000_000, "thaw", {"case": "case-1"})
    assert Order.decode(data).encode() == data


def check_digest(data: bytes) -> None:
    order = Order.decode(HEX["order"])
    assert orders.digest(order.kind, order.body) == data
    assert orders.digest(order.kind, {**order.body, orders.STRANDS: {bytes(16): bytes(32)}}) == data
    said = cbor2.dumps({0: 1, 1: order.kind, 2: dict(order.body)})
    assert holds("digested", said)
    assert hashlib.sha256(said).digest() == data


def check_entry(data: bytes) -> None:
    said = {"case": "case-1", "windows": 1, "deleted": 0, "sequence": 3, "kind": "thaw", "order": HEX["digest"]}
    assert Entry.decode(data) == Entry(5, 1_795_000_020_000, "order.done", said, bytes(range(32)))
    assert holds("logged", cbor2.dumps({3: "order.done", 4: said}))
    assert Entry.decode(data).encode() == data


def check_mask(data: bytes) -> None:
    square = ((0.1, 0.1), (0.4, 0.1), (0.4, 0.5), (0.1, 0.5))
    assert Mask.decode(data) == Mask("gw-001", 2, (square,), 1_795_000_000_000)
    assert Mask.decode(data).encode() == data


def check_settings(data: bytes) -> None:
    assert CameraSettings.decode(data).retention_days == 14
    assert CameraSettings.decode(data).encode() == data


CHECKS: dict[str, Callable[[bytes], None]] = {
    "tag-sealed": check_sealed_tag,
    "tag-plain": check_plain_tag,
    "telemetry": check_telemetry,
    "batch": check_batch,
    "header": check_header,
    "envelope": check_envelope,
    "heartbeat": check_heartbeat,
    "receipt": check_receipt,
    "order": check_order,
    "digest": check_digest,
    "entry": check_entry,
    "mask": check_mask,
    "settings": check_settings,
}


def test_every_example_of_the_document_is_checked() -> None:
    assert set(HEX) == set(CHECKS)


@pytest.mark.parametrize("name", CHECKS)
def test_an_example_is_what_the_code_reads_and_writes(name: str) -> None:
    CHECKS[name](HEX[name])


@pytest.mark.parametrize("rule", [name for name in CHECKS if ("cddl", name) in BLOCKS])
def test_an_example_follows_its_cddl(rule: str) -> None:
    assert holds(rule, HEX[rule])


def test_every_vector_follows_its_cddl(vectors: Callable[[str], Any]) -> None:
    for case in vectors("batch.json")["cases"]:
        assert holds("batch", bytes.fromhex(case["cbor"]))
    for case in vectors("messages.json")["cases"]:
        assert holds(case["kind"], bytes.fromhex(case["cbor"]))
    for case in vectors("seal.json")["cases"]:
        data = bytes.fromhex(case["envelope"])
        assert holds("envelope", data)
        assert holds("header", cose.parse(data).protected_bytes)


READERS: dict[str, Callable[[bytes], object]] = {
    "batch": batch.decode,
    "heartbeat": Heartbeat.decode,
    "receipt": Receipt.decode,
    "order": Order.decode,
    "entry": Entry.decode,
    "mask": Mask.decode,
    "settings": CameraSettings.decode,
}


@pytest.mark.parametrize("rule", READERS)
def test_what_the_cddl_forbids_the_code_refuses(rule: str) -> None:
    for data in damaged(cbor2.loads(HEX[rule])):
        assert holds(rule, data) or refused(READERS[rule], data, WireError)


def test_a_condition_follows_its_cddl() -> None:
    whole = Condition(
        is_clock_synced=True, clock_error_ms=3, adverts_per_min=900, disk_free_mb=8_000, temp_cdeg=-512,
        cpu_permille=310, rss_mb=140, rows_thinned=0, order_sequence=4, camera="recording", camera_fps_centi=1_498,
        mask_version=2, footage_from_ms=1, footage_mb=900, footage_chain=bytes(32), is_parked=False,
        certificate_until_ms=9,
    )  # fmt: skip
    assert None not in {getattr(whole, name) for name in whole.__slots__}
    assert holds("condition", cbor2.dumps(whole.to_map()))
    for state in CAMERA_STATES:
        assert holds("condition", cbor2.dumps(Condition(camera=state).to_map()))


def test_every_content_of_the_code_is_in_the_document() -> None:
    header = BLOCKS["cddl", "header"]
    assert {f'"{content}"' for content in seal.CONTENTS} == set(re.findall(r'"[a-z]+"', header))


def test_a_new_field_is_within_the_cddl_and_the_code() -> None:
    for rule, read in READERS.items():
        data = cbor2.dumps({**cbor2.loads(HEX[rule]), 99: {"new": True}})
        assert holds(rule, data)
        read(data)


def test_the_tables_of_the_document_hold() -> None:
    for key, exponent, at_s, tag_id in re.findall(
        r"^\| `(\w{32})` \| (\d+) \| (\d+) \| `(\w{16})`", TEXT, re.MULTILINE
    ):
        assert eid.derive(bytes.fromhex(key), int(exponent), int(at_s)).hex().upper() == tag_id
    keys = status.StatusKeys.of(IDENTITY_KEY)
    rows = re.findall(r"^\| `(\w{16})` \([\d,]+ s\) \| `(\w\w) (\w\w)` \| `(\w{12})`", TEXT, re.MULTILINE)
    assert len(rows) == 2
    for tag_id, step, bits, sealed in rows:
        opened = status.open_(keys, bytes.fromhex(tag_id), bytes.fromhex(sealed))
        assert status._body(opened) == bytes.fromhex(step + bits)


def test_the_limits_of_the_document_are_those_of_the_code() -> None:
    for limit in (batch.MAX_BYTES, batch.MAX_ROWS, cose.MAX_OCTETS - batch.MAX_BYTES):
        assert f"{limit:,}" in TEXT.partition("## 11. Limits")[2]
    assert f"{frames.STATUS_UUID16:04X}" in TEXT


def test_the_rights_of_the_document_are_those_that_the_gate_grants() -> None:
    told = {}
    for holder, says, hears, client_id in WIRE.rows("8. Topics")[-4:]:
        kind: Kind = "gateway" if holder == "gateway" else "service"
        subject = Subject("mimamori", kind, re.findall(r"`(\w+)`", holder)[0] if kind == "service" else "gw-001")
        told[subject.id] = tuple(tuple(re.findall(r"`(\w+)`", cell)) for cell in (says, hears))
        assert rights.leaves(subject) == told[subject.id]
        own = "gw-001" if client_id == "its own id" else re.findall("`(.+)`", client_id)[0] + "1"
        assert rights.is_own_client_id(subject, own)
    assert set(told) == {"gw-001", *rights.PROGRAMS}


def test_the_window_of_the_document_is_that_of_the_code() -> None:
    delivery = WIRE.section("9. Delivery")
    assert f"At most {UNDER_WAY} batches of a gateway are outstanding, {SendWindow().size} of a phone." in delivery
    assert f"at most {thinning.MOST_GONE}." in delivery
    assert thinning.SOFT == 31 / 32


STRAND = {bytes(16): bytes(32)}
WINDOW = {"case": "case-1", "from_ms": 1_000, "to_ms": 9_000}
COMMANDS: dict[str, dict[str, Any]] = {
    "freeze": {**WINDOW, "until_ms": 10_000},
    "thaw": {"case": "case-1"},
    "export": {**WINDOW, "export": "e-1", "recipient": "age1x", "upload_url": "https://x", "strands": STRAND},
    "mask": {"mask": b"signed"},
    "configure": {"settings": b"signed"},
    "rotate-keys": {},
    "restart": {},
}


@pytest.mark.parametrize("kind", orders.KINDS)
def test_the_body_of_an_order_follows_its_cddl_and_what_that_forbids_is_refused(kind: str) -> None:
    def read(body: bytes) -> object:
        return orders.read(Order(1, 1, kind, cbor2.loads(body)))

    body = COMMANDS[kind]
    assert orders.body_of(orders.read(Order(1, 1, kind, body))) == body
    assert holds("command", cbor2.dumps({3: kind, 4: body}))
    for data in damaged(body):
        assert holds("command", cbor2.dumps({3: kind, 4: cbor2.loads(data)})) or refused(read, data, WireError)


def test_the_limits_of_orders_and_reports_are_those_of_the_code() -> None:
    messages = TEXT.partition("## 7. Messages")[2]
    for told in (
        f"within {orders.MAX_AGE_MS // 60_000} minutes",
        f"at most {orders.MAX_WINDOW_MS // 3_600_000} h",
        f"at most {orders.MAX_STRANDS:,}",
        f"{lanes.MAX_RESULT_OCTETS:,} octets at most",
        f"at most {reports.MAX_OUTSTANDING} entries or {reports.MAX_OUTSTANDING_OCTETS:,}",
        f"after {FIRST_PAUSE_MS // 1000} s, 10 s … {MOST_PAUSE_MS // 60_000} min",
        f"after {RECEIVED_PAUSE_MS // 1000} s.",
    ):
        assert told in messages, told
