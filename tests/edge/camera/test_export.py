"""A window is cut at its exact seconds, tells what is missing, and opens for its recipient alone."""

import dataclasses
import datetime as dt
import hashlib
import io
import json
import os
import random
import socket
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import c2pa
import httpx
import pyrage
import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from edge.camera import credential, cut, segment
from edge.camera.bring import Bearer
from edge.camera.export import Exporter, sweep
from edge.camera.exports import Exports
from edge.camera.ring import Ring
from edge.camera.segment import Segment, Writer
from edge.camera.timestamp import Authority as Tsa
from edge.clock import WallClock
from edge.errors import CredentialError, ExportError
from tests import stamps
from tests.certified import Authority, Device
from tests.footage import NOON_MS, SHAPE, Footage
from wire import verdict
from wire.evidence import Gap, Manifest
from wire.orders import Export

AUTHORITY = Authority.new()
OFFICER = pyrage.x25519.Identity.generate()


@pytest.fixture
def footage(tmp_path: Path) -> Footage:
    return Footage(tmp_path / "footage")


@pytest.fixture
def exporter(tmp_path: Path) -> Iterator[Exporter]:
    with httpx.Client(timeout=5) as client:
        yield make_exporter(tmp_path / "exports", client)


def make_exporter(folder: Path, client: httpx.Client, device: Device | None = None) -> Exporter:
    own = device or AUTHORITY.device("gw-1")
    signer = credential.Device("mimamori", "gw-1", own.key, own.chain_pem, "mimamori-edge 0.1.0")
    return Exporter(folder, signer, None, client, lambda: NOON_MS + 3_600_000)


def order(footage: Footage, from_s: int, to_s: int, **change: Any) -> Export:
    window = NOON_MS + from_s * 1000, NOON_MS + to_s * 1000
    plain = Export("e-1", "case-1", *window, str(OFFICER.to_public()), strands=footage.strands)
    return dataclasses.replace(plain, **change)


def opened(path: Path, identity: pyrage.x25519.Identity = OFFICER) -> dict[str, bytes]:
    target = io.BytesIO()
    with path.open("rb") as file:
        pyrage.decrypt_io(file, target, [identity])
    with zipfile.ZipFile(target) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def documents_of(members: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in members.items() if not name.endswith(".mp4")}


def manifest_of(members: dict[str, bytes]) -> Manifest:
    report = verdict.documents(documents_of(members), [AUTHORITY.root])
    assert report.is_sound, report
    assert report.manifest is not None
    assert verdict.names(members, report.manifest).outcome == "ok"
    return report.manifest


def pictures(clip: bytes) -> list[float]:
    """Return the times of the clip's pictures, in seconds, all of them decoded."""
    with av.open(io.BytesIO(clip), "r") as container:
        return [float(frame.time) for frame in container.decode(video=0)]


def numbers(clip: bytes) -> list[int]:
    """Return the number that each picture shows: where its bright column stands."""
    with av.open(io.BytesIO(clip), "r") as container:
        frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    return [int(frame.mean(axis=0).argmax()) for frame in frames]


def probed(path: Path) -> dict[str, Any]:
    asked = ("-v", "error", "-count_frames", "-show_streams", "-show_format", "-of", "json")
    done = subprocess.run(["ffprobe", *asked, str(path)], capture_output=True, check=True, timeout=60)
    assert done.stderr == b""
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_ten_minutes_at_exact_times_open_in_ffprobe_with_every_picture(
    footage: Footage, exporter: Exporter, tmp_path: Path
) -> None:
    segments = footage.record(NOON_MS, 640)
    made = exporter.make(order(footage, 17, 617), segments)
    members = opened(made.path)
    manifest = manifest_of(members)
    assert [name for name in members if name.endswith(".mp4")] == ["clip-001.mp4"]
    assert (made.clips, made.gaps, manifest.gaps, manifest.has_c2pa) == (1, 0, (), True)
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(members["clip-001.mp4"])
    found = probed(clip)
    assert float(found["format"]["duration"]) == 600
    assert int(found["streams"][0]["nb_read_frames"]) == 600 * SHAPE.fps == manifest.parts[0].frames
    assert pictures(members["clip-001.mp4"]) == pytest.approx([number / SHAPE.fps for number in range(3000)])
    recorded = [number % SHAPE.width for number in range(17 * SHAPE.fps, 617 * SHAPE.fps)]
    assert numbers(members["clip-001.mp4"]) == recorded
    assert hashlib.sha256(clip.read_bytes()).digest() == manifest.parts[0].sha256
    assert [second.at_ms for second in manifest.parts[0].seconds] == list(
        range(NOON_MS + 17_000, NOON_MS + 617_000, 1000)
    )
    assert manifest.is_clock_synced
    assert manifest.parts[0].mask_versions == (3,)


def test_the_file_is_whole_counted_and_only_there(footage: Footage, exporter: Exporter) -> None:
    made = exporter.make(order(footage, 2, 5), footage.record(NOON_MS, 10))
    data = made.path.read_bytes()
    assert (made.octets, made.sha256) == (len(data), hashlib.sha256(data).digest())
    assert sorted(path.name for path in exporter.folder.iterdir()) == ["e-1.age", "e-1.json"]
    assert made.path.stat().st_mode & 0o777 == 0o600


def test_only_the_recipient_opens_it(footage: Footage, exporter: Exporter) -> None:
    made = exporter.make(order(footage, 2, 5), footage.record(NOON_MS, 10))
    assert opened(made.path)
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(made.path.read_bytes(), [pyrage.x25519.Identity.generate()])


def test_the_same_order_gives_the_same_file_and_another_of_its_id_none(footage: Footage, exporter: Exporter) -> None:
    segments = footage.record(NOON_MS, 20)
    first = exporter.make(order(footage, 2, 5), segments)
    data = first.path.read_bytes()
    again = exporter.make(order(footage, 2, 5), [])
    assert again == dataclasses.replace(first, is_new=False)
    assert first.path.read_bytes() == data
    with pytest.raises(ExportError, match="another window"):
        exporter.make(order(footage, 2, 6), segments)


def test_a_file_that_was_changed_on_the_disk_is_made_anew(footage: Footage, exporter: Exporter) -> None:
    segments = footage.record(NOON_MS, 10)
    made = exporter.make(order(footage, 2, 5), segments)
    data = bytearray(made.path.read_bytes())
    data[len(data) // 2] ^= 1
    made.path.write_bytes(data)
    again = exporter.make(order(footage, 2, 5), segments)
    assert again.is_new
    assert opened(again.path)


def test_any_flipped_bit_of_the_sealed_file_is_found(footage: Footage, exporter: Exporter) -> None:
    data = exporter.make(order(footage, 2, 5), footage.record(NOON_MS, 10)).path.read_bytes()
    assert pyrage.decrypt(data, [OFFICER])
    places = random.Random(1).sample(range(len(data)), 300)
    for at in (*range(200), *places, len(data) - 1):
        spoilt = data[:at] + bytes((data[at] ^ 1 << at % 8,)) + data[at + 1 :]
        with pytest.raises(pyrage.DecryptError):
            pyrage.decrypt(spoilt, [OFFICER])


def test_gaps_are_stated_with_their_reason(footage: Footage, exporter: Exporter) -> None:
    segments = [*footage.record(NOON_MS, 20), *footage.record(NOON_MS + 24_000, 16)]
    spoil(segments[2], "second", 1)  # seconds 24 to 29: the second of them
    members = opened(exporter.make(order(footage, 5, 38), segments).path)
    manifest = manifest_of(members)
    assert manifest.gaps == (
        Gap(NOON_MS + 20_000, NOON_MS + 24_000, "not-recorded"),
        Gap(NOON_MS + 25_000, NOON_MS + 30_000, "damaged"),
    )
    assert sum(part.frames for part in manifest.parts) == SHAPE.fps * (15 + 1 + 8)
    assert pictures(members["clip-001.mp4"])[75:80] == pytest.approx([19, 19.2, 19.4, 19.6, 19.8])


def spoil(item: Segment, kind: str, number: int) -> None:
    record = [one for one in item.records if one.kind == kind][number]
    data = bytearray(item.path.read_bytes())
    data[record.offset + record.octets // 2] ^= 1
    item.path.write_bytes(data)


@pytest.mark.parametrize("kind", ["init", "thumbnail"])
def test_a_segment_of_which_nothing_opens_is_a_gap_whole(footage: Footage, exporter: Exporter, kind: str) -> None:
    segments = footage.record(NOON_MS, 30)
    spoil(segments[1], kind, 0)
    manifest = manifest_of(opened(exporter.make(order(footage, 5, 25), segments).path))
    assert manifest.gaps == (Gap(NOON_MS + 10_000, NOON_MS + 20_000, "damaged"),)


def test_a_segment_whose_clear_fields_were_changed_is_a_gap_whole(footage: Footage, exporter: Exporter) -> None:
    segments = footage.record(NOON_MS, 30)
    path, sample = segments[1].path, segments[1].records[3].samples_sha256
    path.write_bytes(path.read_bytes().replace(sample, bytes(32)))
    spoilt = [segments[0], segment.read(path), segments[2]]
    manifest = manifest_of(opened(exporter.make(order(footage, 5, 25), spoilt).path))
    assert manifest.gaps == (Gap(NOON_MS + 10_000, NOON_MS + 20_000, "damaged"),)


@pytest.mark.parametrize("kind", ["no video", "fewer pictures"])
def test_a_segment_that_was_sealed_and_is_not_what_it_says_is_a_gap(
    footage: Footage, exporter: Exporter, kind: str
) -> None:
    segments = footage.record(NOON_MS, 20)
    head = dataclasses.replace(segments[1].head, id=b"x" * 16, start_ms=NOON_MS + 20_000, previous=footage.previous)
    writer = Writer(footage.folder / "day" / head.name, head, footage.strands[head.strand_id])
    whole = [content for _, content in segment.opened(segments[1].path, footage.strands[head.strand_id])]
    init, fragment = (whole[0], whole[2]) if kind == "fewer pictures" else (b"no init", b"")
    writer.init(init)
    digest = hashlib.sha256(segment.samples_of(fragment)).digest()
    writer.second(fragment, at_ms=NOON_MS + 20_000, frames=SHAPE.fps - 1, samples_sha256=digest)
    writer.close(NOON_MS + 21_000)
    made = exporter.make(order(footage, 5, 21), [*segments, segment.read(writer.path)])
    assert manifest_of(opened(made.path)).gaps == (Gap(NOON_MS + 20_000, NOON_MS + 21_000, "damaged"),)


def test_a_segment_that_is_gone_is_a_gap(footage: Footage, exporter: Exporter) -> None:
    segments = footage.record(NOON_MS, 30)
    manifest = manifest_of(opened(exporter.make(order(footage, 5, 25), [segments[0], segments[2]]).path))
    assert manifest.gaps == (Gap(NOON_MS + 10_000, NOON_MS + 20_000, "not-recorded"),)


def test_a_segment_that_goes_while_it_is_cut_is_a_gap(footage: Footage, exporter: Exporter) -> None:
    segments = footage.record(NOON_MS, 30)
    segments[1].path.unlink()
    manifest = manifest_of(opened(exporter.make(order(footage, 5, 25), segments).path))
    assert manifest.gaps == (Gap(NOON_MS + 10_000, NOON_MS + 20_000, "damaged"),)


def test_a_segment_that_is_being_written_is_taken_as_far_as_it_is(footage: Footage, exporter: Exporter) -> None:
    segments = footage.record(NOON_MS, 17, is_closed=False)
    manifest = manifest_of(opened(exporter.make(order(footage, 5, 20), segments).path))
    assert manifest.gaps == (Gap(NOON_MS + 17_000, NOON_MS + 20_000, "not-recorded"),)


def test_a_clip_ends_after_ten_minutes(footage: Footage, exporter: Exporter) -> None:
    slow = dataclasses.replace(SHAPE, fps=1)
    segments = footage.record(NOON_MS, 1300, shape=slow)
    members = opened(exporter.make(order(footage, 3, 1297), segments).path)
    manifest = manifest_of(members)
    assert [(part.from_ms - NOON_MS, part.to_ms - NOON_MS) for part in manifest.parts] == [
        (3_000, 603_000),
        (603_000, 1_203_000),
        (1_203_000, 1_297_000),
    ]
    assert [len(pictures(members[part.file])) for part in manifest.parts] == [600, 600, 94]


def test_a_clip_ends_where_size_or_clock_change_and_keeps_every_mask(footage: Footage, exporter: Exporter) -> None:
    wide = dataclasses.replace(SHAPE, width=128)
    segments = [
        *footage.record(NOON_MS, 10),
        *footage.record(NOON_MS + 10_000, 10, mask_version=4),
        *footage.record(NOON_MS + 20_000, 10, mask_version=5, shape=wide),
        *footage.record(NOON_MS + 25_000, 10, mask_version=5, shape=wide),
    ]
    manifest = manifest_of(opened(exporter.make(order(footage, 0, 35), segments[::-1]).path))
    told = [
        ((part.from_ms - NOON_MS) // 1000, (part.to_ms - NOON_MS) // 1000, part.mask_versions)
        for part in manifest.parts
    ]
    assert told == [(0, 20, (3, 4)), (20, 30, (5,)), (25, 35, (5,))]


def test_a_clip_ends_before_it_is_too_large_for_memory(
    footage: Footage, exporter: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cut, "MAX_CLIP_OCTETS", 40_000)
    members = opened(exporter.make(order(footage, 0, 60), footage.record(NOON_MS, 60)).path)
    sizes = [len(content) for name, content in members.items() if name.endswith(".mp4")]
    assert len(sizes) > 1
    assert max(sizes) < 70_000
    assert manifest_of(members).gaps == ()


def test_a_second_that_began_late_keeps_its_wall_time(footage: Footage, exporter: Exporter) -> None:
    segments = footage.record(NOON_MS + 2_600, 5)
    members = opened(exporter.make(order(footage, 2, 6), segments).path)
    assert pictures(members["clip-001.mp4"])[:3] == pytest.approx([0.6, 0.8, 1.0])
    assert manifest_of(members).parts[0].from_ms == NOON_MS + 2_000


def test_an_order_without_a_strand_is_refused_saying_which(footage: Footage, exporter: Exporter) -> None:
    segments = footage.record(NOON_MS, 30)
    held = footage.strands.popitem()
    with pytest.raises(ExportError, match=held[0].hex()):
        exporter.make(order(footage, 5, 25), segments)
    assert list(exporter.folder.glob("*")) == []


def test_an_order_with_another_key_is_refused(footage: Footage, exporter: Exporter) -> None:
    segments = footage.record(NOON_MS, 10)
    wrong = dict.fromkeys(footage.strands, bytes(32))
    with pytest.raises(ExportError, match="no segment"):
        exporter.make(order(footage, 5, 8, strands=wrong), segments)
    assert list(exporter.folder.glob("*")) == []


@pytest.mark.parametrize("recipient", ["age1", "age1xyz", "age1" + "q" * 58, "age1tag1qqqq"])
def test_an_order_for_nobody_is_refused(footage: Footage, exporter: Exporter, recipient: str) -> None:
    with pytest.raises(ExportError, match="recipient"):
        exporter.make(order(footage, 5, 8, recipient=recipient), footage.record(NOON_MS, 10))


def test_an_order_of_a_time_without_footage_is_refused(footage: Footage, exporter: Exporter) -> None:
    with pytest.raises(ExportError, match="nothing was recorded"):
        exporter.make(order(footage, 105, 108), footage.record(NOON_MS, 10))


def test_an_order_is_refused_where_the_disk_has_no_room(footage: Footage, exporter: Exporter) -> None:
    with pytest.raises(ExportError, match="no room"):
        dataclasses.replace(exporter, min_free_mb=1 << 40).make(order(footage, 5, 8), footage.record(NOON_MS, 10))


def test_an_authority_that_stamps_is_named_and_one_that_is_away_too(
    footage: Footage, exporter: Exporter, tmp_path: Path
) -> None:
    segments = footage.record(NOON_MS, 10)
    with stamps.serving(tmp_path / "tsa") as tsa:
        stamped = dataclasses.replace(exporter, authority=Tsa.load(tsa.url, tsa.root))
        members = opened(stamped.make(order(footage, 5, 8), segments).path)
        assert manifest_of(members).authority == tsa.url
        (tsa.folder / "manifest").write_bytes(members["manifest.json"])
        (tsa.folder / "stamp").write_bytes(members["manifest.tsr"])
        tsa.run("ts", "-verify", "-data", "manifest", "-in", "stamp", "-CAfile", "root.pem")
    away = opened(stamped.make(order(footage, 5, 8, export="e-2"), segments).path)
    manifest = manifest_of(away)
    assert (manifest.authority, manifest.no_timestamp) == ("", "the authority does not answer: ConnectError")
    assert "ConnectError" in away["README.txt"].decode()
    assert "ConnectError" in away["読んでください.txt"].decode()


@pytest.mark.parametrize("fault", ["another key", "ended", "not in force yet", "none"])
def test_a_gateway_that_nobody_could_verify_makes_no_export(footage: Footage, tmp_path: Path, fault: str) -> None:
    device, other = AUTHORITY.device("gw-1"), AUTHORITY.device("gw-1")
    if fault == "another key":
        device = dataclasses.replace(device, chain_pem=other.chain_pem)
    elif fault == "ended":
        device = AUTHORITY.device("gw-1", until=dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    elif fault == "none":
        device = dataclasses.replace(device, chain_pem=b"")
    with httpx.Client() as client:
        exporter = make_exporter(tmp_path / "exports", client, device)
        if fault == "not in force yet":
            exporter = dataclasses.replace(exporter, now_ms=lambda: 0)
        with pytest.raises(CredentialError):
            exporter.make(order(footage, 5, 8), footage.record(NOON_MS, 10))
    assert list(exporter.folder.iterdir()) == []


def test_a_device_whose_certificate_may_not_sign_clips_says_so(footage: Footage, tmp_path: Path) -> None:
    tls_only = AUTHORITY.device("gw-1", usages=(ExtendedKeyUsageOID.CLIENT_AUTH,))
    with httpx.Client() as client:
        made = make_exporter(tmp_path / "exports", client, tls_only).make(
            order(footage, 5, 8), footage.record(NOON_MS, 10)
        )
    manifest = manifest_of(opened(made.path))
    assert not manifest.has_c2pa
    assert manifest.parts[0].frames == 15


def test_what_a_crash_left_and_what_is_over_its_time_is_removed_at_the_start(exporter: Exporter) -> None:
    assert sweep(exporter.folder, now_ms=exporter.now_ms()) == 0
    exporter.folder.mkdir()
    now_s = exporter.now_ms() // 1000
    ages_days = {"e-1.age.partial": 0, "e-1.json.partial": 0, "e-2.age": 29, "e-3.age": 31, "e-3.json": 31}
    for name, days in ages_days.items():
        (exporter.folder / name).write_bytes(b"x")
        os.utime(exporter.folder / name, (now_s - days * 86_400,) * 2)
    assert sweep(exporter.folder, now_ms=exporter.now_ms()) == 4
    assert [path.name for path in exporter.folder.iterdir()] == ["e-2.age"]


def test_an_export_that_the_city_has_is_gone_from_here_and_made_no_more(footage: Footage, exporter: Exporter) -> None:
    made = exporter.make(order(footage, 2, 5), footage.record(NOON_MS, 10))
    exporter.set_brought("e-1")
    assert [path.name for path in exporter.folder.iterdir()] == ["e-1.json"]
    again = exporter.make(order(footage, 2, 5), [])
    assert again == dataclasses.replace(made, is_new=False, is_brought=True)
    with pytest.raises(ExportError):
        exporter.set_brought("e-9")


@pytest.mark.parametrize("note", [b"", b"{}", b"[]", b'{"case":1}', b"\xff"])
def test_a_spoilt_note_makes_the_export_anew(footage: Footage, exporter: Exporter, note: bytes) -> None:
    segments = footage.record(NOON_MS, 10)
    made = exporter.make(order(footage, 2, 5), segments)
    (exporter.folder / "e-1.json").write_bytes(note)
    assert exporter.make(order(footage, 2, 5), segments).sha256 != made.sha256


async def test_the_handler_takes_what_the_ring_holds_and_says_what_came_of_it(tmp_path: Path) -> None:
    footage = Footage(tmp_path / "camera" / "footage")
    footage.record(NOON_MS, 30)
    ring = Ring(tmp_path / "camera", WallClock(), lambda *_: None, Counter())
    ring.open()
    with httpx.Client() as client:
        exporter = make_exporter(tmp_path / "exports", client)
        exports = Exports(lambda: exporter, ring.segments_in, nobody)
        told = await exports.carry_out(order(footage, 5, 33))
    ring.close()
    assert told["sha256"] == hashlib.sha256((tmp_path / "exports" / "e-1.age").read_bytes()).digest()
    assert (told["clips"], told["gaps"], told["is_brought"]) == (1, 1, False)


def nobody() -> Bearer:
    raise AssertionError("nothing is to be brought")


def test_each_clip_carries_a_mark_that_the_citys_root_vouches_for(footage: Footage, exporter: Exporter) -> None:
    members = opened(exporter.make(order(footage, 5, 8), footage.record(NOON_MS, 10)).path)
    trust = {**credential.SETTINGS["trust"], "trust_anchors": AUTHORITY.root_pem.decode()}
    with c2pa.Context.from_dict({**credential.SETTINGS, "trust": trust}) as context:
        read = c2pa.Reader("video/mp4", io.BytesIO(members["clip-001.mp4"]), context=context)
        told = json.loads(read.json())
        assert told["validation_state"] == "Trusted"
        assert "privacy mask v3 burnt in before recording" in json.dumps(told)
        spoilt = bytearray(members["clip-001.mp4"])
        spoilt[len(spoilt) // 2] ^= 1
        assert (
            json.loads(c2pa.Reader("video/mp4", io.BytesIO(spoilt), context=context).json())["validation_state"]
            == "Invalid"
        )


@pytest.mark.timeout(120)
def test_kill_9_in_the_middle_leaves_nothing_clear_and_nothing_half_written(footage: Footage, tmp_path: Path) -> None:
    segments = footage.record(NOON_MS, 60)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        with child_exporting(footage, tmp_path, port=silent.getsockname()[1]) as child:
            connection, _ = silent.accept()  # it waits for a stamp: the clips are in the file, the manifest is not
            files = [str(link.readlink()) for link in Path(f"/proc/{child.pid}/fd").iterdir()]
            child.kill()
        connection.close()
    assert [name for name in files if str(tmp_path) in name and "/footage/" not in name] == [
        str(tmp_path / "exports" / "e-1.age.partial")
    ]
    assert list(temporary.iterdir()) == []
    left = list((tmp_path / "exports").iterdir())
    assert [path.name for path in left] == ["e-1.age.partial"]
    assert not any(word in left[0].read_bytes() for word in (b"clip-001", b"ftyp", b"moov", b"PK"))
    with httpx.Client() as client:
        exporter = make_exporter(tmp_path / "exports", client)
        assert sweep(exporter.folder, now_ms=exporter.now_ms()) == 1
        assert manifest_of(opened(exporter.make(order(footage, 5, 55), segments).path)).gaps == ()


def child_exporting(footage: Footage, folder: Path, *, port: int = 9, limit: int = 0) -> subprocess.Popen[bytes]:
    strands = {name.hex(): key.hex() for name, key in footage.strands.items()}
    told = {"folder": str(folder), "strands": strands, "url": f"http://127.0.0.1:{port}/", "limit": limit}
    command = [sys.executable, "-m", "tests.exporting", json.dumps(told)]
    environment = {**os.environ, "TMPDIR": str(folder / "tmp")}
    return subprocess.Popen(command, cwd=Path(__file__).parents[3], env=environment, stderr=subprocess.PIPE)


@pytest.mark.timeout(120)
def test_a_disk_that_takes_no_more_leaves_nothing(footage: Footage, tmp_path: Path) -> None:
    footage.record(NOON_MS, 60)
    with child_exporting(footage, tmp_path, limit=60_000) as child:
        said = child.communicate(timeout=100)[1]
        assert b"ExportError: the export cannot be written" in said
        assert b"File too large" in said
    assert list((tmp_path / "exports").iterdir()) == []
