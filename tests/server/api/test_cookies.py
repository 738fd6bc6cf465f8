from fastapi import Response

from server.api import cookies
from server.config import HttpConfig


def test_over_https_cookies_are_bound_to_the_host_and_the_session_is_strict() -> None:
    http = HttpConfig(public_url="https://mimamori.example.jp")
    response = Response()
    cookies.put(response, cookies.SESSION, "x", http=http, max_age_s=60)
    cookies.put(response, cookies.CHALLENGE, "y", http=http, max_age_s=60)
    session, challenge = response.headers.getlist("set-cookie")
    assert session.startswith("__Host-mimamori_session=x;")
    assert {"Secure", "HttpOnly", "SameSite=strict", "Path=/"} <= set(session.split("; "))
    assert "Domain" not in session
    assert "SameSite=lax" in challenge


def test_over_plain_http_a_cookie_has_its_bare_name() -> None:
    assert cookies.name_of(cookies.SESSION, HttpConfig()) == "mimamori_session"
