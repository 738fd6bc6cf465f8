"""Gives released footage to its officer: decided, written into the log and committed, and only then read from disk."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Literal

from privacy.policy.question import Moment
from privacy.terms import Action
from server.cases.errors import CopyMissingError, UnknownCaseError
from server.cases.office import Office, logged
from server.footage.exports import SUFFIX
from server.permit.ask import Asker, RefusedError, ask_entry
from server.store import case as cases
from server.store import case_record
from server.store.case_record import Opening
from server.store.pool import Pool

CHUNK_OCTETS: Final = 256 * 1024
_ACTION: Final = {"view": Action.VIEW_FOOTAGE, "download": Action.DOWNLOAD_FOOTAGE}
_KIND: Final = {"view": "footage.viewed", "download": "footage.downloaded"}


@dataclass(frozen=True, slots=True)
class Sealed:
    """An export that may be given out: sealed to the officer's key, the city cannot open it.

    Attributes:
        name: of the file.
        size_bytes: of it.
        sha256: hex.
        path: where it lies.
    """

    name: str
    size_bytes: int
    sha256: str
    path: Path


@dataclass(frozen=True, slots=True)
class Request:
    """Which export is wanted, and for what."""

    case: str
    export: str
    mode: Literal["view", "download"]


async def open_export(office: Office, pool: Pool, folder: Path, asker: Asker, request: Request) -> Sealed:
    """Return an export once the log says that it is opened.

    Args:
        office: of the city.
        pool: of the role warden.
        folder: where the sealed files lie.
        asker: who opens it.
        request: what.

    Raises:
        UnknownCaseError: there is no such case or export, or it is not the asker's to see.
        RefusedError: a rule speaks against it; the refusal is in the log.
        CopyMissingError: the city's copy was destroyed, or is not what came.
    """
    async with pool.connection() as conn:
        now_ms = office.now_ms()
        refused: RefusedError | None = None
        async with conn.transaction():
            row = await cases.find(conn, request.case, is_locked=True)
            if row is None:
                raise UnknownCaseError
            whole = await office.whole(conn, row, now_ms)
            context = {"now": Moment(now_ms)}
            is_seen = office.decide(asker, whole, Action.VIEW_CASE, context).allowed
            export = next((one for one in whole.exports if one.id == request.export), None)
            if export is None:
                raise UnknownCaseError
            if is_seen and export.destroyed_ms is not None:
                raise CopyMissingError
            question = office.question(asker, whole, _ACTION[request.mode], context)
            more = {"export": export.id, "mode": request.mode}
            said = logged(whole, _KIND[request.mode], now_ms, more=more)
            decision, entry = await ask_entry(conn, office.engine, asker, question, said)
            if decision.allowed:
                opening = Opening(export.id, now_ms, request.mode)
                await case_record.open_(conn, row.id, opening, account=asker.account, entry=entry)
            elif is_seen:
                refused = RefusedError(decision.reasons)
    if refused is not None:
        raise refused
    if not decision.allowed:
        raise UnknownCaseError
    if export.sha256 is None or export.size_bytes is None:
        raise CopyMissingError
    path = folder / f"{export.id}{SUFFIX}"
    if not await asyncio.to_thread(is_whole, path, export.sha256):
        raise CopyMissingError
    return Sealed(f"{row.number}-{export.id}{SUFFIX}", export.size_bytes, export.sha256.hex(), path)


def is_whole(path: Path, sha256: bytes) -> bool:
    """Return whether a file is there and has this hash: what the gateway signed is what the officer gets."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest() == sha256
    except OSError:
        return False


async def stream(path: Path) -> AsyncIterator[bytes]:
    """Yield a file in pieces."""
    file: IO[bytes] = await asyncio.to_thread(path.open, "rb")
    try:
        while piece := await asyncio.to_thread(file.read, CHUNK_OCTETS):
            yield piece
    finally:
        await asyncio.to_thread(file.close)
