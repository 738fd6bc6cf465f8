"""What can go wrong at a gateway."""

from pathlib import Path


class EdgeError(Exception):
    """Something at the gateway went wrong."""


class ConfigError(EdgeError):
    """A configuration file cannot be used; trying again does not help.

    Attributes:
        path: the file.
        key: the key at fault, dotted; "" for the file as a whole.
        reason: what is wrong with it.
    """

    def __init__(self, path: Path, key: str, reason: str) -> None:
        self.path = path
        self.key = key
        self.reason = reason
        super().__init__(f"{path}: {key} {reason}" if key else f"{path}: {reason}")


class ScanError(EdgeError):
    """The radio does not scan; may be tried again."""


class CaptureError(EdgeError):
    """A capture file is of no kind we read, or is damaged beyond its next packet."""
