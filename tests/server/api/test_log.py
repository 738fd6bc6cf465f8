import asyncio
import contextlib
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI

from privacy.transparency import tree
from privacy.transparency.checkpoint import issue
from privacy.transparency.edge import Edge
from privacy.transparency.note import Signer
from privacy.transparency.tiles import ENTRIES, Tile, bundle
from privacy.transparency.verify import Trust, verify
from server.config import ServerConfig
from server.publiclog.folder import Folder
from server.publiclog.site import Site

pytestmark = pytest.mark.db
SIGNER = Signer("mimamori/mimamori", Ed25519PrivateKey.generate())


@pytest.fixture(autouse=True)
def folder(town: ServerConfig) -> Folder:
    """A published log of 300 entries."""
    made, edge, entries = Folder(town.log_dir), Edge(), [b'{"n":%d}' % number for number in range(300)]
    for entry in entries:
        made.write_tiles(edge.grow(tree.leaf_hash(entry)))
    made.write_tiles(edge.partial())
    made.write_tiles([(Tile(ENTRIES, 0), bundle(entries[:256])), (Tile(ENTRIES, 1, 44), bundle(entries[256:]))])
    made.write("checkpoint", issue(SIGNER, edge.head()).whole().encode())
    made.add_day("2026-11-26", issue(SIGNER, edge.head()).whole())
    return made


async def _get(app: FastAPI, path: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=app.state.url) as client:
        return await client.get(path)


async def test_anybody_reads_the_log_without_signing_in(app: FastAPI, folder: Folder) -> None:
    for path, kind in (
        ("/log/checkpoint", "text/plain; charset=utf-8"),
        ("/log/daily/2026-11-26", "text/plain; charset=utf-8"),
        ("/log/tile/0/000", "application/octet-stream"),
        ("/log/tile/entries/001.p/44", "application/octet-stream"),
        ("/log/tile/1/000.p/1", "application/octet-stream"),
    ):
        answer = await _get(app, path)
        assert answer.status_code == 200, path
        assert answer.headers["content-type"] == kind
        assert answer.content == folder(path.removeprefix("/log/"))


async def test_the_log_verifies_over_http(app: FastAPI) -> None:
    with contextlib.closing(Site(f"{app.state.url}/log")) as site:
        report = await asyncio.to_thread(verify, site, Trust([SIGNER.verifier()]))
    assert report.is_whole
    assert (report.entries, report.heads) == (300, 1)


async def test_what_changes_is_fetched_anew_and_what_never_does_is_kept(app: FastAPI) -> None:
    assert "max-age=1" in (await _get(app, "/log/checkpoint")).headers["cache-control"].split(", ")
    assert "immutable" in (await _get(app, "/log/tile/0/000")).headers["cache-control"]


@pytest.mark.parametrize(
    "path",
    [
        "/log/witnessed",
        "/log/daily/2026-11-27",
        "/log/daily/..%2fcheckpoint",
        "/log/tile/0/002",
        "/log/tile/0/000.p/256",
        "/log/tile/0/..%2f..%2f..%2fkeys%2flog.pem",
        "/log/tile/entries/%2e%2e/checkpoint",
        "/log/keys/log.pem",
    ],
)
async def test_what_is_not_there_is_not_found_and_nothing_beside_the_log_is_served(app: FastAPI, path: str) -> None:
    answer: Any = await _get(app, path)
    assert answer.status_code == 404 or b"BEGIN" not in answer.content
    assert b"PRIVATE KEY" not in answer.content


def test_a_folder_of_nothing_gives_nothing(tmp_path: Path) -> None:
    assert Folder(tmp_path)("checkpoint") is None
    assert Folder(tmp_path).days() == []
