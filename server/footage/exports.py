"""Takes exports in parts, as gateways bring them, and puts them together: state_dir/exports/<id>.age.

A part is on disk before it is noted, and noted before it is acknowledged. A file gets its name when its SHA-256 is
what the gateway signed. Nobody here can open one.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import logging
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Final

from server.errors import ServerError
from server.store import export as store
from server.store.export import ExportRow, State
from server.store.pool import Pool
from wire.upload import Part

log = logging.getLogger(__name__)

FOLDER: Final = "exports"
SUFFIX: Final = ".age"
ARRIVING: Final = ".arriving"
FREE_OCTETS: Final = 1_000_000_000
"""No export takes these: the database and the logs may be on the same disk."""


class UploadConflictError(ServerError):
    """The export is whole already, or a newer try to bring it is under way."""


class UploadFailedError(ServerError):
    """The disk did not take the part. May be tried again."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an export has come.

    Attributes:
        export: id.
        state: as in the store.
        sha256: of the whole; b"" while it is expected.
        parts: of the whole; 0 while it is expected.
        have: runs of parts that are here, first and last.
    """

    export: str
    state: State
    sha256: bytes = b""
    parts: int = 0
    have: tuple[tuple[int, int], ...] = ()


class Uploads:
    """Takes parts. Several processes may do so over one folder and database.

    Attributes:
        now_ms: the wall clock.
    """

    def __init__(self, folder: Path, pool: Pool, *, now_ms: Callable[[], int]) -> None:
        self._folder, self._pool, self.now_ms = folder, pool, now_ms

    async def progress(self, row: ExportRow) -> Progress:
        """Return how far an export has come."""
        progress = Progress(row.expected.id, row.state, row.sha256 or b"", row.parts or 0)
        if row.state == "whole":
            return replace(progress, have=((0, progress.parts - 1),))
        async with self._pool.connection() as conn:
            have = await store.parts(conn, row.expected.id, progress.sha256)
        return replace(progress, have=runs(have))

    async def take(self, row: ExportRow, part: Part, *, sealed_at_ms: int) -> Progress:
        """Return how far the export is with a part that its gateway has signed; the same part again changes nothing.

        Args:
            row: of the export.
            part: of it.
            sealed_at_ms: when the gateway signed it: a try is newer than another if its first part was.

        Raises:
            UploadConflictError: of another whole than is here or under way.
            UploadFailedError: the disk is full or gone; nothing is noted.
        """
        if row.state == "whole" and (row.sha256, row.parts) == (part.sha256, part.parts):
            return await self.progress(row)
        if row.state != "arriving" or (row.sha256, row.parts) != (part.sha256, part.parts):
            await self._begin(row, part, sealed_at_ms)
        path = self._arriving(part)
        try:
            await asyncio.to_thread(_write, path, part)
        except OSError as error:
            log.warning("export.unwritten", extra={"error": type(error).__name__})
            raise UploadFailedError from error
        async with self._pool.connection() as conn:
            await store.add_part(conn, part.export, part.sha256, part.part)
            have = await store.parts(conn, part.export, part.sha256)
        if len(have) == part.parts:
            await self._finish(part, path)
        elif not have:  # it has ended meanwhile: what we wrote belongs to nothing
            await asyncio.to_thread(path.unlink, missing_ok=True)
        return await self._now(part)

    async def _begin(self, row: ExportRow, part: Part, sealed_at_ms: int) -> None:
        # Of a gateway whose clock ran ahead, no later try would be newer.
        begun_ms = min(sealed_at_ms, self.now_ms())
        async with self._pool.connection() as conn:
            if not await store.begin(conn, part.export, part.sha256, parts=part.parts, begun_ms=begun_ms):
                raise UploadConflictError
        log.info("export.begun", extra={"count": part.parts, "resumed": row.state != "expected"})
        for path in await asyncio.to_thread(list, self._folder.glob(f"{part.export}.*{ARRIVING}")):
            path.unlink(missing_ok=True)

    async def _finish(self, part: Part, path: Path) -> None:
        """Give the file its name if it is what the gateway signed; the export is refused if not."""
        size = await asyncio.to_thread(_named, path, self._folder / f"{part.export}{SUFFIX}", part.sha256)
        async with self._pool.connection() as conn:
            await store.settle(conn, part.export, part.sha256, size)
        if size is None:
            log.warning("export.refused", extra={"reason": "sha256"})
        else:
            log.info("export.whole", extra={"bytes": size})

    async def _now(self, part: Part) -> Progress:
        async with self._pool.connection() as conn:
            row = await store.find(conn, part.export)
        return await self.progress(row) if row else Progress(part.export, "expected")

    def _arriving(self, part: Part) -> Path:
        return self._folder / f"{part.export}.{part.sha256.hex()[:16]}{ARRIVING}"


def runs(numbers: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Return ascending numbers as runs, each by its first and its last."""
    if not numbers:
        return ()
    breaks = [(one, other) for one, other in pairwise(numbers) if other != one + 1]
    firsts, lasts = (numbers[0], *(other for _, other in breaks)), (*(one for one, _ in breaks), numbers[-1])
    return tuple(zip(firsts, lasts, strict=True))


def _write(path: Path, part: Part) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if shutil.disk_usage(path.parent).free < FREE_OCTETS:
        raise OSError(errno.ENOSPC, "the rest is for the database and the logs")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        view, at = memoryview(part.data), part.offset
        while view:
            written = os.pwrite(descriptor, view, at)
            view, at = view[written:], at + written
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    _sync(path.parent)


def _named(path: Path, target: Path, sha256: bytes) -> int | None:
    """Return the size of a file whose SHA-256 is right and that now has its name; None where it is not, and is gone.

    Where the whole has its name already, another request for the last part was quicker, or we were killed just then.
    """
    size = _size_if(path, sha256)
    if size is not None:
        with contextlib.suppress(FileNotFoundError):
            path.replace(target)
        _sync(target.parent)
        return size
    path.unlink(missing_ok=True)
    return _size_if(target, sha256)


def _size_if(path: Path, sha256: bytes) -> int | None:
    """Return the size of a file if that is its SHA-256."""
    try:
        with path.open("rb") as file:
            is_right = hashlib.file_digest(file, "sha256").digest() == sha256
            return os.fstat(file.fileno()).st_size if is_right else None
    except FileNotFoundError:
        return None


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
