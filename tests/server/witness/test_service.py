from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from privacy.transparency.checkpoint import issue
from privacy.transparency.errors import NoteError
from privacy.transparency.note import Signer, Verifier
from privacy.transparency.tree import Head
from privacy.transparency.witnessing import Submission
from server.errors import KeysError
from server.witness import setup
from server.witness.errors import WitnessError
from server.witness.memory import Memory
from server.witness.service import create_app

LOG = Signer("city.example/log", Ed25519PrivateKey.generate())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    setup.create(tmp_path / "w", "bar.example/witness", [LOG.verifier().vkey])
    return tmp_path / "w"


@pytest.fixture
def client(folder: Path) -> Iterator[httpx.AsyncClient]:
    memory = Memory.open(folder / setup.MEMORY)
    transport = httpx.ASGITransport(create_app(folder, memory, lambda: 1_800_000_000.0))
    yield httpx.AsyncClient(transport=transport, base_url="http://witness")
    memory.close()


async def test_a_checkpoint_is_cosigned_and_can_be_read_afterwards(client: httpx.AsyncClient, folder: Path) -> None:
    body = Submission(0, (), issue(LOG, Head(10, bytes(32))).whole()).text()
    answer = await client.post("/add-checkpoint", content=body)
    assert (answer.status_code, answer.text[:2]) == (200, "— ")
    kept = await client.get(f"/checkpoint/{LOG.name}")
    assert answer.text in kept.text
    assert (await client.get("/vkey")).text == (folder / setup.VKEY).read_text()


async def test_the_size_comes_with_its_media_type(client: httpx.AsyncClient) -> None:
    body = Submission(7, (), issue(LOG, Head(10, bytes(32))).whole()).text()
    answer = await client.post("/add-checkpoint", content=body)
    assert (answer.status_code, answer.text, answer.headers["content-type"]) == (409, "0\n", "text/x.tlog.size")


async def test_a_body_larger_than_any_honest_one_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.post("/add-checkpoint", content=b"x" * 200_000)).status_code == 413
    assert (await client.get("/checkpoint/nobody")).status_code == 404


def test_the_key_is_for_its_owner_alone_and_the_folder_is_not_made_twice(folder: Path) -> None:
    assert (folder / setup.KEY).stat().st_mode & 0o777 == 0o600
    assert Verifier.parse((folder / setup.VKEY).read_text().strip()).kind == 4
    with pytest.raises(WitnessError):
        setup.create(folder, "bar.example/witness", [LOG.verifier().vkey])


def test_a_witness_of_nonsense_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(NoteError):
        setup.create(tmp_path / "w", "bar.example/witness", ["nonsense"])
    with pytest.raises(NoteError):
        setup.create(tmp_path / "v", "bar example", [LOG.verifier().vkey])


@pytest.mark.parametrize("name", [setup.KEY, setup.NAME, setup.LOGS])
def test_a_folder_that_lacks_a_part_is_refused(folder: Path, name: str) -> None:
    memory = Memory.open(folder / setup.MEMORY)
    (folder / name).unlink()
    with pytest.raises((WitnessError, KeysError)):
        create_app(folder, memory)
    memory.close()
