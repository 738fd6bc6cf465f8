"""What the registry raises."""

from server.errors import ServerError


class RegistryError(ServerError):
    """A registry file is wrong: the message says where. Nothing of it was imported."""
