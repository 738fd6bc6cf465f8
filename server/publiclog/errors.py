"""What is wrong with the audit log or its published form."""

from server.errors import ServerError


class LogError(ServerError):
    """The audit log is not as it should be, or not there yet."""


class BentLogError(LogError):
    """The log is not the one that was signed or published. Trying again does not help: somebody has to look."""


class UnpublishedError(LogError):
    """The entry is not in a published checkpoint yet. May be tried again, seconds later."""


class UnreachableError(LogError):
    """The published log cannot be read from where it should be. May be tried again."""
