"""What keeps a witness from working."""

from server.errors import ServerError


class WitnessError(ServerError):
    """The witness's folder is not as `mimamori witness init` makes it, or its memory fails."""


class MemoryFullError(WitnessError):
    """The disk is full; nothing was cosigned. May be tried again."""


class MemoryBrokenError(WitnessError):
    """The memory is damaged. A witness that forgot must be retired: make one with a new key."""
