"""Which push services a subscription may name: the endpoint comes from a browser, and our notifier will call it.

Only the services of the browsers that families have. Any other host could be one inside the city's network, whatever
its name says today, so a name that looks public is not enough.
"""

from typing import Final
from urllib.parse import urlsplit

HOSTS: Final = ("fcm.googleapis.com", "push.services.mozilla.com", "push.apple.com", "notify.windows.com")
"""Chrome, Firefox, Safari, Edge; and what lies below these names."""
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


def is_push_service(endpoint: str, *, allow_loopback: bool) -> bool:
    """Return whether `endpoint` may be stored and called.

    Args:
        endpoint: URL as the browser gave it.
        allow_loopback: also plain HTTP on this machine: right where the city's own address is loopback, as in the demo.
    """
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if allow_loopback and parts.scheme == "http" and host in LOOPBACK:
        return True
    is_known = any(host == known or host.endswith("." + known) for known in HOSTS)
    return parts.scheme == "https" and is_known and port in (None, 443) and not parts.username


def is_loopback(url: str) -> bool:
    """Return whether `url` is of this machine."""
    return (urlsplit(url).hostname or "") in LOOPBACK
