import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from wire import cose, keys, seal, upload
from wire.errors import MessageError, SealError
from wire.upload import PART_OCTETS, Part, Sender

NOW_MS = 1_795_402_800_000
SHA = hashlib.sha256(b"whole").digest()


@pytest.fixture
def sender(signer: ec.EllipticCurvePrivateKey) -> Sender:
    return Sender("mimamori", "gw-1", signer)


@pytest.mark.parametrize("octets", [1, PART_OCTETS])
def test_a_part_comes_back_as_it_was_signed(sender: Sender, octets: int) -> None:
    part = Part("e-1", 2, 3, SHA, bytes(octets))
    body = sender.sign(part, at_ms=NOW_MS)
    assert len(body) <= cose.MAX_OCTETS
    assert upload.read_part(seal.parse(body), sender.key.public_key()) == part
    assert part.offset == 2 * PART_OCTETS


@pytest.mark.parametrize(
    ("part", "parts", "octets", "export"),
    [
        (3, 3, 1, "e-1"),
        (0, 2, 1, "e-1"),
        (0, 1, 0, "e-1"),
        (0, 1, PART_OCTETS + 1, "e-1"),
        (0, upload.MAX_PARTS + 1, PART_OCTETS, "e-1"),
        (0, 1, 1, "../e-1"),
    ],
)
def test_what_is_no_part_is_refused(part: int, parts: int, octets: int, export: str) -> None:
    with pytest.raises(MessageError):
        Part(export, part, parts, SHA, bytes(octets))


def test_a_part_signed_by_another_or_for_another_place_is_refused(sender: Sender) -> None:
    envelope = seal.parse(sender.sign(Part("e-1", 0, 1, SHA, b"x"), at_ms=NOW_MS))
    with pytest.raises(SealError):
        upload.read_part(envelope, keys.new_signing_key().public_key())
    kid = keys.kid(sender.key.public_key())
    for content, sequence, error in (("upload", 1, MessageError), ("report", 0, SealError)):
        header = seal.Header("mimamori", "gw-1", 0, sequence, NOW_MS, b"", kid, content)
        forged = seal.sign(Part("e-1", 0, 1, SHA, b"x").encode(), header, signer=sender.key)
        with pytest.raises(error):
            upload.read_part(seal.parse(forged), sender.key.public_key())


def test_a_question_is_answered_only_while_it_is_new(sender: Sender) -> None:
    envelope = upload.envelope_of(sender.ask("e-1", at_ms=NOW_MS))
    verifier = sender.key.public_key()
    assert upload.read_question(envelope, verifier, now_ms=NOW_MS + upload.MAX_AGE_MS) == "e-1"
    for now_ms in (NOW_MS + upload.MAX_AGE_MS + 1, NOW_MS - upload.MAX_AGE_MS - 1):
        with pytest.raises(SealError):
            upload.read_question(envelope, verifier, now_ms=now_ms)
    with pytest.raises(SealError):
        upload.read_question(envelope, keys.new_signing_key().public_key(), now_ms=NOW_MS)


def test_a_part_is_no_question(sender: Sender) -> None:
    envelope = seal.parse(sender.sign(Part("e-1", 0, 1, SHA, b"x"), at_ms=NOW_MS))
    with pytest.raises(MessageError):
        upload.read_question(envelope, sender.key.public_key(), now_ms=NOW_MS)


@given(st.text() | st.text().map(lambda text: f"COSE {text}"))
def test_no_header_breaks_the_reader(text: str) -> None:
    with pytest.raises(SealError):
        upload.envelope_of(text)


@given(st.binary(max_size=300))
def test_no_octets_break_the_reader(data: bytes) -> None:
    with pytest.raises(MessageError):
        Part.decode(data)


@pytest.mark.parametrize(("octets", "parts"), [(1, 1), (PART_OCTETS, 1), (PART_OCTETS + 1, 2)])
def test_parts_are_counted_up(octets: int, parts: int) -> None:
    assert upload.parts_of(octets) == parts
