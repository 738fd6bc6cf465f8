"""What may be wrong when a machine asks for a certificate."""

from server.errors import ServerError


class AuthorityError(ServerError):
    """The city's authority cannot do this. Trying again does not help: somebody has to act."""


class CertificateError(ServerError):
    """A certificate or its chain is none of this city's, or not in force. Trying again does not help."""


class RequestError(ServerError):
    """A certificate signing request that cannot be granted. Trying again with the same bytes does not help."""


class RefusedError(ServerError):
    """A gateway that may not have a certificate. Why is not said, for a stranger would learn who is enrolled."""
