import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from edge.camera import timestamp
from edge.camera.timestamp import Authority
from edge.errors import CameraError
from tests import stamps
from tests.stamps import Stamps

MANIFEST = b'{"manifest":1}'


@pytest.fixture
def tsa(tmp_path: Path) -> Iterator[Stamps]:
    with stamps.serving(tmp_path / "tsa") as serving:
        yield serving


def ask(tsa: Stamps, root: Path | None = None, message: bytes = MANIFEST) -> timestamp.Stamp:
    with httpx.Client(timeout=5) as client:
        return timestamp.ask(Authority.load(tsa.url, root or tsa.root), message, client, sleep=lambda _: None)


def test_an_authority_stamps_the_hash_and_its_answer_verifies_with_openssl(tsa: Stamps) -> None:
    stamp = ask(tsa)
    assert not stamp.absent
    (tsa.folder / "manifest").write_bytes(MANIFEST)
    (tsa.folder / "stamp").write_bytes(stamp.answer)
    tsa.run("ts", "-verify", "-data", "manifest", "-in", "stamp", "-CAfile", "root.pem")
    assert len(tsa.asked) == 1
    assert hashlib.sha256(MANIFEST).digest() in tsa.asked[0]
    assert MANIFEST not in tsa.asked[0]


def test_every_query_has_a_nonce_of_its_own(tsa: Stamps) -> None:
    ask(tsa)
    ask(tsa)
    assert len(set(tsa.asked)) == 2


def _flipped(answer: bytes) -> bytes:
    return answer[:-20] + bytes((answer[-20] ^ 1,)) + answer[-19:]


@pytest.mark.parametrize(
    ("spoil", "status", "reason"),
    [
        (_flipped, 200, "not a stamp"),
        (lambda _: b"no DER", 200, "not a stamp"),
        (lambda _: b"", 200, "not a stamp"),
        (lambda _: bytes(200_000), 200, "more than a stamp"),
        (bytes, 503, "503"),
    ],
)
def test_three_tries_are_made_then_it_says_why_there_is_no_stamp(
    tsa: Stamps, spoil: Callable[[bytes], bytes], status: int, reason: str
) -> None:
    tsa.spoil, tsa.status = spoil, status
    stamp = ask(tsa)
    assert stamp.answer == b""
    assert reason in stamp.absent
    assert len(tsa.asked) == 3


def test_an_answer_to_an_earlier_query_is_not_taken(tsa: Stamps) -> None:
    earlier = ask(tsa).answer
    tsa.spoil = lambda _: earlier
    assert "not a stamp" in ask(tsa).absent


def test_an_authority_that_nobody_trusts_is_not_believed(tsa: Stamps, tmp_path: Path) -> None:
    with stamps.serving(tmp_path / "other") as other:
        assert "not a stamp" in ask(tsa, other.root).absent


def test_an_authority_that_is_away_is_told() -> None:
    away = Authority("http://127.0.0.1:9/", ())
    waits: list[float] = []
    with httpx.Client(timeout=1) as client:
        stamp = timestamp.ask(away, MANIFEST, client, sleep=waits.append)
    assert stamp.absent == "the authority does not answer: ConnectError"
    assert waits == [1, 2]


def test_no_authority_is_no_stamp() -> None:
    with httpx.Client() as client:
        assert timestamp.ask(None, MANIFEST, client).absent == "no authority is configured"


def test_a_root_file_without_a_certificate_is_refused(tmp_path: Path) -> None:
    (tmp_path / "root.pem").write_text("none")
    for name in ("root.pem", "missing.pem"):
        with pytest.raises(CameraError, match=name):
            Authority.load("http://tsa", tmp_path / name)
