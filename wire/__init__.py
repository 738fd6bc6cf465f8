"""What tags, detectors and server must agree on; pure but for files and the outbox. Implements docs/WIRE.md."""
