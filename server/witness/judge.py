"""Judges what a log submits, and cosigns it if it continues what was cosigned before.

Source: C2SP tlog-witness, add-checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from privacy.transparency import tree
from privacy.transparency.checkpoint import Checkpoint, opened
from privacy.transparency.errors import NoteError, TransparencyError
from privacy.transparency.note import Note, Signer, Verifier
from privacy.transparency.tree import EMPTY_ROOT, Head
from privacy.transparency.witnessing import SIZE_TYPE, Submission
from server.witness.memory import Memory, Seen

_TEXT: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the witness answers.

    Attributes:
        status: of HTTP.
        body: what it says.
        kind: media type of the body.
    """

    status: int
    body: str = ""
    kind: str = _TEXT


@dataclass(frozen=True, slots=True)
class Judge:
    """A witness.

    Args:
        signer: its key.
        logs: keys of the logs that it knows, by origin.
        memory: what it has cosigned.
        now_s: the wall clock, POSIX seconds.
    """

    signer: Signer
    logs: Mapping[str, Sequence[Verifier]]
    memory: Memory
    now_s: Callable[[], float]

    def judge(self, body: bytes) -> Verdict:
        """Return the verdict on a request; a cosignature in it is on the disk.

        Raises:
            WitnessError: it cannot be kept; nothing may be answered.
        """
        try:
            submission = Submission.parse(body.decode())
            checkpoint = Checkpoint.parse(Note.parse(submission.checkpoint).text)
        except (TransparencyError, UnicodeDecodeError) as error:
            return Verdict(400, f"{error}\n")
        keys = self.logs.get(checkpoint.origin)
        if keys is None:
            return Verdict(404, "unknown log\n")
        try:
            note = opened(submission.checkpoint, keys).note
        except NoteError:
            return Verdict(403, "not signed by a key of this log\n")
        if submission.old_size > checkpoint.head.size:
            return Verdict(400, "the old size is larger than the new one\n")
        return self._remember(submission, checkpoint, note)

    def _remember(self, submission: Submission, checkpoint: Checkpoint, note: Note) -> Verdict:
        with self.memory.remembering(checkpoint.origin) as memory:
            seen = memory.seen()
            before = Head(0, EMPTY_ROOT) if seen is None else seen.head
            if submission.old_size != before.size:
                return Verdict(409, f"{before.size}\n", SIZE_TYPE)
            if wrong := _contradiction(submission, before, checkpoint.head):
                return wrong
            cosignature = self.signer.cosign(note.text, int(self.now_s()))
            memory.keep(Seen(checkpoint.head, note.plus([cosignature]).whole()))
        return Verdict(200, cosignature.line())


def _contradiction(submission: Submission, before: Head, new: Head) -> Verdict | None:
    if before.size == new.size:
        if submission.proof:
            return Verdict(422, "nothing to prove between heads of one size\n")
        return None if before.root == new.root else Verdict(409, f"{before.size}\n", SIZE_TYPE)
    if before.size == 0:
        return Verdict(422, "nothing to prove from an empty log on\n") if submission.proof else None
    if not tree.proves_consistency(submission.proof, before, new):
        return Verdict(422, "not shown to continue what was cosigned\n")
    return None
