"""Entries out of a folder of the published log, offline: their hashes must give the root of its checkpoint.

Whether checkpoint and witnesses are to be believed, `mimamori audit verify` tells.

Source: C2SP tlog-tiles, tlog-checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from privacy.transparency.checkpoint import Checkpoint
from privacy.transparency.errors import TransparencyError
from privacy.transparency.note import Note
from privacy.transparency.tiles import ENTRIES, WIDTH, Tile, entries_of
from privacy.transparency.tree import Frontier, leaf_hash
from server.reports.errors import ReportError
from server.reports.tables import Head

CHECKPOINT: Final = "checkpoint"


def head_of(note: str) -> Head:
    """Return size and root that a checkpoint's note states.

    Raises:
        ReportError: it is none.
    """
    try:
        head = Checkpoint.parse(Note.parse(note).text).head
    except TransparencyError as error:
        raise ReportError(f"log: the checkpoint cannot be read: {error}") from error
    return Head(head.size, head.root.hex())


def read(folder: Path, size: int | None = None) -> tuple[Head, list[bytes]]:
    """Return the head of a published log, or of its first `size` entries, and the entries before it.

    Raises:
        ReportError: no log, part of it is missing, or its entries are not those of its checkpoint.
    """
    note = _fetch(folder, CHECKPOINT)
    if note is None:
        raise ReportError(f"{folder}: 公開ログではありません。There is no `checkpoint` of a published log here")
    head = head_of(note.decode("utf-8", "replace"))
    wanted = head.size if size is None else size
    if wanted > head.size:
        raise ReportError(f"{folder}: 記録は{head.size}件です。The log has {head.size} entries")
    frontier, bodies, early = Frontier(), list[bytes](), head
    for entry in _entries(folder, head.size):
        if frontier.size == wanted:
            early = Head(wanted, frontier.head().root.hex())
        for _ in frontier.append(leaf_hash(entry)):
            pass
        bodies.append(entry)
    if frontier.head().root.hex() != head.root_hex:
        raise ReportError(
            f"{folder}: 記録がチェックポイントと一致しません。The entries are not those of the checkpoint"
        )
    return early, bodies[:wanted]


def _entries(folder: Path, size: int) -> Iterator[bytes]:
    for index in range(-(-size // WIDTH)):
        tile = Tile(ENTRIES, index, min(WIDTH, size - index * WIDTH))
        octets = _fetch(folder, tile.path) or _fetch(folder, Tile(ENTRIES, index).path)  # it may have grown since
        try:
            entries = entries_of(octets or b"")[: tile.width]
        except TransparencyError as error:
            raise ReportError(f"{folder}: {tile.path}: {error}") from error
        if len(entries) != tile.width:
            raise ReportError(f"{folder}: {tile.path} が足りません。It is missing or incomplete")
        yield from entries


def _fetch(folder: Path, path: str) -> bytes | None:
    try:
        return (folder / path).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
