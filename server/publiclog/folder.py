"""The published log as files: each written whole and on the disk before it has its name; full tiles never change."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from privacy.transparency.tiles import Tile
from server.publiclog.errors import BentLogError

CHECKPOINT: Final = "checkpoint"
"""The newest head, with the cosignatures that came."""
WITNESSED: Final = "witnessed"
"""The newest head that a quorum of witnesses cosigned."""
VKEY: Final = "log.vkey"
POLICY: Final = "policy"
DAILY: Final = "daily"
DAYS: Final = "daily/list"
"""The days of which there is a head, a line each."""
_MODE: Final = 0o644


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that anyone may copy. Calling it gives the octets of one file of it, None where there is none."""

    path: Path

    def __call__(self, name: str) -> bytes | None:
        """Return the octets of a file."""
        try:
            return (self.path / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def tile(self, tile: Tile) -> bytes:
        """Return the octets of a tile, which must be there.

        Raises:
            BentLogError: it is not.
        """
        octets = self(tile.path)
        if octets is None:
            raise BentLogError(f"{tile.path} is missing in the published log")
        return octets

    def text(self, name: str) -> str:
        """Return a text of ours, "" where there is none."""
        return (self(name) or b"").decode("utf-8", "replace")

    def write(self, name: str, octets: bytes) -> None:
        """Put a file in the place of the one that has its name."""
        self._write([(name, octets)])

    def write_tiles(self, tiles: Iterable[tuple[Tile, bytes]]) -> None:
        """Write tiles that are not there yet; a full one takes the place of its parts.

        Raises:
            BentLogError: one is there and is another.
        """
        self._write(self._new(tiles))

    def days(self) -> list[str]:
        """Return the days of which there is a head."""
        return self.text(DAYS).split()

    def add_day(self, day: str, note: str) -> None:
        """Publish the head of a day, once."""
        if day not in self.days():
            self.write(f"{DAILY}/{day}", note.encode())
            self.write(DAYS, "".join(f"{one}\n" for one in sorted({*self.days(), day})).encode())

    def _new(self, tiles: Iterable[tuple[Tile, bytes]]) -> Iterator[tuple[str, bytes]]:
        for tile, octets in tiles:
            there = self(tile.path)
            if there is None:
                yield tile.path, octets
            elif there != octets:
                raise BentLogError(f"{tile.path} has been published otherwise")
            if tile.is_full:
                shutil.rmtree(self.path / f"{tile.path}.p", ignore_errors=True)

    def _write(self, files: Iterable[tuple[str, bytes]]) -> None:
        """Write files, then make their names durable."""
        folders = set[Path]()
        for name, octets in files:
            file = self.path / name
            for made in _made(file.parent):
                folders.add(made.parent)
            fresh = file.with_name(f"{file.name}.{os.getpid()}.partial")
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _MODE)
            with os.fdopen(descriptor, "wb") as out:
                out.write(octets)
                out.flush()
                os.fsync(out.fileno())
            fresh.replace(file)
            folders.add(file.parent)
        for folder in folders:
            _sync(folder)


def _made(folder: Path) -> list[Path]:
    """Make a folder and those above it; return the new ones."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True, mode=0o755)
    return missing


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
