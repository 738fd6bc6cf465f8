import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from privacy.transparency.checkpoint import Checkpoint, cosigners_of, issue, opened
from privacy.transparency.errors import CheckpointError, NoteError, TransparencyError
from privacy.transparency.note import KeyKind, Note, Signer, signed
from privacy.transparency.tree import Head

LOG = Signer("city.example/log", Ed25519PrivateKey.from_private_bytes(b"\1" * 32))
WITNESSES = [Signer(f"w{n}.example", Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32)) for n in (2, 3, 4)]
KEYS = [witness.verifier(KeyKind.COSIGNATURE) for witness in WITNESSES]
HEAD = Head(20_852_163, bytes(range(32)))
# The text of the example in C2SP tlog-checkpoint.
PUBLISHED = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"


def test_the_published_checkpoint_is_read_and_written_back() -> None:
    checkpoint = Checkpoint.parse(PUBLISHED)
    assert (checkpoint.origin, checkpoint.head.size) == ("example.com/behind-the-sofa", 20_852_163)
    assert checkpoint.text() == PUBLISHED


def test_lines_behind_the_root_are_kept() -> None:
    text = PUBLISHED + "more\n"
    assert Checkpoint.parse(text).more == ("more",)
    assert Checkpoint.parse(text).text() == text


def test_an_issued_checkpoint_opens_with_the_logs_key_and_tells_who_cosigned_when() -> None:
    note = issue(LOG, HEAD)
    note = note.plus([WITNESSES[0].cosign(note.text, 11), WITNESSES[2].cosign(note.text, 33)])
    found = opened(note.whole(), [LOG.verifier()], KEYS)
    assert found.head == HEAD
    assert found.witnesses == (KEYS[0], KEYS[2])
    assert found.cosigned_at_s == (11, 33)


def test_a_checkpoint_that_only_witnesses_signed_is_refused() -> None:
    text = issue(LOG, HEAD).text
    with pytest.raises(NoteError):
        opened(Note(text, (WITNESSES[0].cosign(text, 1),)).whole(), [LOG.verifier()], KEYS)


def test_a_checkpoint_of_another_log_is_refused_though_its_key_is_trusted() -> None:
    note = signed(Checkpoint("other.example/log", HEAD).text(), LOG)
    with pytest.raises(CheckpointError, match="another log"):
        opened(note.whole(), [LOG.verifier()])


def test_a_forged_cosignature_is_refused() -> None:
    note = issue(LOG, HEAD)
    forged = note.plus([WITNESSES[0].cosign("another\n", 1)])
    with pytest.raises(NoteError, match="wrong"):
        cosigners_of(forged, KEYS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a\n1\n",
        "a\n\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "a\n01\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "a\n-1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "a\n１\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n",
        "a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxqw==\n",
        "a\n1\nnot base64\n",
        "a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=",
        "a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\nmore\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(CheckpointError):
        Checkpoint.parse(text)


@given(st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_any_head_comes_back(size: int, root: bytes) -> None:
    assert opened(issue(LOG, Head(size, root)).whole(), [LOG.verifier()]).head == Head(size, root)


@given(st.text(max_size=200))
def test_any_text_is_a_checkpoint_or_refused(text: str) -> None:
    try:
        opened(text, [LOG.verifier()])
    except TransparencyError:
        return
    pytest.fail("nobody signed this")
