"""What tags, detectors and server must agree on; pure but for the outbox. Implements docs/WIRE.md."""
