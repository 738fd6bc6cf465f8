"""Checkpoints: the head of a log, signed by it, cosigned by witnesses.

Source: C2SP tlog-checkpoint.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from privacy.transparency.errors import CheckpointError
from privacy.transparency.note import Note, Signer, Verifier, cosigned_at_s, signed
from privacy.transparency.tree import HASH_OCTETS, Head

_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says of itself.

    Attributes:
        origin: name of the log.
        head: size and root of its tree.
        more: lines of others behind the head, kept as they came.
    """

    origin: str
    head: Head
    more: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Return the checkpoint that a note's text states.

        Raises:
            CheckpointError: another kind of text.
        """
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
            raise CheckpointError("a checkpoint has an origin, a size and a root, a line each")
        origin, size, encoded, *more = lines[:-1]
        if not _SIZE.fullmatch(size):
            raise CheckpointError("the size of a tree is a decimal number")
        return cls(origin, Head(int(size), hash_of(encoded)), tuple(more))

    def text(self) -> str:
        """Return the note's text, as `parse` reads it."""
        encoded = base64.b64encode(self.head.root).decode()
        return "".join(f"{line}\n" for line in (self.origin, str(self.head.size), encoded, *self.more))


@dataclass(frozen=True, slots=True)
class Opened:
    """A checkpoint whose log has been verified.

    Attributes:
        checkpoint: what it states.
        note: with all signatures.
        witnesses: who cosigned, of those that were asked about.
        cosigned_at_s: POSIX time that each of them says, by key.
    """

    checkpoint: Checkpoint
    note: Note
    witnesses: tuple[Verifier, ...] = ()
    cosigned_at_s: tuple[int, ...] = ()

    @property
    def head(self) -> Head:
        """Size and root."""
        return self.checkpoint.head


def issue(signer: Signer, head: Head) -> Note:
    """Return the signed checkpoint of a head; the origin is the name of the key."""
    return signed(Checkpoint(signer.name, head).text(), signer)


def opened(whole: str, logs: Iterable[Verifier], witnesses: Iterable[Verifier] = ()) -> Opened:
    """Return the checkpoint in a note that one of `logs` signed, and which of `witnesses` cosigned it.

    Raises:
        NoteError: no note, no log of those signed it, or a signature of somebody known is wrong.
        CheckpointError: the note is no checkpoint, or of another log than the one that signed it.
    """
    note = Note.parse(whole)
    signers = note.signed_by(logs)
    checkpoint = Checkpoint.parse(note.text)
    if all(signer.name != checkpoint.origin for signer in signers):
        raise CheckpointError("the checkpoint is of another log than the key")
    cosigners = cosigners_of(note, witnesses)
    times = tuple(max(cosigned_at_s(one) for one in note.signatures if key.made(one)) for key in cosigners)
    return Opened(checkpoint, note, cosigners, times)


def cosigners_of(note: Note, witnesses: Iterable[Verifier]) -> tuple[Verifier, ...]:
    """Return which of `witnesses` cosigned a note, perhaps none.

    Raises:
        NoteError: a signature says that it is of one of them and is not.
    """
    asked = [key for key in witnesses if any(key.made(one) for one in note.signatures)]
    return note.signed_by(asked) if asked else ()


def hash_of(encoded: str) -> bytes:
    """Return the hash that a line spells in base64.

    Raises:
        CheckpointError: another length or spelling.
    """
    try:
        octets = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise CheckpointError("a hash is written in base64") from error
    if len(octets) != HASH_OCTETS or base64.b64encode(octets).decode() != encoded:
        raise CheckpointError("a hash has 32 octets")
    return octets
