"""What the transparency log raises: something that was handed in is not what it says it is."""


class TransparencyError(ValueError):
    """A note, checkpoint, tile, proof or policy is malformed or does not verify. Trying again does not help."""


class NoteError(TransparencyError):
    """Not a signed note, or no signature of a key that is trusted."""


class CheckpointError(TransparencyError):
    """Not a checkpoint, or of another log."""


class TileError(TransparencyError):
    """Not the path, the hashes or the entries of a tile."""


class ProofError(TransparencyError):
    """Not a proof, or it proves something else."""


class PolicyError(TransparencyError):
    """Not a policy of witnesses."""
