import dataclasses

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from privacy.terms import Role
from privacy.transparency import tree
from privacy.transparency.checkpoint import issue
from privacy.transparency.errors import ProofError, TransparencyError
from privacy.transparency.note import KeyKind, Signer
from privacy.transparency.policy import Policy
from privacy.transparency.proof import Proof, check
from privacy.transparency.record import Opening, Record, seal
from privacy.transparency.tree import Frontier

LOG = Signer("city.example/log", Ed25519PrivateKey.generate())
WITNESSES = [Signer(f"w{n}.example", Ed25519PrivateKey.generate()) for n in range(3)]
POLICY = Policy.parse(
    "".join(f"witness W{n} {one.verifier(KeyKind.COSIGNATURE).vkey}\n" for n, one in enumerate(WITNESSES))
    + "group panel 2 W0 W1 W2\nquorum panel\n"
)
RECORD = Record("place.viewed", 1_800_000_000_000, Role.OFFICER, {"case": "2026-0001"}, {"ward": "w-1", "officer": "o"})


def _proof(index: int = 3, size: int = 11, *, cosigned_by: int = 2) -> Proof:
    """A log of `size` entries, ours at `index`, and its proof with the opening of the ward alone."""
    ours = seal(RECORD)
    entries = [b'{"n":%d}' % number for number in range(size)]
    entries[index] = ours.body
    frontier, nodes = Frontier(), {}
    for entry in entries:
        nodes.update({(level, place): node for level, place, node in frontier.append(tree.leaf_hash(entry))})
    note = issue(LOG, frontier.head())
    note = note.plus([one.cosign(note.text, 1_800_000_000) for one in WITNESSES[:cosigned_by]])
    hashes = tree.inclusion_proof(lambda level, place: nodes[level, place], index, size)
    opening = tuple(one for one in ours.openings if one.name == "ward")
    return Proof(index, tuple(hashes), note.whole(), ours.body, opening)


@pytest.mark.parametrize(("index", "size"), [(0, 1), (0, 2), (3, 11), (10, 11), (299, 300)])
def test_a_proof_handed_over_says_what_was_logged_and_about_whom(index: int, size: int) -> None:
    checked = check(Proof.parse(_proof(index, size).text()), [LOG.verifier()], POLICY)
    assert checked.entry["kind"] == "place.viewed"
    assert checked.named == {"ward": "w-1"}
    assert checked.index == index
    assert checked.has_quorum is True


def test_a_proof_is_laid_out_as_the_specification_has_it() -> None:
    lines = _proof().text().split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    assert lines[1].startswith("extra ")
    assert lines[2] == "index 3"
    empty = lines.index("")
    assert empty == 3 + 4
    assert lines[empty + 1] == LOG.name


def test_one_witness_is_no_quorum_and_without_a_policy_nobody_asks() -> None:
    assert check(_proof(cosigned_by=1), [LOG.verifier()], POLICY).has_quorum is False
    assert check(_proof(cosigned_by=1), [LOG.verifier()]).has_quorum is None


def test_a_proof_changed_anywhere_is_refused() -> None:
    proof = _proof()
    wrong = [
        dataclasses.replace(proof, index=4),
        dataclasses.replace(proof, hashes=proof.hashes[:-1]),
        dataclasses.replace(proof, hashes=proof.hashes[::-1]),
        dataclasses.replace(proof, entry=proof.entry.replace(b"0001", b"0002")),
        dataclasses.replace(proof, entry=b""),
        dataclasses.replace(proof, openings=(dataclasses.replace(proof.openings[0], value="w-2"),)),
        dataclasses.replace(proof, openings=(dataclasses.replace(proof.openings[0], salt=bytes(16)),)),
        dataclasses.replace(proof, openings=(dataclasses.replace(proof.openings[0], name="officer"),)),
        dataclasses.replace(proof, openings=(*proof.openings, Opening("nobody", bytes(16), "x"))),
        dataclasses.replace(proof, openings=proof.openings * 2),
        dataclasses.replace(proof, checkpoint=_proof(3, 12).checkpoint),
        dataclasses.replace(proof, checkpoint=proof.checkpoint.replace("\n11\n", "\n12\n")),
    ]
    for one in wrong:
        with pytest.raises(TransparencyError):
            check(Proof.parse(one.text()), [LOG.verifier()])


def test_a_proof_of_another_log_is_refused() -> None:
    stranger = Signer(LOG.name, Ed25519PrivateKey.generate())
    with pytest.raises(TransparencyError):
        check(_proof(), [stranger.verifier()])


def test_an_erased_opening_leaves_a_proof_that_names_nobody() -> None:
    checked = check(dataclasses.replace(_proof(), openings=()), [LOG.verifier()])
    assert checked.named == {}
    assert "w-1" not in str(checked.entry)


def test_a_proof_whose_entry_is_known_otherwise_is_read() -> None:
    bare = dataclasses.replace(_proof(), entry=b"", openings=())
    assert "extra" not in bare.text()
    assert Proof.parse(bare.text()) == bare


@pytest.mark.parametrize(
    "above",
    [
        "",
        "c2sp.org/tlog-proof@v2\nindex 0",
        "c2sp.org/tlog-proof@v1",
        "c2sp.org/tlog-proof@v1\nindex 00",
        "c2sp.org/tlog-proof@v1\nindex -1",
        "c2sp.org/tlog-proof@v1\nindex 0\nAAAA",
        "c2sp.org/tlog-proof@v1\nextra AAAA\nindex 0",
        "c2sp.org/tlog-proof@v1\nextra ****\nindex 0",
        "c2sp.org/tlog-proof@v1\nindex 0\n" + "\n".join(["A" * 43 + "="] * 64),
    ],
)
def test_what_is_no_proof_is_refused(above: str) -> None:
    with pytest.raises(ProofError):
        Proof.parse(f"{above}\n\n{_proof().checkpoint}")


@given(st.text(max_size=200))
def test_any_text_is_a_proof_or_refused(text: str) -> None:
    for whole in (text, f"c2sp.org/tlog-proof@v1\n{text}"):
        try:
            Proof.parse(whole)
        except ProofError:
            continue
