"""What the ledger makes of witnesses' answers: of a real witness, and of servers that only say they are one."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI, Response

from privacy.transparency import tree
from privacy.transparency.checkpoint import Opened, issue, opened
from privacy.transparency.note import KeyKind, Signer, Verifier
from privacy.transparency.policy import Policy
from privacy.transparency.tree import Frontier
from server.ledger.panel import Answer, Panel, Said, contradicting
from server.witness import setup
from server.witness.memory import Memory
from server.witness.service import create_app

LOG = Signer("city.example/log", Ed25519PrivateKey.generate())


class _Log:
    def __init__(self, size: int, *, changed: int = -1) -> None:
        frontier = Frontier()
        self.nodes: dict[tuple[int, int], bytes] = {}
        self.heads = [frontier.head()]
        for number in range(size):
            leaf = tree.leaf_hash(b"changed" if number == changed else b"%d" % number)
            self.nodes.update({(level, index): node for level, index, node in frontier.append(leaf)})
            self.heads.append(frontier.head())

    def at(self, size: int) -> Opened:
        return opened(issue(LOG, self.heads[size]).whole(), [LOG.verifier()])

    def read(self, level: int, index: int) -> bytes:
        return self.nodes[level, index]


LONG, FORKED = _Log(40), _Log(40, changed=3)


def _panel(app: FastAPI, key: Verifier) -> Panel:
    policy = Policy.parse(f"witness W {key.vkey} http://witness\nquorum W\n")
    return Panel(policy, httpx.AsyncClient(transport=httpx.ASGITransport(app)))


@pytest.fixture
async def panel(tmp_path: Path) -> AsyncIterator[Panel]:
    """A panel of one real witness."""
    key = setup.create(tmp_path / "w", "w.example", [LOG.verifier().vkey])
    memory = Memory.open(tmp_path / "w" / setup.MEMORY)
    made = _panel(create_app(tmp_path / "w", memory), key)
    yield made
    await made.client.aclose()
    memory.close()


async def _ask(panel: Panel, log: _Log, size: int) -> Answer:
    (answer,) = await panel.ask(log.at(size), log.read)
    return answer


async def test_a_witness_cosigns_what_continues_and_its_signature_is_verified(panel: Panel) -> None:
    for size in (0, 10, 10, 40):
        answer = await _ask(panel, LONG, size)
        assert answer.said is Said.COSIGNED
        assert answer.signature is not None
        assert answer.witness.key.verifies(answer.signature, LONG.at(size).note.text)


async def test_a_ledger_that_forgot_what_was_cosigned_learns_it_from_the_witness(panel: Panel) -> None:
    await _ask(panel, LONG, 10)
    fresh = Panel(panel.policy, panel.client)
    assert (await _ask(fresh, LONG, 40)).said is Said.COSIGNED


async def test_a_witness_that_knows_a_longer_log_is_a_contradiction(panel: Panel) -> None:
    await _ask(panel, LONG, 40)
    answer = await _ask(Panel(panel.policy, panel.client), LONG, 10)
    assert (answer.said, answer.size) == (Said.KNOWS_LARGER, 40)
    assert contradicting([answer]) is answer


@pytest.mark.parametrize("size", [10, 40])
async def test_a_witness_that_knows_another_log_is_a_contradiction(panel: Panel, size: int) -> None:
    await _ask(panel, FORKED, 10)
    answer = await _ask(Panel(panel.policy, panel.client), LONG, size)
    assert answer.said is Said.KNOWS_OTHER
    assert contradicting([answer]) is answer


async def test_a_witness_that_does_not_know_the_log_refuses_and_contradicts_nothing(tmp_path: Path) -> None:
    other = Signer("other.example/log", LOG.key)
    key = setup.create(tmp_path / "w", "w.example", [other.verifier().vkey])
    memory = Memory.open(tmp_path / "w" / setup.MEMORY)
    panel = _panel(create_app(tmp_path / "w", memory), key)
    answer = await _ask(panel, LONG, 10)
    assert answer.said is Said.REFUSES
    assert contradicting([answer]) is None
    await panel.client.aclose()
    memory.close()


def _saying(status: int, body: str, kind: str = "text/plain") -> FastAPI:
    app = FastAPI()

    @app.post("/add-checkpoint")
    async def answer() -> Response:
        return Response(body, status, headers={"content-type": kind})

    return app


WITNESS = Signer("w.example", Ed25519PrivateKey.generate())
THIEF = Signer("w.example", Ed25519PrivateKey.generate())


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, "", Said.REFUSES),
        (200, "nonsense\n", Said.REFUSES),
        (200, THIEF.cosign(LONG.at(10).note.text, 1).line(), Said.REFUSES),
        (200, WITNESS.cosign("another text\n", 1).line(), Said.REFUSES),
        (200, WITNESS.sign(LONG.at(10).note.text).line(), Said.REFUSES),
        (500, "", Said.AWAY),
        (404, "", Said.REFUSES),
        (403, "", Said.REFUSES),
    ],
)
async def test_what_is_no_cosignature_is_none(status: int, body: str, said: Said) -> None:
    panel = _panel(_saying(status, body), WITNESS.verifier(KeyKind.COSIGNATURE))
    answer = await _ask(panel, LONG, 10)
    assert (answer.said, answer.signature) == (said, None)
    await panel.client.aclose()


async def test_a_cosignature_among_those_of_strangers_is_found() -> None:
    text = LONG.at(10).note.text
    body = THIEF.cosign(text, 1).line() + WITNESS.cosign(text, 2).line()
    panel = _panel(_saying(200, body), WITNESS.verifier(KeyKind.COSIGNATURE))
    assert (await _ask(panel, LONG, 10)).said is Said.COSIGNED
    await panel.client.aclose()


async def test_a_witness_that_gives_another_size_each_time_is_not_asked_for_ever() -> None:
    sizes, app = iter(range(1, 100)), FastAPI()

    @app.post("/add-checkpoint")
    async def answer() -> Response:
        return Response(f"{next(sizes)}\n", 409, headers={"content-type": "text/x.tlog.size"})

    panel = _panel(app, WITNESS.verifier(KeyKind.COSIGNATURE))
    assert (await _ask(panel, LONG, 40)).said is Said.REFUSES
    assert next(sizes) < 10
    await panel.client.aclose()


async def test_one_that_is_away_is_left_alone_for_a_while() -> None:
    now_s = [0.0]
    policy = Policy.parse(f"witness W {WITNESS.verifier(KeyKind.COSIGNATURE).vkey} http://127.0.0.1:9\nquorum W\n")
    async with httpx.AsyncClient() as client:
        panel = Panel(policy, client, lambda: now_s[0])
        assert (await _ask(panel, LONG, 10)).said is Said.AWAY
        assert not panel.is_anybody_up()
        assert await panel.ask(LONG.at(10), LONG.read) == []
        now_s[0] = 60.0
        assert panel.is_anybody_up()
