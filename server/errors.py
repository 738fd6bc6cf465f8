"""The base of every error the server's programs raise on purpose."""


class ServerError(Exception):
    """Something about this server, its surroundings or its input is wrong; the docstring is the default message."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class ConfigError(ServerError):
    """The configuration is wrong. Trying again does not help: it has to be edited."""


class KeysError(ServerError):
    """A key file is missing, unreadable or of another kind. Trying again does not help: run `mimamori init`."""
