"""The published audit log, for everybody: files as the ledger wrote them, under the paths of C2SP tlog-tiles.

Nothing in it names a person, see privacy/transparency/record.py; what does lies apart and is not served here.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

from fastapi import APIRouter, Response

from privacy.transparency.errors import TileError
from privacy.transparency.tiles import Tile
from server.api import problems
from server.api.access import PartsNow
from server.publiclog.folder import CHECKPOINT, DAILY, DAYS, POLICY, VKEY, WITNESSED, Folder

router = APIRouter(prefix="/log", tags=["log"])
_TEXT: Final = "text/plain; charset=utf-8"
_OCTETS: Final = "application/octet-stream"
_FRESH: Final = "public, max-age=1"
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_NOT_THERE: Final = problems.documented(problems.NOT_FOUND, problems.INTERNAL)


def _answers(kind: str, description: str) -> dict[int | str, dict[str, Any]]:
    schema = {"type": "string"} if kind == "text/plain" else {"type": "string", "format": "binary"}
    return {200: {"description": description, "content": {kind: {"schema": schema}}}, **_NOT_THERE}


@router.get(
    "/checkpoint",
    summary="最新のチェックポイント / The newest checkpoint",
    response_class=Response,
    responses=_answers("text/plain", "signed note (C2SP tlog-checkpoint), with the witnesses' cosignatures"),
)
async def get_checkpoint(parts: PartsNow) -> Response:
    """The head of the log."""
    return await _file(parts.log, CHECKPOINT, _TEXT, _FRESH)


@router.get(
    "/witnessed",
    summary="証人が確認したチェックポイント / The newest checkpoint of a quorum",
    response_class=Response,
    responses=_answers("text/plain", "signed note that a quorum of witnesses cosigned"),
)
async def get_witnessed(parts: PartsNow) -> Response:
    """The newest head that enough witnesses cosigned."""
    return await _file(parts.log, WITNESSED, _TEXT, _FRESH)


@router.get(
    "/log.vkey",
    summary="公開鍵 / The log's public key",
    response_class=Response,
    responses=_answers("text/plain", "verifier key (C2SP signed-note); compare it with one that came another way"),
)
async def get_vkey(parts: PartsNow) -> Response:
    """The key by which checkpoints are verified."""
    return await _file(parts.log, VKEY, _TEXT, _FRESH)


@router.get(
    "/policy",
    summary="証人の一覧 / The witnesses",
    response_class=Response,
    responses=_answers("text/plain", "witnesses and their quorum (C2SP tlog-policy)"),
)
async def get_policy(parts: PartsNow) -> Response:
    """Who watches over the log."""
    return await _file(parts.log, POLICY, _TEXT, _FRESH)


@router.get(
    "/daily/{day}",
    summary="日ごとのチェックポイント / The checkpoint of a day",
    response_class=Response,
    responses=_answers("text/plain", "signed note of a day such as 2026-11-26; of `list`: the days, a line each"),
)
async def get_daily(parts: PartsNow, day: str) -> Response:
    """The first head of a day that a quorum cosigned, or the list of days."""
    if day == "list":
        return await _file(parts.log, DAYS, _TEXT, _FRESH)
    if not _DAY.fullmatch(day):
        raise problems.ProblemError(problems.NOT_FOUND)
    return await _file(parts.log, f"{DAILY}/{day}", _TEXT, _FOR_EVER)


@router.get(
    "/tile/{level}/{index:path}",
    summary="ハッシュと記録 / Tiles and entries",
    response_class=Response,
    responses=_answers(_OCTETS, "256 hashes, or as many entries, or a part of them (C2SP tlog-tiles)"),
)
async def get_tile(parts: PartsNow, level: str, index: str) -> Response:
    """One tile of the tree, or one bundle of entries."""
    try:
        tile = Tile.parse(f"tile/{level}/{index}")
    except TileError as error:
        raise problems.ProblemError(problems.NOT_FOUND) from error
    return await _file(parts.log, tile.path, _OCTETS, _FOR_EVER)


async def _file(folder: Folder, name: str, kind: str, caching: str) -> Response:
    octets = await asyncio.to_thread(folder, name)
    if octets is None:
        raise problems.ProblemError(problems.NOT_FOUND)
    return Response(octets, headers={"content-type": kind, "cache-control": caching})
