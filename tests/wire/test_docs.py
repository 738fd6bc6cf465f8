"""docs/WIRE.md is true: its CDDL holds for real encodings, its examples are what the code reads and writes."""

import base64
import datetime as dt
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge import lanes, reports
from edge.parts import UNDER_WAY
from server.api import schemas
from server.api.rates import EnrolmentLimits
from server.enrolment import profile
from server.enrolment.authority import Authority, read_request
from server.enrolment.profile import Kind, Subject
from server.enrolment.tickets import GOOD_FOR_MS
from server.gate import rights
from server.gate.orders import FIRST_PAUSE_MS, MOST_PAUSE_MS
from server.gate.reports import RECEIVED_PAUSE_MS
from tests.documents import Document, damaged, refused
from wire import batch, cose, eid, frames, keys, orders, seal, status, telemetry, thinning
from wire.condition import CAMERA_STATES, Condition
from wire.enrolment import ENROL_PATH, MAX_OCTETS, RENEW_PATH, Grant, Renewal, Ticket, code_of, pem_of, request
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


def check_renewal(data: bytes) -> None:
    recipient = X25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
    assert Renewal.decode(data) == Renewal(b"", base64.b64decode(keys.encode_public(recipient.public_key())))
    assert Renewal.decode(data).encode() == data


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
    "renewal": check_renewal,
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
    "renewal": Renewal.decode,
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


@pytest.mark.parametrize("kind", sorted(orders.KINDS))
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


def test_a_ticket_follows_its_cddl_and_what_that_forbids_is_refused() -> None:
    def read(body: bytes) -> object:
        return Ticket.from_json(json.dumps(cbor2.loads(body)))

    said = WIRE.json["ticket"]
    assert holds("ticket", cbor2.dumps(said))
    ticket = Ticket.from_json(json.dumps(said))
    assert ticket.code == code_of(bytes(range(16)))
    assert ticket.to_json().strip() == BLOCKS["json", "ticket"].strip()
    for data in damaged(said):
        assert holds("ticket", data) or refused(read, data, WireError)


def test_what_a_gateway_asks_with_follows_its_cddl() -> None:
    key = keys.new_signing_key()
    body = {
        "detector": "gw-001",
        "code": WIRE.json["ticket"]["code"],
        "csr": pem_of(request("gw-001", key)),
        "seal_key": keys.encode_public(X25519PrivateKey.generate().public_key()),
    }
    assert schemas.Enrolment.model_validate(body).model_dump() == body
    assert holds("enrolment", cbor2.dumps(body))
    assert read_request(body["csr"].encode(), "gw-001") == key.public_key()
    for data in damaged(body):
        assert not holds("enrolment", data)
        assert refused(lambda data: schemas.Enrolment.model_validate(cbor2.loads(data)), data, ValueError)


def test_the_kept_answer_is_proven_as_the_document_says(vectors: Callable[[str], Any]) -> None:
    said = vectors("grant.json")
    assert holds("grant", cbor2.dumps(said))
    for data in damaged(said):
        assert not holds("grant", data)
        assert refused(lambda data: Grant.from_json(json.dumps(cbor2.loads(data)).encode()), data, WireError)
    city = json.dumps(said["city"], sort_keys=True, separators=(",", ":"))
    proven = cbor2.dumps(["gw-1", said["certificate"], said["ca"], city, said["broker_url"]])
    assert holds("proven", proven)
    signer = x509.load_pem_x509_certificate(said["proof_chain"].encode()).public_key()
    assert isinstance(signer, ec.EllipticCurvePublicKey)
    signer.verify(base64.b64decode(said["proof"]), b"mimamori/enrolment/1" + proven, ec.ECDSA(hashes.SHA256()))


def _told(certificate: x509.Certificate) -> list[str]:
    """Return what the document's table would say of a certificate, its times in days."""
    name = str(certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)
    days = str((certificate.not_valid_after_utc - certificate.not_valid_before_utc).days)
    if certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
        return [f"`{name}`", "", "", days]
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    urns = names.get_values_for_type(x509.UniformResourceIdentifier)
    told = f"URI `{urns[0]}`" if urns else "its DNS names and IP addresses"
    oid_names = {"1.3.6.1.5.5.7.3.1": "serverAuth", "1.3.6.1.5.5.7.3.2": "clientAuth"}
    usages = [oid_names.get(one.dotted_string, "emailProtection") for one in usage]
    assert profile.subject_of(certificate) is not None or not urns
    return [f"`{name}`", told, ", ".join(usages), days]


def test_certificates_are_what_the_table_says(tmp_path: Path) -> None:
    now = dt.datetime(2026, 11, 26, tzinfo=dt.UTC)
    authority = Authority.create(tmp_path, "tsukuba", now=now)
    key = keys.new_signing_key().public_key()
    profiles = (profile.gateway("gw-001"), profile.service("gate"), profile.broker(["localhost", "127.0.0.1"]))
    made = [authority.root, authority.issuing, *(authority.issue(one, key, now=now) for one in profiles)]
    filled = {"{city}": "tsukuba", "{YYYY-MM-DD}": "2026-11-26", "{program}": "gate", "{id}": "gw-001"}
    rows = [row[1:] for row in WIRE.rows("12. Enrolment")[-5:]]
    for blank, value in filled.items():
        rows = [[cell.replace(blank, value) for cell in row] for row in rows]
    assert rows == [_told(one) for one in made]


def test_the_limits_of_enrolment_are_those_of_the_code() -> None:
    limits, rates = WIRE.section("11. Limits"), EnrolmentLimits()
    assert f"{MAX_OCTETS:,} octets; request 4,096, key 256" in limits
    told = re.findall(r"per minute (\d+) for a gateway from an address, (\d+) from an address, (\d+) in all", limits)
    assert told == [tuple(one.split()[0] for one in (rates.per_detector, rates.per_client, rates.overall))]
    assert f"good for {GOOD_FOR_MS // 3_600_000} hours" in WIRE.section("12. Enrolment")
    assert ENROL_PATH in TEXT
    assert RENEW_PATH in TEXT
