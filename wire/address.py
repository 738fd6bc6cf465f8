"""Addresses in configurations: whether a URL can be connected to at all, told at the start and not at the first try."""

from urllib.parse import urlsplit


def names_host(url: str, *schemes: str, needs_port: bool = False) -> bool:
    """Return whether `url` has one of the schemes, a host, and a port from 1 on or, if it may be so, none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # brackets without an end, or a port beyond 65535
        return False
    return parts.scheme in schemes and bool(parts.hostname) and (bool(port) or (port is None and not needs_port))
