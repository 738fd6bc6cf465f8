"""Makes proofs for people out of the published log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from privacy.transparency import tree
from privacy.transparency.checkpoint import Checkpoint
from privacy.transparency.note import Note
from privacy.transparency.proof import Proof
from privacy.transparency.record import Opening
from privacy.transparency.tiles import HashReader, Tile, fetched
from server.publiclog.errors import BentLogError, UnpublishedError
from server.publiclog.folder import CHECKPOINT, WITNESSED, Folder


@dataclass(slots=True)
class Prover:
    """Reads tiles of the newest heads, and keeps them until there is a newer one.

    Args:
        folder: of the published log.
    """

    folder: Folder
    _readers: dict[str, tuple[str, HashReader]] = field(default_factory=dict, init=False)

    def proof(self, index: int | None, entry: bytes, openings: Sequence[Opening] = ()) -> Proof:
        """Return the proof that `entry` is at a place in the log: under the head that witnesses cosigned, if it can be.

        Args:
            index: its place; None: it has none yet.
            entry: its octets.
            openings: that the person it is handed to may know.

        Raises:
            UnpublishedError: no published head has it yet.
            BentLogError: the published log has another entry at this place, or lacks files.
        """
        for name in (WITNESSED, CHECKPOINT):
            note, read = self._reader(name)
            if index is not None and index < read.size:
                if read(0, index) != tree.leaf_hash(entry):
                    raise BentLogError("the published log has another entry at this place")
                hashes = tree.inclusion_proof(read, index, read.size)
                return Proof(index, tuple(hashes), note, entry, tuple(openings))
        raise UnpublishedError

    def _reader(self, name: str) -> tuple[str, HashReader]:
        note = self.folder.text(name)
        kept = self._readers.get(name)
        if kept is None or kept[0] != note:
            size = Checkpoint.parse(Note.parse(note).text).head.size if note else 0
            kept = self._readers[name] = (note, HashReader(self._tile, size))
        return kept

    def _tile(self, tile: Tile) -> bytes:
        octets = fetched(self.folder, tile)
        if octets is None:
            raise BentLogError(f"{tile.path} is missing in the published log")
        return octets
