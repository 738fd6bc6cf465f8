"""What can be wrong with what somebody gives us to open an export with."""

from server.errors import ServerError


class FootageError(ServerError):
    """A file that is given to open an export, a key or a certificate, cannot be used."""
