"""Why the gate lets a client not in, or cannot do its work."""

from server.errors import ServerError


class RefusedError(ServerError):
    """This client does not come in. Trying again with the same certificate and client id does not help.

    Attributes:
        reason: one of a few words, for counters.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BrokerSilentError(ServerError):
    """The broker does not answer on its own protocol. May be tried again."""
