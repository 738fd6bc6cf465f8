"""What stands before every route: other sites, large bodies, headers, and the one answer for what nobody foresaw."""

from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
from fastapi import FastAPI

from server.api.guard import CSP, MAX_BODY_BYTES, SecurityHeaders
from server.api.web import WebApp

Client = Callable[[], httpx.AsyncClient]
SignIn = Callable[[str], Awaitable[httpx.AsyncClient]]
ANSWERS = (
    "/",
    "/assets/index-Abc123.js",
    "/sw.js",
    "/healthz",
    "/metrics",
    "/api/openapi.json",
    "/api/v1/me",
    "/nope.png",
)


SIGNING_OUT: tuple[tuple[dict[str, str], int], ...] = (
    ({"sec-fetch-site": "same-origin"}, 204),
    ({"sec-fetch-site": "same-origin", "origin": "https://evil.example"}, 204),
    ({"sec-fetch-site": "cross-site"}, 403),
    ({"sec-fetch-site": "same-site"}, 403),
    ({"sec-fetch-site": "none"}, 403),
    ({"sec-fetch-site": ""}, 403),
    ({"origin": "{own}"}, 204),
    ({"origin": "https://evil.example"}, 403),
    ({"origin": "null"}, 403),
    ({}, 403),
)


async def test_another_site_cannot_sign_a_family_out(signed_in: SignIn, app: FastAPI) -> None:
    for headers, status in SIGNING_OUT:
        client = await signed_in("demo")
        del client.headers["sec-fetch-site"]
        sent = {name: value.format(own=app.state.url) for name, value in headers.items()}
        answer = await client.delete("/api/v1/session", headers=sent)
        assert answer.status_code == status, headers
        assert (await client.get("/api/v1/me", headers=headers)).status_code == (200 if status == 403 else 401)


async def test_another_site_cannot_sign_a_browser_in(client: Client) -> None:
    for headers in ({"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "", "origin": "https://evil.example"}):
        answer = await client().post("/api/v1/session", json={"login": "demo", "code": "1234-5678"}, headers=headers)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


async def test_every_answer_carries_the_security_headers(client: Client) -> None:
    visitor = client()
    for path in ANSWERS:
        headers = (await visitor.get(path)).headers
        assert headers["content-security-policy"] == CSP, path
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "geolocation=()" in headers["permissions-policy"]
        assert "server" not in headers


def test_the_policy_names_no_other_origin() -> None:
    assert "http" not in CSP
    assert "*" not in CSP
    assert "unsafe" not in CSP


async def test_hsts_is_said_over_https_alone() -> None:
    for https in (True, False):
        transport = httpx.ASGITransport(SecurityHeaders(WebApp(), https=https))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            assert ("strict-transport-security" in (await client.get("/x.png")).headers) == https


async def test_personal_answers_are_never_cached(signed_in: SignIn) -> None:
    client = await signed_in("demo")
    for path in ("me", "wards/ward-yui/place", "wards/ward-yui/track", "wards/ward-yui/events", "nope"):
        answer = await client.get(f"/api/v1/{path}")
        assert answer.headers["cache-control"] == "no-store", path


async def test_a_large_body_is_refused_told_or_not(client: Client) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield bytes(MAX_BODY_BYTES // 2)

    for content in (b" " * (MAX_BODY_BYTES + 1), chunks()):
        answer = await client().post("/api/v1/session", content=content, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (413, "too-large")


BODIES = (
    (b"", 422),
    (b"{", 400),
    (b"\xff\xfe", 400),
    (b"[]", 422),
    (b'{"login": "demo"}', 422),
    (b'{"login": "demo", "code": 1}', 422),
    (b'{"login": "demo", "code": "x", "extra": 1}', 422),
    (b'{"login": "\\u0000", "code": "\\u0000"}', 401),
    (b'{"login": "\\ud800", "code": "x"}', 422),
    (b"[" * 10_000, 400),
    (b'{"login": "' + b"a" * 129 + b'", "code": "x"}', 422),
    (b'{"login": "a", "code": ' + b"9" * 5000 + b"}", 400),
)


async def test_malformed_bodies_get_a_problem(client: Client) -> None:
    visitor = client()
    for body, status in BODIES:
        answer = await visitor.post("/api/v1/session", content=body, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), body[:50]


async def test_an_invalid_field_is_named_and_its_value_is_not(client: Client) -> None:
    answer = await client().post("/api/v1/session", json={"login": "", "code": "s3cret" * 50, "marker": "m4rker"})
    assert answer.json()["errors"] == [
        {"where": "body.login", "what": "string_too_short"},
        {"where": "body.code", "what": "string_too_long"},
        {"where": "body", "what": "extra_forbidden"},
    ]
    assert "s3cret" not in answer.text
    assert "m4rker" not in answer.text


NOT_OFFERED = (
    ("PATCH", "/api/v1/session", 405, "DELETE, GET, POST"),
    ("PATCH", "/api/v1/passkeys/assertion", 405, "POST, PUT"),
    ("PATCH", "/api/v1/me", 405, "GET"),
    ("POST", "/api/v1/wards/x/place", 405, "GET"),
    ("TRACE", "/healthz", 405, "GET"),
    ("POST", "/", 405, "GET, HEAD"),
    ("GET", "/api/v1/nope", 404, None),
    ("GET", "/api", 404, None),
    ("GET", "/nope.png", 404, None),
)


async def test_what_is_not_offered_is_a_problem(client: Client) -> None:
    visitor = client()
    for method, path, status, allow in NOT_OFFERED:
        answer = await visitor.request(method, path)
        assert (answer.status_code, answer.headers.get("allow"), answer.json()["status"]) == (status, allow, status)


async def test_the_unforeseen_is_a_500_without_a_word_about_why(
    client: Client, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: object) -> None:
        raise RuntimeError("34.7612 secret row")

    monkeypatch.setattr(app.state.parts.sessions, "find", broken)
    answer = await client().get("/api/v1/me", headers={"cookie": "mimamori_session=x"})
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "secret" not in answer.text
    assert answer.headers["content-type"] == "application/problem+json"


async def test_large_answers_are_compressed_and_streams_are_not(signed_in: SignIn) -> None:
    client = await signed_in("demo")
    script = await client.get("/assets/index-Abc123.js", headers={"accept-encoding": "gzip"})
    assert script.headers["content-encoding"] == "gzip"
    async with client.stream("GET", "/api/v1/live", headers={"accept-encoding": "gzip"}) as live:
        assert "content-encoding" not in live.headers
