"""What a log sends to a witness: its checkpoint, and the proof that it continues the one that the witness knows.

Source: C2SP tlog-witness, add-checkpoint.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Final

from privacy.transparency.checkpoint import hash_of
from privacy.transparency.errors import CheckpointError, ProofError
from privacy.transparency.tree import MAX_PROOF

PATH: Final = "/add-checkpoint"
SIZE_TYPE: Final = "text/x.tlog.size"
MAX_OCTETS: Final = 128 * 1024
_OLD: Final = re.compile(r"old (0|[1-9][0-9]{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Submission:
    """One request.

    Attributes:
        old_size: of the tree that the witness cosigned last, as the log believes.
        proof: that the tree of the checkpoint begins with it.
        checkpoint: a signed note.
    """

    old_size: int
    proof: tuple[bytes, ...]
    checkpoint: str

    @classmethod
    def parse(cls, text: str) -> Submission:
        """Return the request in a body.

        Raises:
            ProofError: another kind of body.
        """
        above, cut, checkpoint = text.partition("\n\n")
        first, *lines = above.split("\n")
        found = _OLD.fullmatch(first)
        if found is None or not cut or len(lines) > MAX_PROOF:
            raise ProofError("an old size, at most 63 hashes, an empty line and a checkpoint wanted")
        try:
            return cls(int(found[1]), tuple(hash_of(line) for line in lines), checkpoint)
        except CheckpointError as error:
            raise ProofError("not a hash where one should be") from error

    def text(self) -> str:
        """Return the body, as `parse` reads it."""
        lines = [f"old {self.old_size}", *(base64.b64encode(one).decode() for one in self.proof)]
        return "\n".join(lines) + "\n\n" + self.checkpoint
