"""Manifests have one form, and every lie in an export is found by a check that is named for it."""

import base64
import dataclasses
import hashlib
import json
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from tests.certified import Authority, Device
from wire import evidence, fields, seal, verdict
from wire.errors import MessageError
from wire.evidence import Attest, Gap, Link, Manifest, Part, Second

NOON_MS = 1_795_402_800_000
AUTHORITY = Authority.new()
DEVICE = AUTHORITY.device("gw-1")


def sha(text: object) -> bytes:
    return hashlib.sha256(str(text).encode()).digest()


def links(seconds: int, previous: bytes = bytes(32)) -> tuple[Link, ...]:
    made = []
    for at in range(0, seconds, 10):
        samples = (sha("init"), *(sha(at + second) for second in range(10)))
        start_ms = NOON_MS + at * 1000
        link = Link(sha(("id", at))[:16], start_ms, start_ms + 10_000, previous, b"", sha("head"), samples)
        previous = link.computed()
        made.append(dataclasses.replace(link, chain=previous))
    return tuple(made)


def part(number: int, first: int, last: int) -> Part:
    seconds = tuple(Second(NOON_MS + at * 1000, 5, sha(at)) for at in range(first, last))
    start_ms, end_ms = NOON_MS + first * 1000, NOON_MS + last * 1000
    return Part(f"clip-{number:03}.mp4", sha(number), start_ms, end_ms, 5 * len(seconds), (3,), seconds)


WHOLE = Manifest(
    city="mimamori",
    camera="gw-1",
    export="e-1",
    case="case-1",
    from_ms=NOON_MS + 4_000,
    to_ms=NOON_MS + 36_000,
    parts=(part(1, 4, 20), part(2, 20, 36)),
    segments=links(40),
    gaps=(),
    is_clock_synced=True,
    software="mimamori 0.1.0",
    made_at_ms=NOON_MS + 60_000,
    no_timestamp="no authority is configured",
)
HOLED = dataclasses.replace(
    WHOLE,
    parts=(part(1, 4, 10), part(2, 20, 36)),
    segments=(WHOLE.segments[0], *WHOLE.segments[2:]),
    gaps=(Gap(NOON_MS + 10_000, NOON_MS + 20_000, "damaged"),),
)


def signed(manifest: Manifest, device: Device = DEVICE, **more: bytes) -> dict[str, bytes]:
    members = {
        "manifest.json": manifest.encode(),
        "certificates.pem": device.chain_pem,
        "README.txt": b"read",
        "読んでください.txt": b"yomu",
        **more,
    }
    return {**members, "manifest.cose": evidence.sign(manifest, members, signer=device.key)}


def failed(members: dict[str, bytes], authority: Authority = AUTHORITY) -> tuple[str, ...]:
    return verdict.documents(members, [authority.root]).failed


@pytest.mark.parametrize(
    "manifest", [WHOLE, HOLED, dataclasses.replace(WHOLE, authority="http://tsa", no_timestamp="")]
)
def test_a_manifest_survives_json_and_every_check(manifest: Manifest) -> None:
    assert Manifest.decode(manifest.encode()) == manifest
    report = verdict.documents(signed(manifest), [AUTHORITY.root])
    assert report.is_sound, report
    assert report.manifest == manifest
    assert {check.outcome for check in report.checks} == {"ok"}
    assert all(japanese and english for japanese, english in (check.text for check in report.checks))


def test_times_are_told_in_japan_with_their_offset() -> None:
    window = json.loads(WHOLE.encode())["window"]
    assert (window["from"], window["to"]) == ("2026-11-23T12:00:04+09:00", "2026-11-23T12:00:36+09:00")


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"more": 1},
        {"made_at_ms": 1.0},
        {"made_at_ms": "1"},
        {"c2pa": 1},
        {"parts": None},
        {"timestamp": {"absent": "x", "authority": "y"}},
        {"window": {"from_ms": 0, "to_ms": 1000, "from": "2026-11-23T12:00:04+09:00", "to": "x"}},
        {"gaps": [[1, 2]]},
        {"parts": [json.loads(WHOLE.encode())["parts"][0] | {"sha256": "00"}]},
        {"gaps": [[True, 2, "damaged"]]},
        {"segments": [{}]},
    ],
)
def test_a_manifest_of_another_form_is_refused(change: dict[str, Any]) -> None:
    table = json.loads(WHOLE.encode()) | change
    text = json.dumps(table, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    with pytest.raises(MessageError):
        Manifest.decode(text.encode())


@pytest.mark.parametrize("documents", [None, [], {1: bytes(32)}, {"a": bytes(31)}, {"a": "b"}])
def test_what_is_no_attest_is_refused(documents: object) -> None:
    with pytest.raises(MessageError):
        Attest.decode(fields.dumps({1: documents}))


def test_a_manifest_names_an_authority_or_why_there_is_none() -> None:
    assert json.loads(WHOLE.naming("http://tsa").encode())["timestamp"] == {"authority": "http://tsa"}
    assert json.loads(WHOLE.naming("", "away").encode())["timestamp"] == {"absent": "away"}


@pytest.mark.parametrize(
    "data",
    [
        b" " * (evidence.MAX_DOCUMENT_OCTETS + 1),
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        WHOLE.encode() + b"\n",
        b"1" * 5000,
    ],
)
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(MessageError):
        Manifest.decode(data)


LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just([]), st.just({}), st.just([[[]]])
)


@given(st.data())
def test_a_manifest_with_anything_anywhere_is_read_or_refused(data: st.DataObject) -> None:
    table = json.loads(HOLED.encode())
    at: Any = table
    while True:
        keys = sorted(at) if isinstance(at, dict) else list(range(len(at)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(at[key], dict | list) or not at[key] or data.draw(st.booleans()):
            break
        at = at[key]
    at[key] = data.draw(LEAVES)
    text = json.dumps(table, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode("utf-8", "surrogatepass")
    try:
        Manifest.decode(text)
    except MessageError:
        return
    assert verdict.record(Manifest.decode(text))


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@given(st.data())
def test_any_flipped_bit_of_a_document_is_found(data: st.DataObject) -> None:
    members = signed(WHOLE)
    name = data.draw(st.sampled_from(sorted(members)))
    bit = data.draw(st.integers(0, 8 * len(members[name]) - 1))
    octets = bytearray(members[name])
    octets[bit // 8] ^= 1 << bit % 8
    assert failed({**members, name: bytes(octets)})


def test_every_flipped_bit_of_the_signature_is_found() -> None:
    members = signed(WHOLE)
    whole = members["manifest.cose"]
    for at in range(len(whole)):
        octets = whole[:at] + bytes((whole[at] ^ 1 << at % 8,)) + whole[at + 1 :]
        assert failed({**members, "manifest.cose": octets}) == ("signature",)


@pytest.mark.parametrize("name", ["manifest.cose", "certificates.pem", "README.txt", "manifest.json"])
def test_a_document_that_is_missing_is_found(name: str) -> None:
    members = signed(WHOLE)
    del members[name]
    assert failed(members)


def test_a_document_that_nobody_signed_is_found() -> None:
    assert failed({**signed(WHOLE), "more.txt": b"more"}) == ("documents",)


def test_a_device_of_another_authority_is_refused() -> None:
    assert failed(signed(WHOLE), Authority.new()) == ("certificate", "signature")


@pytest.mark.parametrize("other", [("gw-2", "mimamori"), ("gw-1", "elsewhere")])
def test_another_device_of_the_authority_cannot_sign_for_this_camera(other: tuple[str, str]) -> None:
    assert failed(signed(WHOLE, AUTHORITY.device(*other))) == ("certificate", "signature")


def test_a_certificate_with_another_kind_of_key_is_refused() -> None:
    other = rsa.generate_private_key(65537, 2048).public_key()
    report = verdict.documents(signed(WHOLE, AUTHORITY.device("gw-1", certified=other)), [AUTHORITY.root])
    assert [check.found for check in report.checks if check.name == "certificate"] == [
        "a certificate with another kind of key"
    ]


def test_a_certificate_that_was_not_in_force_then_is_refused() -> None:
    late = dataclasses.replace(WHOLE, made_at_ms=NOON_MS + 20 * 365 * 86_400_000)
    assert "certificate" in failed(signed(late))


def test_what_the_device_signed_for_another_purpose_signs_no_manifest() -> None:
    members = signed(WHOLE)
    beside = {name: content for name, content in members.items() if name != "manifest.cose"}
    header = seal.Header("mimamori", "gw-1", 0, 0, WHOLE.made_at_ms, b"", DEVICE.kid, "report")
    members["manifest.cose"] = seal.sign(Attest.of(beside).encode(), header, signer=DEVICE.key)
    assert failed(members) == ("signature",)


def replaced_link(at: int, **change: Any) -> Manifest:
    segments = list(WHOLE.segments)
    segments[at] = dataclasses.replace(segments[at], **change)
    return dataclasses.replace(WHOLE, segments=tuple(segments))


def replaced_part(**change: Any) -> Manifest:
    return dataclasses.replace(WHOLE, parts=(dataclasses.replace(WHOLE.parts[0], **change), WHOLE.parts[1]))


SHORTER = WHOLE.parts[0].seconds[:-1]
SWAPPED = (WHOLE.parts[0].seconds[1], WHOLE.parts[0].seconds[0], *WHOLE.parts[0].seconds[2:])
FORGED = (dataclasses.replace(WHOLE.parts[0].seconds[0], samples_sha256=sha("forged")), *WHOLE.parts[0].seconds[1:])


@pytest.mark.parametrize(
    ("manifest", "name"),
    [
        (replaced_link(1, samples=WHOLE.segments[1].samples[:-1]), "chain"),
        (replaced_link(1, head_sha256=sha("other")), "chain"),
        (replaced_link(1, previous=sha("other")), "continuity"),
        (dataclasses.replace(WHOLE, segments=(WHOLE.segments[0], *WHOLE.segments[2:])), "continuity"),
        (replaced_part(seconds=FORGED), "seconds"),
        (replaced_part(seconds=SWAPPED), "seconds"),
        (replaced_part(seconds=()), "seconds"),
        (replaced_part(frames=1), "seconds"),
        (replaced_part(from_ms=1), "seconds"),
        (replaced_part(seconds=SHORTER), "coverage"),
        (dataclasses.replace(WHOLE, to_ms=WHOLE.to_ms + 1000), "coverage"),
        (dataclasses.replace(WHOLE, from_ms=WHOLE.from_ms + 1000), "coverage"),
        (dataclasses.replace(HOLED, gaps=()), "coverage"),
        (dataclasses.replace(HOLED, gaps=(dataclasses.replace(HOLED.gaps[0], why="because"),)), "coverage"),
        (dataclasses.replace(HOLED, gaps=(Gap(NOON_MS + 10_000, NOON_MS + 19_000, "damaged"),)), "coverage"),
        (dataclasses.replace(WHOLE, gaps=(Gap(0, 2**52, "damaged"),)), "coverage"),
    ],
)
def test_a_device_that_lies_contradicts_itself(manifest: Manifest, name: str) -> None:
    assert name in failed(signed(manifest))


def test_clips_and_their_pictures_are_held_against_the_manifest() -> None:
    one = WHOLE.parts[0]
    found = list(one.seconds)
    assert verdict.clip(one, one.sha256).outcome == verdict.samples(one, found).outcome == "ok"
    assert verdict.clip(one, sha("other")).outcome == "failed"
    for wrong in (
        found[:-1],
        [*found, found[0]],
        [dataclasses.replace(found[0], frames=4), *found[1:]],
        found[::-1],
        [],
    ):
        assert verdict.samples(one, wrong).outcome == "failed"


def test_an_archive_holds_what_the_manifest_says_and_nothing_else() -> None:
    members = [*signed(WHOLE), "clip-001.mp4", "clip-002.mp4"]
    assert verdict.names(members, WHOLE).outcome == "ok"
    stamped = dataclasses.replace(WHOLE, authority="http://tsa", no_timestamp="")
    assert verdict.names([*members, "manifest.tsr"], stamped).outcome == "ok"
    for wrong in (members[1:], [*members, "manifest.tsr"], [*members, members[0]], [*members, "../evil"]):
        assert verdict.names(wrong, WHOLE).outcome == "failed"
    assert verdict.names(members, stamped).found == "manifest.tsr"


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_no_flipped_bit_of_the_certificate_is_an_accident() -> None:
    members = signed(WHOLE)
    own, *rest = x509.load_pem_x509_certificates(members["certificates.pem"])
    above = b"".join(item.public_bytes(serialization.Encoding.PEM) for item in rest)
    der = own.public_bytes(serialization.Encoding.DER)
    for bit in range(8 * len(der)):
        octets = bytearray(der)
        octets[bit // 8] ^= 1 << bit % 8
        pem = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(octets) + b"-----END CERTIFICATE-----\n"
        assert failed({**members, "certificates.pem": pem + above})
