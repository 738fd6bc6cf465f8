"""What can go wrong in a volunteer's detector."""

from pathlib import Path


class DetectorError(Exception):
    """Something in the volunteer's detector went wrong."""


class ConfigError(DetectorError):
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


class ZoneError(DetectorError):
    """The no-report zones cannot be read or are impossible; nothing is scanned until they can."""


class UploadError(DetectorError):
    """The city did not take a batch; it is kept and tried again."""
