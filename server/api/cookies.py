"""The cookies of the API: which names they have, and with what they are set.

Source: RFC 6265bis: `__Host-` binds a cookie to this host and to https, so that no neighbour can plant one.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from fastapi import Request, Response

from server.config import HttpConfig

SESSION: Final = "mimamori_session"
CHALLENGE: Final = "mimamori_challenge"
"""What a browser was given to answer: binds a passkey's or an identity provider's answer to who asked for it."""


def name_of(cookie: str, http: HttpConfig) -> str:
    """Return the name under which a cookie is kept."""
    return f"__Host-{cookie}" if _is_https(http) else cookie


def read(request: Request, cookie: str, http: HttpConfig) -> str | None:
    """Return the value of a cookie that the browser sent."""
    return request.cookies.get(name_of(cookie, http))


def put(response: Response, cookie: str, value: str, *, http: HttpConfig, max_age_s: int) -> None:
    """Set a cookie; an empty value with `max_age_s` 0 takes it away."""
    response.set_cookie(
        name_of(cookie, http),
        value,
        max_age=max_age_s,
        path="/",
        httponly=True,
        # An identity provider sends the browser back from another site: the answer has to come with what it answers.
        samesite="lax" if cookie == CHALLENGE else "strict",
        secure=_is_https(http),
    )


def _is_https(http: HttpConfig) -> bool:
    return urlsplit(http.public_url).scheme == "https"
