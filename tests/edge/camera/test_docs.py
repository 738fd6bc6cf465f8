"""What docs/FOOTAGE.md and docs/WIRE.md say of footage holds for footage that was really recorded and exported."""

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import c2pa
import cbor2
import httpx
import pyrage
import pytest

from edge.camera import cut, segment
from edge.camera.bring import Bearer
from edge.camera.credential import Device, mark
from edge.camera.export import Exporter
from edge.camera.exports import Exports
from edge.camera.segment import Segment
from edge.camera.timestamp import Authority as Tsa
from tests import stamps
from tests.certified import Authority
from tests.documents import Document
from tests.edge.camera.conftest import START_MS, CameraMaker, City, Diary, Film, SetClock
from tests.footage import NOON_MS, Footage
from wire import orders
from wire.orders import Configure, Export, Freeze, SetMask, Thaw
from wire.upload import Sender

FOOTAGE, WIRE = Document("FOOTAGE.md"), Document("WIRE.md")
OFFICER = pyrage.x25519.Identity.generate()
AUTHORITY = Authority.new()


def _items(path: Path) -> list[bytes]:
    """Return the byte strings of a segment's file."""
    data, items, at = path.read_bytes(), list[bytes](), 0
    while at < len(data):
        items.append(cbor2.CBORDecoder(io.BytesIO(data[at:])).decode())
        at += len(cbor2.dumps(items[-1]))
    return items


def _is_done(kind: str, result: Mapping[str, Any]) -> bool:
    of = {"sequence": 1, "kind": kind, "order": orders.digest(kind, {})}
    return WIRE.holds("logged", cbor2.dumps({3: "order.done", 4: {**result, **of}}))


def test_recorded_segments_follow_the_document(tmp_path: Path) -> None:
    for item in Footage(tmp_path).record(NOON_MS, 12):
        head, *records, tail = _items(item.path)
        assert FOOTAGE.holds("head", head)
        assert all(FOOTAGE.holds("record", clear) for clear in records[::2])
        assert FOOTAGE.holds("tail", tail)
        assert item.path.name == f"{item.head.start_ms}-{item.head.id[:4].hex()}.seg"


async def _exported(folder: Path, footage: Footage, segments: list[Segment], tsa: Tsa) -> Mapping[str, Any]:
    own = AUTHORITY.device("gw-1")
    device = Device("mimamori", "gw-1", own.key, own.chain_pem, "mimamori-edge 0.1.0")
    window = NOON_MS + 2_000, NOON_MS + 25_000
    order = Export("e-1", "case-1", *window, str(OFFICER.to_public()), strands=footage.strands)
    with httpx.Client(timeout=30) as asking:
        async with httpx.AsyncClient() as bringing:
            exporter = Exporter(folder, device, tsa, asking, lambda: NOON_MS + 3_600_000)
            bearer = Bearer(Sender("mimamori", "gw-1", own.key), bringing, lambda: NOON_MS)
            exports = Exports(lambda: exporter, lambda *_: segments, lambda: bearer)
            return await exports.carry_out(order)


async def test_an_export_follows_the_document(tmp_path: Path) -> None:
    footage = Footage(tmp_path / "footage")
    segments = footage.record(NOON_MS, 20)
    with stamps.serving(tmp_path / "stamps") as running:
        result = await _exported(tmp_path, footage, segments, Tsa.load(running.url, running.root))
    assert _is_done("export", result)
    sealed = io.BytesIO()
    with (tmp_path / "e-1.age").open("rb") as file:
        pyrage.decrypt_io(file, sealed, [OFFICER])
    with zipfile.ZipFile(sealed) as archive:
        assert {item.compress_type for item in archive.infolist()} == {zipfile.ZIP_STORED}
        members = {name: archive.read(name) for name in archive.namelist()}
    told = "".join(row[0] for row in FOOTAGE.rows("4. Exports"))
    assert all(f"`{name}`" in told for name in members)
    assert told.count("`") == 2 * len(members)
    table = json.loads(members["manifest.json"])
    assert FOOTAGE.holds("manifest", cbor2.dumps(table))
    assert table["timestamp"] == {"authority": running.url}
    assert table["gaps"] == [[NOON_MS + 20_000, NOON_MS + 25_000, "not-recorded"]]
    assert FOOTAGE.holds("attest", cbor2.loads(members["manifest.cose"]).value[2])


async def test_the_mark_of_a_clip_says_what_the_document_says(tmp_path: Path) -> None:
    footage = Footage(tmp_path / "footage")
    own = AUTHORITY.device("gw-1")
    device = Device("mimamori", "gw-1", own.key, own.chain_pem, "mimamori-edge 0.1.0")
    order = Export("e-1", "case-1", NOON_MS, NOON_MS + 3_000, str(OFFICER.to_public()), strands=footage.strands)
    wanted = footage.record(NOON_MS, 3)
    (clip,) = cut.cut(wanted, cut.Window(order.from_ms, order.to_ms), footage.strands, cut.Findings())
    with clip.file, mark(clip, "clip-001.mp4", order, device) as marked:
        (read,) = json.loads(c2pa.Reader("video/mp4", marked).json())["manifests"].values()
    assertions = {one["label"]: one["data"] for one in read["assertions"]}
    assert set(assertions["jp.mimamori.footage"]) == {"export", "camera", "from_ms", "to_ms"}
    (actions,) = (data["actions"] for label, data in assertions.items() if label.startswith("c2pa.actions"))
    text = " ".join(FOOTAGE.section("4. Exports").split())
    assert [action["action"] for action in actions] == ["c2pa.created", "c2pa.edited"]
    for name in ("c2pa.created", "c2pa.edited", "jp.mimamori.footage", *assertions["jp.mimamori.footage"]):
        assert f"`{name}`" in text


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


async def test_what_a_camera_says_of_its_orders_follows_the_document(
    make_camera: CameraMaker, film: Film, city: City, clock: SetClock, diary: Diary
) -> None:
    camera = make_camera(film(), clock=clock)
    ring, handlers = camera.ring, camera.handlers()
    head = FOOTAGE.hex["segment"]
    for at_ms in (START_MS, START_MS + 10_000):
        values = segment.Head.decode(cbor2.loads(head))
        own = {"id": at_ms.to_bytes(16, "big"), "start_ms": at_ms, "previous": ring.chain}
        writer = ring.begin(segment.Head(**{**{n: getattr(values, n) for n in values.__slots__}, **own}), bytes(32))
        writer.second(b"", at_ms=at_ms, frames=1, samples_sha256=bytes(32))
        ring.end(writer)
    frozen = await handlers[Freeze](Freeze("case-1", START_MS, START_MS + 5_000, 1 << 50))
    assert (len(frozen["strands"]), frozen["gaps"]) == (1, [[START_MS + 1_000, START_MS + 5_000]])
    assert _is_done("freeze", frozen)
    clock.passed_ms = 40 * 86_400_000
    ring.sweep(camera.rules.settings)
    assert _is_done("thaw", await handlers[Thaw](Thaw("case-1")))
    assert _is_done("mask", await handlers[SetMask](SetMask(city.mask(4))))
    assert _is_done("configure", await handlers[Configure](Configure(city.settings(3))))
    assert [body["reason"] for body in diary.of("footage.deleted")] == ["age", "thaw"]
    for kind, body in diary.entries:
        assert WIRE.holds("logged", cbor2.dumps({3: kind, 4: body})), (kind, body)
    ring.close()


def test_a_file_that_is_gone_is_told_as_the_document_says(
    make_camera: CameraMaker, film: Film, diary: Diary, tmp_path: Path
) -> None:
    camera = make_camera(film())
    values = segment.Head.decode(cbor2.loads(FOOTAGE.hex["segment"]))
    writer = camera.ring.begin(values, bytes(32))
    writer.second(b"", at_ms=values.start_ms, frames=1, samples_sha256=bytes(32))
    camera.ring.end(writer)
    camera.ring.close()
    writer.path.unlink()
    (tmp_path / "state" / "camera" / "settings.cose").write_bytes(b"not signed")
    make_camera(film()).ring.close()
    assert [kind for kind, _ in diary.entries] == ["settings.missing", "footage.missing"]
    for kind, body in diary.entries:
        assert WIRE.holds("logged", cbor2.dumps({3: kind, 4: body})), (kind, body)
