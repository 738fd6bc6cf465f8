import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from privacy.transparency import tree
from privacy.transparency.checkpoint import Checkpoint, issue, opened
from privacy.transparency.note import KeyKind, Note, Signer, parse_signature, signed
from privacy.transparency.tree import Frontier, Head
from privacy.transparency.witnessing import Submission
from server.witness.errors import WitnessError
from server.witness.judge import Judge, Verdict
from server.witness.memory import Memory

LOG = Signer("city.example/log", Ed25519PrivateKey.generate())
WITNESS = Signer("bar.example/witness", Ed25519PrivateKey.generate())
NOW_S = 1_800_000_000


class _Log:
    """A log of some entries: its nodes, and its head at every size."""

    def __init__(self, size: int, *, changed: int = -1) -> None:
        frontier = Frontier()
        self.nodes: dict[tuple[int, int], bytes] = {}
        self.heads = [frontier.head()]
        for number in range(size):
            leaf = tree.leaf_hash(b"changed" if number == changed else b"%d" % number)
            self.nodes.update({(level, index): node for level, index, node in frontier.append(leaf)})
            self.heads.append(frontier.head())

    def submit(self, old: int, new: int, signer: Signer = LOG) -> bytes:
        proof = tree.consistency_proof(lambda level, index: self.nodes[level, index], old, new)
        return Submission(old, tuple(proof), issue(signer, self.heads[new]).whole()).text().encode()


LONG = _Log(40)
FORKED = _Log(40, changed=3)


@pytest.fixture
def judge(tmp_path: Path) -> Iterator[Judge]:
    Memory.create(tmp_path / "memory.sqlite")
    with contextlib.closing(Memory.open(tmp_path / "memory.sqlite")) as memory:
        yield Judge(WITNESS, {LOG.name: [LOG.verifier()]}, memory, lambda: NOW_S)


def _size(verdict: Verdict) -> tuple[int, str, str]:
    return verdict.status, verdict.kind, verdict.body


def test_a_first_checkpoint_and_one_that_continues_it_are_cosigned(judge: Judge) -> None:
    for old, new in ((0, 10), (10, 11), (11, 40)):
        verdict = judge.judge(LONG.submit(old, new))
        assert verdict.status == 200
        signature = parse_signature(verdict.body.rstrip("\n"))
        text = Checkpoint(LOG.name, LONG.heads[new]).text()
        assert WITNESS.verifier(KeyKind.COSIGNATURE).verifies(signature, text)
    seen = judge.memory.seen(LOG.name)
    assert seen is not None
    assert seen.head == LONG.heads[40]
    assert opened(seen.note, [LOG.verifier()], [WITNESS.verifier(KeyKind.COSIGNATURE)]).cosigned_at_s == (NOW_S,)


def test_the_same_head_is_cosigned_again(judge: Judge) -> None:
    judge.judge(LONG.submit(0, 10))
    assert judge.judge(LONG.submit(10, 10)).status == 200


def test_an_empty_log_is_cosigned_and_then_the_log_that_grows_from_it(judge: Judge) -> None:
    assert judge.judge(LONG.submit(0, 0)).status == 200
    assert judge.judge(LONG.submit(0, 10)).status == 200


def test_whoever_does_not_know_what_was_cosigned_is_told_its_size(judge: Judge) -> None:
    judge.judge(LONG.submit(0, 10))
    for old, new in ((0, 40), (5, 40), (11, 40), (0, 5)):
        assert _size(judge.judge(LONG.submit(old, new))) == (409, "text/x.tlog.size", "10\n")


def test_a_shorter_log_is_not_cosigned(judge: Judge) -> None:
    judge.judge(LONG.submit(0, 20))
    assert judge.judge(LONG.submit(0, 10)).status == 409
    body = Submission(20, (), issue(LOG, LONG.heads[10]).whole()).text().encode()
    assert judge.judge(body).status == 400


def test_another_log_of_the_same_size_is_not_cosigned(judge: Judge) -> None:
    judge.judge(LONG.submit(0, 20))
    assert judge.judge(FORKED.submit(20, 20)).status == 409
    seen = judge.memory.seen(LOG.name)
    assert seen is not None
    assert seen.head == LONG.heads[20]


def test_another_history_is_not_cosigned_whatever_its_proof(judge: Judge) -> None:
    judge.judge(LONG.submit(0, 20))
    assert judge.judge(FORKED.submit(20, 40)).status == 422
    honest = Submission.parse(LONG.submit(20, 40).decode())
    for proof in ((), honest.proof[:-1], honest.proof[::-1], (*honest.proof, bytes(32))):
        body = Submission(20, proof, honest.checkpoint).text().encode()
        assert judge.judge(body).status == 422
    seen = judge.memory.seen(LOG.name)
    assert seen is not None
    assert seen.head == LONG.heads[20]


def test_a_proof_where_nothing_is_to_be_proved_is_refused(judge: Judge) -> None:
    note = issue(LOG, LONG.heads[10]).whole()
    assert judge.judge(Submission(0, (bytes(32),), note).text().encode()).status == 422
    judge.judge(LONG.submit(0, 10))
    assert judge.judge(Submission(10, (bytes(32),), note).text().encode()).status == 422


def test_an_unknown_log_is_not_found(judge: Judge) -> None:
    stranger = Signer("other.example/log", Ed25519PrivateKey.generate())
    assert judge.judge(LONG.submit(0, 10, stranger)).status == 404


def test_a_checkpoint_that_the_log_did_not_sign_is_forbidden(judge: Judge) -> None:
    thief = Signer(LOG.name, Ed25519PrivateKey.generate())
    assert judge.judge(LONG.submit(0, 10, thief)).status == 403
    text = Checkpoint(LOG.name, LONG.heads[10]).text()
    broken = Note(text, (LOG.sign("another\n"),)).whole()
    assert judge.judge(Submission(0, (), broken).text().encode()).status == 403


def test_signatures_of_strangers_do_not_matter(judge: Judge) -> None:
    stranger = Signer("other.example", Ed25519PrivateKey.generate())
    note = issue(LOG, LONG.heads[10])
    note = note.plus([stranger.sign(note.text)])
    assert judge.judge(Submission(0, (), note.whole()).text().encode()).status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"old 0\n",
        b"old 00\n\nx\n",
        b"old -1\n\nx\n",
        b"old 0\nnonsense\n\nx\n",
        b"old 0\n\nnot a note\n",
        ("old 0\n\n" + signed("not a checkpoint\n", LOG).whole()).encode(),
        b"old 0\n" + b"A" * 43 + b"=\n" * 64 + b"\nx\n",
    ],
)
def test_what_is_no_submission_is_a_bad_request(judge: Judge, body: bytes) -> None:
    assert judge.judge(body).status == 400


def test_what_was_cosigned_is_remembered_by_the_next_process(judge: Judge, tmp_path: Path) -> None:
    judge.judge(LONG.submit(0, 20))
    judge.memory.close()
    with contextlib.closing(Memory.open(tmp_path / "memory.sqlite")) as memory:
        again = Judge(WITNESS, judge.logs, memory, lambda: NOW_S)
        assert again.judge(FORKED.submit(0, 30)).status == 409
        assert again.judge(LONG.submit(20, 30)).status == 200


def test_of_two_that_come_at_once_none_rolls_back_the_other(judge: Judge) -> None:
    answers: list[int] = []
    bodies = [LONG.submit(0, size) for size in range(1, 41)]

    def submit(body: bytes) -> None:
        answers.append(judge.judge(body).status)

    threads = [threading.Thread(target=submit, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200] + [409] * 39


def test_what_cannot_be_written_down_is_not_cosigned(judge: Judge) -> None:
    judge.memory.close()
    with pytest.raises(WitnessError):
        judge.judge(LONG.submit(0, 10))


def test_a_memory_that_is_lost_is_not_made_up_for(tmp_path: Path) -> None:
    with pytest.raises(WitnessError):
        Memory.open(tmp_path / "memory.sqlite")
    Memory.create(tmp_path / "memory.sqlite")
    with pytest.raises(WitnessError):
        Memory.create(tmp_path / "memory.sqlite")


def test_heads_of_different_logs_are_apart(tmp_path: Path) -> None:
    other = Signer("other.example/log", Ed25519PrivateKey.generate())
    Memory.create(tmp_path / "m.sqlite")
    with contextlib.closing(Memory.open(tmp_path / "m.sqlite")) as memory:
        known = {one.name: [one.verifier()] for one in (LOG, other)}
        judge = Judge(WITNESS, known, memory, lambda: NOW_S)
        assert judge.judge(LONG.submit(0, 10)).status == 200
        assert judge.judge(FORKED.submit(0, 30, other)).status == 200
        seen = memory.seen(LOG.name)
        assert seen is not None
        assert isinstance(seen.head, Head)
        assert seen.head.size == 10
