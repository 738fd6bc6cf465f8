"""A proof that can be handed to a person: one text with the entry, what opens it, and the way to a cosigned head.

Source: C2SP tlog-proof. The extra data is ours: JSON with the entry and the openings of the person it is handed to.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from privacy.transparency.checkpoint import Opened, hash_of, opened
from privacy.transparency.errors import CheckpointError, ProofError
from privacy.transparency.note import Verifier
from privacy.transparency.policy import Policy
from privacy.transparency.record import SALT_OCTETS, Opening, commit
from privacy.transparency.tree import MAX_PROOF, leaf_hash, proves_inclusion

ENDING: Final = ".tlog-proof"
_TITLE: Final = "c2sp.org/tlog-proof@v1"
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_MAX_OCTETS: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof, not checked.

    Attributes:
        index: place of the entry in the log.
        hashes: from the leaf's neighbour up.
        checkpoint: a signed note.
        entry: its octets; empty: whoever checks has them.
        openings: of commitments in the entry.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: str
    entry: bytes = b""
    openings: tuple[Opening, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Proof:
        """Return the proof that a file holds.

        Raises:
            ProofError: another kind of file.
        """
        if len(text) > _MAX_OCTETS:
            raise ProofError("too large for a proof")
        above, _, checkpoint = text.partition("\n\n")
        title, *lines = above.split("\n")
        if title != _TITLE:
            raise ProofError("not a tlog-proof of version 1")
        extra = _decoded(lines.pop(0).removeprefix("extra ")) if lines and lines[0].startswith("extra ") else b""
        if not lines or not lines[0].startswith("index ") or not _INDEX.fullmatch(lines[0][6:]):
            raise ProofError("a proof says at which index its entry is")
        if len(lines) - 1 > MAX_PROOF:
            raise ProofError("too many hashes")
        try:
            hashes = tuple(hash_of(line) for line in lines[1:])
        except CheckpointError as error:
            raise ProofError("not a hash where one should be") from error
        entry, openings = _unpacked(extra) if extra else (b"", ())
        return cls(int(lines[0][6:]), hashes, checkpoint, entry, openings)

    def text(self) -> str:
        """Return the file, as `parse` reads it."""
        extra = [f"extra {_encoded(_packed(self.entry, self.openings))}"] if self.entry else []
        lines = [_TITLE, *extra, f"index {self.index}", *map(_encoded, self.hashes)]
        return "\n".join(lines) + "\n\n" + self.checkpoint


@dataclass(frozen=True, slots=True)
class Checked:
    """What a proof proves.

    Attributes:
        entry: what was logged, as a table.
        index: at which place.
        named: the values behind its commitments, of those that were handed over.
        opened: the checkpoint, and who cosigned it.
        has_quorum: whether they are enough; None: no policy was asked.
    """

    entry: Mapping[str, Any]
    index: int
    named: Mapping[str, str]
    opened: Opened
    has_quorum: bool | None


def check(proof: Proof, logs: Iterable[Verifier], policy: Policy | None = None) -> Checked:
    """Return what a proof proves; the entry is in it.

    Raises:
        ProofError: it does not lead to the checkpoint, or an opening opens nothing.
        NoteError: no trusted log signed the checkpoint.
        CheckpointError: the checkpoint is none.
    """
    found = opened(proof.checkpoint, logs, policy.witness_keys if policy else ())
    if not proof.entry:
        raise ProofError("the proof comes without its entry")
    if not proves_inclusion(proof.hashes, leaf_hash(proof.entry), proof.index, found.head):
        raise ProofError("the entry is not in the log at this place")
    entry = _table(proof.entry)
    named = {one.name: one.value for one in proof.openings if _opens(one, entry)}
    if len(named) != len(proof.openings):
        raise ProofError("an opening does not fit the entry")
    return Checked(entry, proof.index, named, found, policy.is_met_by(found.witnesses) if policy else None)


def _opens(opening: Opening, entry: Mapping[str, Any]) -> bool:
    committed = entry.get("committed")
    return isinstance(committed, dict) and committed.get(opening.name) == commit(opening.salt, opening.value)


def _packed(entry: bytes, openings: Iterable[Opening]) -> bytes:
    table = {
        "entry": _encoded(entry),
        "openings": [{"name": one.name, "salt": one.salt.hex(), "value": one.value} for one in openings],
    }
    return json.dumps(table, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _unpacked(extra: bytes) -> tuple[bytes, tuple[Opening, ...]]:
    try:
        table = json.loads(extra)
        openings = tuple(_opening(one) for one in table["openings"])
        return _decoded(table["entry"]), openings
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ProofError("the extra data are not an entry and its openings") from error


def _opening(table: Mapping[str, Any]) -> Opening:
    name, salt, value = table["name"], bytes.fromhex(table["salt"]), table["value"]
    if not isinstance(name, str) or not isinstance(value, str) or len(salt) != SALT_OCTETS:
        raise ProofError("not an opening")
    return Opening(name, salt, value)


def _table(entry: bytes) -> Mapping[str, Any]:
    try:
        table = json.loads(entry)
    except (ValueError, RecursionError) as error:
        raise ProofError("the entry is not JSON") from error
    if not isinstance(table, dict):
        raise ProofError("the entry is not a table")
    return table


def _encoded(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProofError("not base64") from error
