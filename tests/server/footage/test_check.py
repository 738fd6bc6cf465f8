"""Whoever got an export finds every lie in it by a check that is named for it."""

import datetime as dt
import random
import struct
import time
import zipfile
import zlib
from pathlib import Path

import httpx
import pyrage
import pytest

from edge.camera.credential import Device
from edge.camera.export import Exporter
from edge.camera.timestamp import Authority as Tsa
from server.footage.archive import identities_of
from server.footage.check import Trust, certificates_of, examine, seconds_of
from server.footage.errors import FootageError
from tests import stamps
from tests.certified import Authority
from tests.footage import NOON_MS, Footage
from tests.server.footage.conftest import Given
from wire.evidence import Manifest
from wire.orders import Export
from wire.verdict import Report

MEMBERS = [
    "clip-001.mp4",
    "manifest.json",
    "manifest.cose",
    "manifest.tsr",
    "certificates.pem",
    "読んでください.txt",
    "README.txt",
]


def look(given: Given, path: Path | None = None, trust: Trust | None = None, out: Path | None = None) -> Report:
    whom = trust or Trust((given.authority.root,), certificates_of(given.folder / "tsa.pem"))
    return examine(path or given.sealed, [given.officer], whom, out=out)


def test_a_sound_export_passes_every_check(given: Given) -> None:
    report = look(given)
    assert [(check.name, check.outcome) for check in report.checks if check.outcome != "ok"] == []
    assert {check.name for check in report.checks} == {
        "envelope",
        "members",
        "manifest",
        "certificate",
        "signature",
        "documents",
        "chain",
        "continuity",
        "seconds",
        "coverage",
        "clip",
        "samples",
        "c2pa",
        "timestamp",
    }
    assert report.manifest is not None
    assert [gap.why for gap in report.manifest.gaps] == ["not-recorded"]
    assert sorted(given.members) == sorted(MEMBERS)


@pytest.mark.parametrize("name", MEMBERS)
def test_a_bit_flipped_in_any_member_is_found(given: Given, tmp_path: Path, name: str) -> None:
    numbers = random.Random(name)
    content = given.members[name]
    for at in [0, len(content) - 1, *numbers.choices(range(len(content)), k=12)]:
        spoilt = content[:at] + bytes((content[at] ^ 1 << numbers.randrange(8),)) + content[at + 1 :]
        path = given.sealed_again(tmp_path / "spoilt.age", {**given.members, name: spoilt})
        report = look(given, path)
        assert not report.is_sound, at
        assert "envelope" not in report.failed
        if name.endswith(".mp4"):
            assert "clip" in report.failed


def test_a_bit_flipped_in_a_picture_is_found_by_its_second_too(given: Given, tmp_path: Path) -> None:
    content = given.members["clip-001.mp4"]
    at = content.index(b"mdat") + 8_000
    spoilt = content[:at] + bytes((content[at] ^ 4,)) + content[at + 1 :]
    report = look(given, given.sealed_again(tmp_path / "spoilt.age", {**given.members, "clip-001.mp4": spoilt}))
    assert report.failed == ("clip", "samples", "c2pa")
    assert any(check.found.startswith("clip-001.mp4: second 17954028") for check in report.checks)


def test_a_bit_flipped_in_the_sealed_file_opens_nothing(given: Given, tmp_path: Path) -> None:
    data = given.sealed.read_bytes()
    for at in random.Random(3).sample(range(len(data)), 25):
        path = tmp_path / "spoilt.age"
        path.write_bytes(data[:at] + bytes((data[at] ^ 1 << at % 8,)) + data[at + 1 :])
        report = look(given, path, out=tmp_path / "out")
        assert report.failed == ("envelope",)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("size", [0, 1, 100, 50_000])
def test_a_file_cut_short_opens_nothing(given: Given, tmp_path: Path, size: int) -> None:
    path = tmp_path / "short.age"
    path.write_bytes(given.sealed.read_bytes()[:size])
    assert look(given, path).failed == ("envelope",)


def test_the_key_of_another_opens_nothing(given: Given) -> None:
    other = [pyrage.x25519.Identity.generate()]
    assert examine(given.sealed, other, Trust((given.authority.root,))).failed == ("envelope",)


@pytest.mark.parametrize("name", MEMBERS)
def test_a_member_that_is_missing_is_found(given: Given, tmp_path: Path, name: str) -> None:
    members = {one: content for one, content in given.members.items() if one != name}
    report = look(given, given.sealed_again(tmp_path / "less.age", members))
    assert ("manifest" if name == "manifest.json" else "members") in report.failed


@pytest.mark.parametrize("name", ["clip-002.mp4", "../evil.mp4", "/etc/cron.d/evil", "run-me.exe"])
def test_a_member_too_many_is_found_and_written_nowhere(given: Given, tmp_path: Path, name: str) -> None:
    path = given.sealed_again(tmp_path / "more.age", {**given.members, name: b"evil"})
    assert "members" in look(given, path, out=tmp_path / "out").failed
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("sealed", [b"", b"no archive", b"PK\x05\x06" + bytes(18), b"PK\x03\x04" * 100])
def test_what_was_sealed_and_is_no_export_is_told(given: Given, tmp_path: Path, sealed: bytes) -> None:
    path = tmp_path / "other.age"
    path.write_bytes(pyrage.encrypt(sealed, [given.officer.to_public()]))
    assert look(given, path).failed in {("members",), ("manifest",)}


def test_a_compressed_archive_is_refused_unread(given: Given, tmp_path: Path) -> None:
    bomb = {**given.members, "README.txt": bytes(50_000_000)}
    path = given.sealed_again(tmp_path / "bomb.age", bomb, zipfile.ZIP_DEFLATED)
    assert look(given, path).failed == ("members",)


def test_members_that_lie_over_each_other_are_refused_unread(given: Given, tmp_path: Path) -> None:
    path = tmp_path / "bomb.age"
    path.write_bytes(pyrage.encrypt(_overlapping(50, bytes(100_000)), [given.officer.to_public()]))
    report = look(given, path)
    assert report.failed == ("members",)
    assert report.checks[-1].found == "members that lie over each other"


def _overlapping(count: int, last: bytes) -> bytes:
    """Return an archive in which each member is all that follows its own head, the heads of the others too."""
    data, heads = last, list[tuple[bytes, int, bytes]]()
    for number in reversed(range(count)):
        name = b"%03d.txt" % number
        checks = struct.pack("<III", zlib.crc32(data), len(data), len(data))
        heads.append((name, len(data), checks))
        data = (
            struct.pack("<IHHHHH", 0x04034B50, 20, 0, 0, 0, 33)
            + checks
            + struct.pack("<HH", len(name), 0)
            + name
            + data
        )
    listed = b""
    for name, after, checks in reversed(heads):
        at = len(data) - after - 30 - len(name)
        listed += struct.pack("<IHHHHHH", 0x02014B50, 20, 20, 0, 0, 0, 33) + checks
        listed += struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, at) + name
    return data + listed + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, count, count, len(listed), len(data), 0)


def test_an_export_that_was_stamped_when_its_certificate_had_ended_is_found(given: Given, tmp_path: Path) -> None:
    """As a thief makes one, who writes a time into the manifest at which the certificate was in force."""
    footage = Footage(tmp_path / "footage")
    segments = footage.record(NOON_MS, 5)
    until = dt.datetime.fromtimestamp(NOON_MS / 1000, dt.UTC) + dt.timedelta(hours=1)
    assert until < dt.datetime.now(dt.UTC)
    own = given.authority.device("gw-1", until=until)
    device = Device("mimamori", "gw-1", own.key, own.chain_pem, "mimamori-edge 0.1.0")
    order = Export("e-3", "case-1", NOON_MS, NOON_MS + 5_000, str(given.officer.to_public()), strands=footage.strands)
    with stamps.serving(tmp_path / "tsa") as tsa, httpx.Client() as client:
        authority = Tsa.load(tsa.url, tsa.root)
        made = Exporter(tmp_path / "exports", device, authority, client, lambda: NOON_MS + 60_000).make(order, segments)
        trust = Trust((given.authority.root,), certificates_of(tsa.root))
    report = look(given, made.path, trust)
    assert report.failed == ("timestamp",)
    assert report.checks[-1].found.endswith("the certificate was not in force")


def test_an_export_of_another_city_is_not_believed(given: Given) -> None:
    report = look(given, trust=Trust((Authority.new().root,)))
    assert report.failed == ("certificate", "signature", "c2pa")


def test_a_stamp_of_another_authority_is_not_believed_and_without_roots_it_is_not_checked(given: Given) -> None:
    other = (Authority.new().root,)
    assert look(given, trust=Trust((given.authority.root,), other)).failed == ("timestamp",)
    report = look(given, trust=Trust((given.authority.root,)))
    assert report.is_sound
    assert [check.name for check in report.checks if check.outcome == "unchecked"] == ["timestamp"]


def test_clips_are_written_when_asked_and_are_those_of_the_manifest(given: Given, tmp_path: Path) -> None:
    report = look(given, out=tmp_path / "out")
    assert report.is_sound
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == given.members


def test_the_seconds_of_a_clip_are_found_by_the_times_of_its_pictures(given: Given) -> None:
    part = Manifest.decode(given.members["manifest.json"]).parts[0]
    assert tuple(seconds_of(given.members["clip-001.mp4"], part.from_ms)) == part.seconds
    assert tuple(seconds_of(given.members["clip-001.mp4"], part.from_ms + 1000)) != part.seconds
    assert seconds_of(b"no video", part.from_ms) == []


@pytest.mark.parametrize("text", ["", "# nothing\n", "AGE-SECRET-KEY-1QQQ", "age1qqqq", "\udcff"])
def test_a_file_without_a_key_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "key.txt").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(FootageError, match=r"key\.txt"):
        identities_of(tmp_path / "key.txt")


def test_files_that_are_not_there_are_told(given: Given, tmp_path: Path) -> None:
    for use in (identities_of, certificates_of, lambda path: look(given, path)):
        with pytest.raises(FootageError, match="gone"):
            use(tmp_path / "gone")


def test_a_mark_whose_certificate_has_ended_since_is_told_and_the_manifest_holds(given: Given, tmp_path: Path) -> None:
    footage = Footage(tmp_path / "footage")
    segments = footage.record(NOON_MS, 5)
    until = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(seconds=6)
    own = given.authority.device("gw-1", until=until)
    device = Device("mimamori", "gw-1", own.key, own.chain_pem, "mimamori-edge 0.1.0")
    order = Export("e-2", "case-1", NOON_MS, NOON_MS + 5_000, str(given.officer.to_public()), strands=footage.strands)
    with httpx.Client() as client:
        made = Exporter(tmp_path / "exports", device, None, client, lambda: NOON_MS + 60_000).make(order, segments)
    time.sleep(max(0, (until - dt.datetime.now(dt.UTC)).total_seconds()) + 1)
    report = look(given, made.path)
    assert report.is_sound
    assert {check.name: check.found for check in report.checks if check.outcome == "unchecked"} == {
        "c2pa": "clip-001.mp4: the certificate has ended since",
        "timestamp": "none: no authority is configured",
    }
