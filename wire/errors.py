"""What can be wrong with something that came over the wire. None of these is worth a retry with the same bytes."""

from pathlib import Path


class WireError(Exception):
    """Bytes, text or a file do not follow docs/WIRE.md."""


class FrameError(WireError):
    """An advertisement is malformed, or a frame does not fit into one."""


class BatchError(WireError):
    """A batch of sightings is malformed, too large or not of a known version."""


class SealError(WireError):
    """An envelope or sealed status is malformed, forged, or meant for another key."""


class MessageError(WireError):
    """A heartbeat, receipt or order is malformed or not of a known version."""


class TopicError(WireError):
    """A topic, city or detector id is not one of ours."""


class KeyFileError(WireError):
    """A key or city file is missing, unreadable or holds another kind of key."""


class EnrolmentError(WireError):
    """A ticket, or the answer to a gateway that enrols, is malformed, forged or of another city."""


class ConfigError(WireError):
    """A configuration file cannot be used.

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


class OutboxError(WireError):
    """The outbox cannot be read or written; may be tried again when the disk is well."""


class OutboxFullError(OutboxError):
    """The outbox or its disk is full: nothing was written, nothing that was in it is hurt."""


class OutboxBrokenError(OutboxError):
    """The outbox's file is damaged: trying again does not help, a new one does."""


OutboxFull = OutboxFullError
