import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from privacy.transparency.errors import NoteError
from privacy.transparency.note import KeyKind, Note, Signature, Signer, Verifier, cosigned_at_s, parse_signature, signed

# The example of C2SP signed-note, and the one of the Go library that the format comes from.
PUBLISHED = [
    (
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "This is an example message.\n",
        "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=",
    ),
    (
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n",
        "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=",
    ),
]
LOG = Signer("city.example/log", Ed25519PrivateKey.from_private_bytes(b"\1" * 32))
OTHER = Signer("city.example/log", Ed25519PrivateKey.from_private_bytes(b"\2" * 32))
TEXT = "line one\n\nline three\n"


def _line(vkey: str, signature: str) -> str:
    return f"— {vkey.split('+', maxsplit=1)[0]} {signature}\n"


@pytest.mark.parametrize(("vkey", "text", "signature"), PUBLISHED)
def test_the_published_notes_verify_and_come_back_as_they_were(vkey: str, text: str, signature: str) -> None:
    whole = f"{text}\n{_line(vkey, signature)}"
    key, note = Verifier.parse(vkey), Note.parse(whole)
    assert note.signed_by([key]) == (key,)
    assert key.vkey == vkey
    assert note.whole() == whole


@pytest.mark.parametrize(("vkey", "text", "signature"), PUBLISHED)
def test_one_changed_letter_of_a_published_note_is_seen(vkey: str, text: str, signature: str) -> None:
    for place in range(len(text) - 1):
        changed = f"{text[:place]}{chr(ord(text[place]) ^ 1)}{text[place + 1 :]}\n{_line(vkey, signature)}"
        with pytest.raises(NoteError):
            Note.parse(changed).signed_by([Verifier.parse(vkey)])


def test_signatures_of_unknown_keys_are_ignored() -> None:
    stranger = Signer("somebody.example", Ed25519PrivateKey.generate())
    note = signed(TEXT, LOG).plus([stranger.sign("another text\n"), OTHER.sign("a third\n")])
    assert note.signed_by([LOG.verifier()]) == (LOG.verifier(),)


def test_a_note_that_only_strangers_signed_is_refused() -> None:
    with pytest.raises(NoteError, match="trusted"):
        signed(TEXT, OTHER).signed_by([LOG.verifier()])


def test_a_wrong_signature_of_a_known_key_is_refused_beside_a_right_one() -> None:
    right, wrong = LOG.sign(TEXT), LOG.sign("another text\n")
    with pytest.raises(NoteError, match="wrong"):
        Note(TEXT, (right, wrong)).signed_by([LOG.verifier()])


def test_the_same_id_under_another_name_is_another_key() -> None:
    forged = Signature("evil.example", LOG.verifier().key_id, LOG.sign(TEXT).octets)
    with pytest.raises(NoteError, match="trusted"):
        Note(TEXT, (forged,)).signed_by([LOG.verifier()])


def test_a_cosignature_signs_its_time() -> None:
    key = LOG.verifier(KeyKind.COSIGNATURE)
    made = LOG.cosign(TEXT, 1_679_315_147)
    assert cosigned_at_s(made) == 1_679_315_147
    assert key.verifies(made, TEXT)
    later = Signature(made.name, made.key_id, (1_679_315_148).to_bytes(8, "big") + made.octets[8:])
    assert not key.verifies(later, TEXT)
    beyond = Signature(made.name, made.key_id, b"\xff" * 8 + made.octets[8:])
    assert not key.verifies(beyond, TEXT)


def test_a_signature_of_the_note_is_no_cosignature_and_the_other_way_round() -> None:
    as_note, as_witness = LOG.verifier(), LOG.verifier(KeyKind.COSIGNATURE)
    assert as_note.key_id != as_witness.key_id
    assert not as_witness.verifies(LOG.sign(TEXT), TEXT)
    assert not as_note.verifies(LOG.cosign(TEXT, 1), TEXT)
    with pytest.raises(NoteError):
        cosigned_at_s(LOG.sign(TEXT))


def test_of_each_key_the_newest_signature_is_kept() -> None:
    note = signed(TEXT, LOG).plus([LOG.cosign(TEXT, 1)]).plus([LOG.cosign(TEXT, 2)])
    assert [len(one.octets) for one in note.signatures] == [64, 72]
    assert cosigned_at_s(note.signatures[1]) == 2


@pytest.mark.parametrize(
    "whole",
    [
        "",
        "text\n",
        "text\n\n",
        "text\n\n— a\n",
        "text\n\n— a AAAA\n",
        "text\n\n- a AAAAAAAA\n",
        "text\n\n— a+b AAAAAAAA\n",
        "text\n\n— a b AAAAAAAA\n",
        "text\n\n— a AAAAAAA*\n",
        "text\n\n— a AAAAAAB=\n",
        "text\n\n— a AAAAAAAA",
        "te\rxt\n\n— a AAAAAAAA\n",
        "te\0xt\n\n— a AAAAAAAA\n",
        "text\n\n—  AAAAAAAA\n",
        "text\n\n— a AAAAAAAA\n\n",
    ],
)
def test_what_is_no_note_is_refused(whole: str) -> None:
    with pytest.raises(NoteError):
        Note.parse(whole)


def test_a_note_of_endless_signatures_is_refused() -> None:
    line = LOG.sign(TEXT).line()
    assert len(Note.parse(TEXT + "\n" + line * 16).signatures) == 16
    with pytest.raises(NoteError):
        Note.parse(TEXT + "\n" + line * 65)
    with pytest.raises(NoteError):
        Note.parse("x" * 70_000 + "\n\n" + line)


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "name",
        "name+00000000",
        "name+00000000+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "na me+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U",
        "example.com/foo+530d903a+AukyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530D903A+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
    ],
)
def test_what_is_no_verifier_key_is_refused(vkey: str) -> None:
    with pytest.raises(NoteError):
        Verifier.parse(vkey)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u3000b", "a\nb"])
def test_a_key_of_a_bad_name_signs_nothing(name: str) -> None:
    with pytest.raises(NoteError):
        Signer(name, LOG.key)


@given(st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), max_size=60), st.integers(0, 2**63 - 1))
def test_what_is_signed_is_read_back_and_verifies(line: str, at_s: int) -> None:
    text = f"{line}\n"
    note = signed(text, LOG).plus([LOG.cosign(text, at_s)])
    again = Note.parse(note.whole())
    keys = [LOG.verifier(), LOG.verifier(KeyKind.COSIGNATURE)]
    assert again == note
    assert list(again.signed_by(keys)) == keys


@given(st.text(max_size=200))
def test_any_text_is_a_note_or_refused(text: str) -> None:
    for parse in (Note.parse, Verifier.parse, parse_signature):
        try:
            parse(text)
        except NoteError:
            continue
