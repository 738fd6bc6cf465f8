"""What keeps the ledger from signing."""

from server.publiclog.errors import LogError


class RestoredLogError(LogError):
    """A witness has cosigned a longer or another log: this database is an old copy, so nothing is signed."""


class UnvouchedLogError(LogError):
    """Too few witnesses answer to be sure that there is no newer log than this one. Tried again."""
