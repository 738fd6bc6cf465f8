"""The log that cannot be bent: Merkle tree, checkpoints, witnesses' signatures, proofs, and their offline verifier."""
