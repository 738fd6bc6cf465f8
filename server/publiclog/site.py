"""The published log over HTTP."""

from __future__ import annotations

from typing import Final

import httpx

from server.publiclog.errors import UnreachableError

_TIMEOUT_S: Final = 30.0


class Site:
    """A log at a URL. Calling it gives the octets of one file of it, None where there is none.

    Another process that is handed one opens a connection of its own.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._client = httpx.Client(timeout=_TIMEOUT_S, follow_redirects=True)

    def __reduce__(self) -> tuple[type[Site], tuple[str]]:
        return Site, (self.url,)

    def __call__(self, name: str) -> bytes | None:
        """Return the octets of a file.

        Raises:
            UnreachableError: nobody answers, or not with a file.
        """
        try:
            response = self._client.get(f"{self.url}/{name}")
        except httpx.HTTPError as error:
            raise UnreachableError(f"{self.url}: {type(error).__name__}") from error
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        if response.status_code != httpx.codes.OK:
            raise UnreachableError(f"{self.url}/{name}: HTTP {response.status_code}")
        return response.content

    def close(self) -> None:
        """Close the connection."""
        self._client.close()
