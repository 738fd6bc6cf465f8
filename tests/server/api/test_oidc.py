"""Signing in through an identity provider, served on loopback: who gets in, and every forgery that does not."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from joserfc.jwk import OctKey

from server.config import OidcConfig, ServerConfig
from server.errors import ConfigError
from tests.identity_provider import Provider, new_key, serving

Client = Callable[[], httpx.AsyncClient]
Sql = Callable[..., list[tuple[Any, ...]]]
START = "/api/v1/oidc/police/start"


@pytest.fixture
def provider() -> Iterator[Provider]:
    with serving() as one:
        yield one


@pytest.fixture
def town(town: ServerConfig, provider: Provider, tmp_path: Path) -> ServerConfig:
    with psycopg.connect(town.dsn(), autocommit=True) as conn:
        conn.execute("INSERT INTO account (id, login, name_ja, name_en, role) VALUES ('m', 'm', 'm', 'm', 'manager')")
        conn.execute(
            "INSERT INTO identity (issuer, subject, account_id)"
            " SELECT %s, * FROM (VALUES ('subject-1', 'm'), ('family', 'g-demo')) AS known",
            (provider.issuer,),
        )
    provider.secret = "between us"
    (tmp_path / "secret").write_text("between us\n")
    entry = {
        "id": "police",
        "name_ja": "警察共通基盤",
        "name_en": "Police",
        "issuer": provider.issuer,
        "client_id": "mimamori",
        "client_secret_file": str(tmp_path / "secret"),
        "acr": ["high"],
    }
    return replace(town, oidc=OidcConfig(providers=json.dumps([entry])))


async def go(one: httpx.AsyncClient, provider: Provider) -> str:
    """Return the path and query with which the browser comes back."""
    started = await one.get(START)
    assert started.status_code == 302, started.text
    back = provider.authorize(started.headers["location"])
    return back[back.index("/api/") :]


async def test_a_linked_account_signs_in(client: Client, provider: Provider) -> None:
    one = client()
    ways = (await one.get("/api/v1/sign-in-ways")).json()
    assert ways["oidc"] == [{"id": "police", "name_ja": "警察共通基盤", "name_en": "Police"}]
    answer = await one.get(await go(one, provider))
    assert answer.status_code == 200
    assert 'url=/"' in answer.text
    me = (await one.get("/api/v1/me")).json()
    assert me["account"]["role"] == "manager"
    assert (await one.get("/api/v1/session")).json()["is_fresh"] is False


def refusing(name: str, value: object) -> Callable[[Provider], None]:
    return lambda provider: setattr(provider, "claims", lambda claims: claims.update({name: value}))


def missing(name: str) -> Callable[[Provider], None]:
    return lambda provider: setattr(provider, "claims", lambda claims: claims.pop(name))


def own_key(provider: Provider) -> None:
    provider.signing = new_key("one")


def shared_secret(provider: Provider) -> None:
    provider.signing, provider.algorithm = OctKey.import_key("between us" * 4, {"kid": "one"}), "HS256"


FORGERIES: dict[str, Callable[[Provider], None]] = {
    "nonce": refusing("nonce", "another"),
    "no nonce": missing("nonce"),
    "issuer": refusing("iss", "https://evil.example"),
    "audience": refusing("aud", "somebody else"),
    "authorized party": refusing("azp", "somebody else"),
    "expired": refusing("exp", int(time.time()) - 3600),
    "of tomorrow": refusing("iat", int(time.time()) + 86_400),
    "no subject": missing("sub"),
    "weak": refusing("acr", "low"),
    "no acr": missing("acr"),
    "unknown subject": refusing("sub", "nobody"),
    "another key": own_key,
    "symmetric": shared_secret,
}


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_a_forged_answer_lets_nobody_in(client: Client, provider: Provider, sql: Sql, forgery: str) -> None:
    FORGERIES[forgery](provider)
    one = client()
    answer = await one.get(await go(one, provider))
    assert (answer.status_code, answer.json()["code"]) == (400, "not-let-in")
    assert "mimamori_session" not in one.cookies
    assert sql("SELECT 1 FROM session") == []
    [(kind,)] = sql("SELECT convert_from(body, 'UTF8')::jsonb->>'kind' FROM audit_entry")
    assert kind == "session.refused"


@pytest.mark.parametrize("trouble", ["state", "no state", "no cookie", "issuer", "no issuer", "code", "provider error"])
async def test_a_forged_callback_is_refused_and_the_provider_not_asked(
    client: Client, provider: Provider, trouble: str
) -> None:
    one = client()
    back = httpx.URL(await go(one, provider))
    wrong: dict[str, httpx.URL] = {
        "state": back.copy_set_param("state", "another"),
        "no state": back.copy_remove_param("state"),
        "no cookie": back,
        "issuer": back.copy_set_param("iss", "https://evil.example"),
        "no issuer": back.copy_remove_param("iss"),
        "code": back.copy_set_param("code", "another"),
        "provider error": httpx.URL(f"{back.path}?error=access_denied"),
    }
    if trouble == "no cookie":
        one = client()
    answer = await one.get(str(wrong[trouble]))
    assert (answer.status_code, answer.json()["code"]) == (400, "not-let-in")
    assert provider.exchanges == (1 if trouble == "code" else 0)


async def test_an_answer_counts_once(client: Client, provider: Provider) -> None:
    one = client()
    back = await go(one, provider)
    kept = dict(one.cookies)
    assert (await one.get(back)).status_code == 200
    again = client()
    again.cookies.update(kept)
    assert (await again.get(back)).status_code == 400


async def test_a_family_needs_no_strong_authentication(client: Client, provider: Provider) -> None:
    provider.subject = "family"
    refusing("acr", "low")(provider)
    one = client()
    assert (await one.get(await go(one, provider))).status_code == 200


async def test_a_new_key_of_the_provider_is_fetched(client: Client, provider: Provider) -> None:
    one = client()
    assert (await one.get(await go(one, provider))).status_code == 200
    provider.keys.insert(0, new_key("two"))
    await asyncio.sleep(1.1)  # no faster than once a second, whoever asks
    assert (await one.get(await go(one, provider))).status_code == 200


@pytest.mark.parametrize(
    "changed",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://elsewhere.example/token"},
        {"jwks_uri": None},
        {"authorization_endpoint": "javascript:alert(1)"},
    ],
)
async def test_a_provider_that_names_an_unsafe_place_is_down(
    client: Client, provider: Provider, changed: dict[str, object]
) -> None:
    provider.metadata = lambda told: told.update(changed)
    answer = await client().get(START)
    assert (answer.status_code, answer.json()["code"]) == (503, "provider-down")


async def test_there_is_no_provider_of_another_name(client: Client) -> None:
    assert (await client().get("/api/v1/oidc/other/start")).status_code == 404


async def test_a_disabled_account_does_not_come_in_through_the_provider(
    client: Client, provider: Provider, sql: Sql
) -> None:
    sql("UPDATE account SET disabled_at = now() WHERE id = 'm'")
    one = client()
    assert (await one.get(await go(one, provider))).status_code == 400


@pytest.mark.parametrize(
    "providers", ["{}x", '[{"id": "a"}]', '[{"id": "a b"}]', "[1]", '[{"id":"a","name_ja":"","name_en":"","issuer":"http://elsewhere.example","client_id":"c"}]']
)  # fmt: skip
def test_providers_that_are_none_are_refused_at_the_start(providers: str) -> None:
    with pytest.raises(ConfigError):
        OidcConfig(providers=providers)
