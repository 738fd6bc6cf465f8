"""docs/FOOTAGE.md is true: its CDDL holds for real encodings, its examples are what the code reads and writes."""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from edge.camera import segment, sound
from edge.camera.parts import KINDS, MAX_HEAD_OCTETS, REASONS, Head, Record, Tail
from edge.errors import SegmentError
from privacy import masks
from privacy.masks import Mask
from server.api import schemas
from server.api.rates import BatchLimits
from server.footage import archive
from tests.documents import Document, damaged, refused
from wire import camera_settings, evidence, keys, seal, strand, upload, verdict
from wire.camera_settings import CameraSettings
from wire.errors import WireError
from wire.evidence import Attest, Manifest

FOOTAGE = Document("FOOTAGE.md")
HEX, JSON, holds = FOOTAGE.hex, FOOTAGE.json, FOOTAGE.holds
START_MS = 1_795_000_000_000
STRAND_KEY, STRAND_ID = bytes(range(32)), bytes(range(16, 32))
FOOTAGE_KEY = X25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
MANIFEST = json.dumps(JSON["manifest"], ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def written(data: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "one.seg"
    path.write_bytes(data)
    return path


def items(data: bytes) -> list[bytes]:
    """Return the byte strings of a CBOR sequence."""
    found, at = [], 0
    while at < len(data):
        item = cbor2.loads(data[at:])
        assert data[at:].startswith(cbor2.dumps(item))
        found.append(item)
        at += len(cbor2.dumps(item))
    return found


HEAD, *RECORDS, TAIL = items(HEX["segment"])
CLEAR, SEALED = RECORDS[::2], RECORDS[1::2]


def check_strand(data: bytes, _: Path) -> None:
    assert strand.unwrap("gw-001", STRAND_ID, data, FOOTAGE_KEY) == STRAND_KEY
    assert len(data) == 32 + 48


def check_mask(data: bytes, _: Path) -> None:
    square = ((0.1, 0.1), (0.4, 0.1), (0.4, 0.5), (0.1, 0.5))
    assert Mask.decode(data) == Mask("gw-001", 2, (square,), START_MS)
    assert Mask.decode(data).encode() == data


def check_settings(data: bytes, _: Path) -> None:
    assert CameraSettings.decode(data).retention_days == 14
    assert CameraSettings.decode(data).encode() == data


def check_segment(data: bytes, tmp_path: Path) -> None:
    head = Head(
        "gw-001", bytes(range(16)), START_MS, 2, STRAND_ID, HEX["strand"], 320, 240, 15, "libx264",
        is_clock_synced=True,
    )  # fmt: skip
    found = segment.opened(written(data, tmp_path), STRAND_KEY)
    writer = segment.Writer(tmp_path / "day" / head.name, head, STRAND_KEY)
    for record, content in found:
        if record.kind == "init":
            writer.init(content)
        else:
            digest = hashlib.sha256(segment.samples_of(content)).digest()
            writer.second(content, at_ms=record.at_ms, frames=record.frames, samples_sha256=digest)
    writer.close(writer.end_ms)
    assert writer.path.read_bytes() == data
    assert writer.path.name == "1795000000000-00010203.seg"


def check_sound(data: bytes, _: Path) -> None:
    levels = [sound.Level(START_MS + 250, 95.3)]
    assert sound.encode(levels) == data
    assert sound.decode(data) == levels


def check_attest(data: bytes, _: Path) -> None:
    assert Attest.of({evidence.MANIFEST: MANIFEST}).encode() == data
    assert Attest.decode(data).encode() == data


def check_upload(data: bytes, _: Path) -> None:
    part = upload.Part.decode(data)
    assert part == upload.Part("export-0001", 1, 2, hashlib.sha256(b"whole").digest(), b"sealed")
    assert part.encode() == data


def check_question(data: bytes, _: Path) -> None:
    key = keys.new_signing_key()
    authorization = upload.Sender("mimamori", "gw-001", key).ask("export-0001", at_ms=START_MS)
    envelope = seal.parse(base64.urlsafe_b64decode(authorization.removeprefix("COSE ")))
    assert envelope.read() == data
    assert (envelope.header.content, envelope.header.epoch, envelope.header.sequence) == ("upload", 0, 0)
    told = upload.envelope_of(authorization)
    assert upload.read_question(told, key.public_key(), now_ms=START_MS + upload.MAX_AGE_MS) == "export-0001"


CHECKS: dict[str, Callable[[bytes, Path], None]] = {
    "mask": check_mask,
    "settings": check_settings,
    "strand": check_strand,
    "segment": check_segment,
    "sound": check_sound,
    "attest": check_attest,
    "upload": check_upload,
    "question": check_question,
}


def test_every_example_of_the_document_is_checked() -> None:
    assert set(HEX) == set(CHECKS)
    assert set(JSON) == {"manifest", "progress"}


@pytest.mark.parametrize("name", CHECKS)
def test_an_example_is_what_the_code_reads_and_writes(name: str, tmp_path: Path) -> None:
    CHECKS[name](HEX[name], tmp_path)


READERS: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    "mask": (HEX["mask"], Mask.decode),
    "settings": (HEX["settings"], CameraSettings.decode),
    "head": (HEAD, Head.decode),
    "record": (CLEAR[0], Record.decode),
    "tail": (TAIL, Tail.decode),
    "sound": (HEX["sound"], sound.decode),
    "attest": (HEX["attest"], Attest.decode),
    "upload": (HEX["upload"], upload.Part.decode),
}


@pytest.mark.parametrize("rule", READERS)
def test_what_the_cddl_forbids_the_code_refuses(rule: str) -> None:
    data, read = READERS[rule]
    assert holds(rule, data)
    read(data)
    for spoilt in damaged(cbor2.loads(data)):
        assert holds(rule, spoilt) or refused(read, spoilt, WireError)


@pytest.mark.parametrize("rule", ["mask", "settings", "head", "sound", "attest", "upload"])
def test_a_new_field_is_within_the_cddl_and_the_code(rule: str) -> None:
    data, read = READERS[rule]
    more = cbor2.dumps({**cbor2.loads(data), 99: {"new": True}})
    assert holds(rule, more)
    read(more)


def test_a_record_and_a_tail_have_no_other_fields(tmp_path: Path) -> None:
    """The seal is over the fields that the document names: one more, sealed by whoever has the key, does not open."""
    box, digest = _box(), hashlib.sha256(HEAD).digest()
    content = box.decrypt((0).to_bytes(12, "big"), SEALED[0], digest + CLEAR[0])
    clear = cbor2.dumps({**cbor2.loads(CLEAR[0]), 6: 1})
    sealed = box.encrypt((0).to_bytes(12, "big"), content, digest + clear)
    forged = b"".join(map(cbor2.dumps, (HEAD, clear, sealed, *RECORDS[2:], TAIL)))
    assert not holds("record", clear)
    with pytest.raises(SegmentError):
        list(segment.opened(written(forged, tmp_path), STRAND_KEY))


def _box() -> AESGCM:
    """Return what opens the example, from the document's text alone."""
    key = HKDF(SHA256(), 32, None, b"mimamori/segment/1" + cbor2.loads(HEAD)[3]).derive(STRAND_KEY)
    return AESGCM(key)


def test_the_example_opens_by_the_words_of_the_document() -> None:
    box, digest = _box(), hashlib.sha256(HEAD).digest()
    contents = [
        box.decrypt(index.to_bytes(12, "big"), sealed, digest + clear)
        for index, (clear, sealed) in enumerate(zip(CLEAR, SEALED, strict=True))
    ]
    assert contents[0] == bytes.fromhex("00000008") + b"ftyp" + bytes.fromhex("00000008") + b"moov"
    assert [content[16:] for content in contents[1:]] == [b"picture", b"another"]
    hashes = [cbor2.loads(clear)[5] for clear in CLEAR]
    assert hashes == [hashlib.sha256(octets).digest() for octets in (contents[0], b"picture", b"another")]
    tail = cbor2.loads(TAIL)
    assert tail[2] == hashlib.sha256(bytes(32) + digest + b"".join(hashes)).digest()
    claim = cbor2.dumps({key: tail[key] for key in range(5)})
    assert box.decrypt((3).to_bytes(12, "big"), tail[5], digest + claim) == b""
    with pytest.raises(InvalidTag):
        box.decrypt((2).to_bytes(12, "big"), tail[5], digest + claim)


def test_a_segment_without_its_tail_is_mended_as_the_document_says(tmp_path: Path) -> None:
    path = written(HEX["segment"][: -len(cbor2.dumps(TAIL)) - 3], tmp_path)
    segment.mend(path)
    *_, sealed, tail = items(path.read_bytes())
    assert sealed == SEALED[0 if len(items(path.read_bytes())) == 4 else 1]
    assert holds("tail", tail)
    assert (cbor2.loads(tail)[4], cbor2.loads(tail)[5]) == (True, b"")


def test_kinds_and_reasons_of_the_document_are_those_of_the_code() -> None:
    assert tuple(re.findall(r'"([a-z-]+)"', FOOTAGE.blocks["cddl", "head"])[1:]) == REASONS
    assert tuple(re.findall(r'"([a-z]+)"', FOOTAGE.blocks["cddl", "record"].partition("tail")[0])) == KINDS
    assert [row[0].strip("`") for row in FOOTAGE.rows("3. Segments")] == list(KINDS)
    assert [row[0].strip("`") for row in FOOTAGE.rows("5. Manifest")] == list(evidence.GAP_REASONS)


def test_the_manifest_of_the_document_is_of_its_segment_and_passes_its_own_checks() -> None:
    manifest = Manifest.decode(MANIFEST)
    assert holds("manifest", cbor2.dumps(JSON["manifest"]))
    (link,) = manifest.segments
    assert (link.head_sha256, link.chain) == (hashlib.sha256(HEAD).digest(), cbor2.loads(TAIL)[2])
    assert link.samples == tuple(cbor2.loads(clear)[5] for clear in CLEAR)
    assert {check.outcome for check in verdict.record(manifest)} == {"ok"}


@pytest.mark.parametrize("path", ["", "window", "clock", "timestamp", "parts.0", "segments.0"])
def test_what_the_cddl_of_the_manifest_forbids_is_refused(path: str) -> None:
    for number in range(2 * len(_at(json.loads(MANIFEST), path))):
        table = json.loads(MANIFEST)
        inner = _at(table, path)
        key = sorted(inner)[number // 2]
        inner.update({key: -1}) if number % 2 else inner.pop(key)
        spoilt = json.dumps(table, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
        assert not holds("manifest", cbor2.dumps(table)) or path in {"parts.0", "segments.0"}
        assert refused(Manifest.decode, spoilt, WireError)


def _at(table: Any, path: str) -> dict[str, Any]:
    for step in filter(None, path.split(".")):
        table = table[int(step) if step.isdigit() else step]
    assert isinstance(table, dict)
    return table


def test_progress_is_as_the_api_tells_it() -> None:
    said = JSON["progress"]
    assert holds("progress", cbor2.dumps(said))
    assert schemas.ExportProgress.model_validate(said).model_dump() == said
    for data in damaged(said):
        assert not holds("progress", data)


def test_the_checks_of_the_document_are_those_that_are_made() -> None:
    assert [row[0].strip("`") for row in FOOTAGE.rows("6. Checking")] == list(verdict.TEXTS)
    names = " ".join(row[0] for row in FOOTAGE.rows("4. Exports"))
    for name in (evidence.MANIFEST, evidence.SIGNATURE, evidence.TIMESTAMP, evidence.CERTIFICATES):
        assert f"`{name}`" in names
    assert f"`{evidence.README_EN}`, `{evidence.README_JA}`" in names


def test_the_limits_of_the_document_are_those_of_the_code() -> None:
    limits = FOOTAGE.section("8. Limits")
    for told in (
        f"{masks.MAX_POLYGONS} areas, {masks.MAX_POINTS} points each",
        f"{camera_settings.MAX_OCTETS:,} octets",
        f"tail {MAX_HEAD_OCTETS:,} octets each; content {segment.MAX_RECORD_OCTETS:,}",
        f"{archive.MAX_MEMBERS:,} members; a clip {archive.MAX_CLIP_OCTETS:,} octets",
        f"any other {evidence.MAX_DOCUMENT_OCTETS:,}",
        f"{upload.MAX_PARTS:,} parts",
        f"{int(BatchLimits().per_detector.split()[0]):,} a minute",
    ):
        assert told in limits, told
    assert f"parts of {upload.PART_OCTETS:,} octets" in FOOTAGE.section("7. Upload")
    assert f"than {upload.MAX_AGE_MS // 60_000} minutes" in " ".join(FOOTAGE.section("7. Upload").split())
