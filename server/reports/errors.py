"""What can be wrong with a report."""

from server.errors import ServerError


class ReportError(ServerError):
    """The report cannot be made of this log."""
