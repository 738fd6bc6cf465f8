"""What the history raises."""

from server.errors import ServerError


class HistoryError(ServerError):
    """The history cannot do what was asked."""


class SealedHourError(HistoryError):
    """A sealed hour does not open: another key, another ward or hour, or altered. Trying again does not help."""


class KeyStoreError(HistoryError):
    """The key store cannot be reached or refuses. May be tried again."""


class UnknownWardError(HistoryError):
    """There is no such ward. Trying again does not help."""
