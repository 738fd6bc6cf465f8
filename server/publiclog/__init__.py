"""The published audit log, as files and over HTTP, and proofs out of it."""
