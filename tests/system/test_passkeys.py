"""Signing in in a real Chromium with its virtual authenticator: cards, passkeys, step-up, both languages at 360 px."""

import contextlib
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from server import config as configuration
from server import keys
from server.accounts.codes import hash_code
from server.config import BrokerConfig, HttpConfig, ServerConfig
from server.embedded.broker import free_port
from tests.system import passkey

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = Path("/usr/bin/chromium")
ROOT = Path(__file__).parents[2]
ARTEFACTS = ROOT / "artefacts"
STATIC = ROOT / "server" / "static"
pytestmark = [
    pytest.mark.system,
    pytest.mark.browser,
    pytest.mark.timeout(240),
    pytest.mark.skipif(not CHROMIUM.exists(), reason="/usr/bin/chromium is not installed"),
    pytest.mark.skipif(not (STATIC / "index.html").exists(), reason="the web app is not built"),
]
SMALL = {"width": 360, "height": 740}
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--enable-unsafe-swiftshader",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Refusals and "not seen yet" are answers; a header names a feature that this Chromium was built without; WebGL is slow.
EXPECTED = ("status of 401", "status of 403", "status of 404", "Permissions-Policy", "GPU stall", "WebGL")
PEOPLE = """
INSERT INTO city VALUES ('mimamori', 'みまもり市', 'Mimamori City', 'Asia/Tokyo');
INSERT INTO agency (id, city_id, kind, name_ja, name_en, legal_basis)
VALUES ('police-mimamori', 'mimamori', 'police', 'みまもり警察署', 'Mimamori Police Station', '刑訴法197条2項');
INSERT INTO account (id, login, name_ja, name_en, role, agency_id) VALUES
    ('officer-1', 'officer-1', '生活安全課 担当', 'Community safety desk', 'officer', 'police-mimamori'),
    ('g-card', 'g-card', '保護者', 'Guardian', 'guardian', NULL);
INSERT INTO ward VALUES ('ward-1', 'mimamori', 'ゆい', 'Yui', NULL);
INSERT INTO town_map (city_id, geojson) VALUES ('mimamori', '{"type":"FeatureCollection","features":[]}');
"""


@pytest.fixture
def city(db: ServerConfig) -> Iterator[ServerConfig]:
    """A served API with the built pages, on localhost, with a family and an officer."""
    port = free_port()
    config = replace(db, broker=BrokerConfig(url="mqtt://127.0.0.1:9", tls=False), http=HttpConfig(port=port))
    keys.make(config)
    configuration.save(config, config.state_dir / "mimamori.toml")
    with psycopg.connect(db.dsn(), autocommit=True) as conn:
        conn.execute(PEOPLE.encode())
        conn.execute(
            "INSERT INTO account (id, login, code_hash, name_ja, name_en) VALUES ('g', 'demo', %s, 'デモ', 'Demo')",
            (hash_code("1234-5678"),),
        )
        conn.execute("INSERT INTO guardianship (guardian_id, ward_id) VALUES ('g', 'ward-1')")
    command = (sys.executable, "-m", "server", "serve", "api", "--config", str(config.state_dir / "mimamori.toml"))
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as api:
        try:
            _until_served(config, api)
            yield config
        finally:
            api.terminate()


def _until_served(config: ServerConfig, api: subprocess.Popen[bytes]) -> None:
    ends_s = time.monotonic() + 60
    while time.monotonic() < ends_s:
        assert api.poll() is None, "the API ended"
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{config.http.public_url}/api/v1/sign-in-ways"):
            return
        time.sleep(0.2)
    pytest.fail("the API is not served")


def card(config: ServerConfig, account: str) -> str:
    words = ("account", "card", account, "--config", str(config.state_dir / "mimamori.toml"))
    done = subprocess.run(
        (sys.executable, "-m", "server", *words), cwd=ROOT, capture_output=True, text=True, check=True
    )
    found = re.search(r"code +(\S+)", done.stdout)
    assert found, done.stdout
    return found[1]


@pytest.fixture
def page(city: ServerConfig) -> Iterator[Callable[[str], Any]]:
    """Open a window of 360 px with a virtual authenticator; nothing may stand in the console at the end."""
    said: list[str] = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), headless=True, args=FLAGS)

        def opened(path: str = "/") -> Any:
            context = browser.new_context(viewport=SMALL, locale="ja-JP", timezone_id="Asia/Tokyo")
            made = context.new_page()
            made.on("console", lambda one: said.append(one.text) if one.type in {"error", "warning"} else None)
            made.cdp, made.authenticator = passkey.add(made)
            made.goto(city.http.public_url + path)
            return made

        yield opened
        browser.close()
    ours = [text for text in said if not any(known in text for known in EXPECTED)]
    assert ours == []


def keep(page: Any, name: str) -> None:
    ARTEFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTEFACTS / f"{name}.png", full_page=True)
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= SMALL["width"], f"{name} scrolls sideways: {wide} px"


def test_an_officer_enrols_with_a_card_and_comes_back_by_passkey(city: ServerConfig, page: Callable[..., Any]) -> None:
    window = page("/")
    keep(window, "sign-in-ja")
    window.get_by_role("button", name="English").click()
    keep(window, "sign-in-en")
    window.get_by_role("button", name="日本語").click()
    window.get_by_text("登録カードをお持ちの方").click()
    window.get_by_label("カードのコード").fill(card(city, "officer-1"))
    keep(window, "card-ja")
    window.get_by_role("button", name="登録をはじめる").click()
    window.get_by_text("みまもり警察署").wait_for()
    keep(window, "enrol-ja")
    window.get_by_role("button", name="English").click()
    window.get_by_text("Mimamori Police Station").wait_for()
    keep(window, "enrol-en")
    with window.expect_navigation(url="**/staff.html"):
        window.get_by_role("button", name="Register a passkey").click()
    me = window.evaluate("fetch('/api/v1/me').then(answer => answer.json())")
    assert (me["account"]["role"], me["account"]["agency"]["id"]) == ("officer", "police-mimamori")
    assert window.evaluate("fetch('/api/v1/session', {method: 'DELETE'}).then(answer => answer.status)") == 204
    window.goto(city.http.public_url)
    with window.expect_navigation(url="**/staff.html"):
        window.get_by_role("button", name="Sign in with a passkey").click()
    assert window.evaluate("fetch('/api/v1/me').then(answer => answer.status)") == 200


def test_a_scanned_card_is_filled_in_and_leaves_no_trace_in_the_address(
    city: ServerConfig, page: Callable[..., Any]
) -> None:
    code = card(city, "g-card")
    window = page(f"/#card={code}")
    assert window.get_by_label("カードのコード").input_value() == code
    assert window.url == f"{city.http.public_url}/"
    window.get_by_role("button", name="登録をはじめる").click()
    window.get_by_role("button", name="コードを受け取る").click()
    given = window.locator("dd.code").inner_text()
    assert re.fullmatch(r"\w{4}-\w{4}-\w{4}", given)
    keep(window, "code-given-ja")
    window.get_by_role("button", name="サインインへ").click()
    window.fill("#login", "g-card")
    window.fill("#code", given)
    window.keyboard.press("Enter")
    window.get_by_text("見守る人が登録されていません").first.wait_for()


def test_a_family_adds_a_passkey_in_the_settings_and_ends_another_device(page: Callable[..., Any]) -> None:
    phone, other = page("/"), page("/")
    for window in (phone, other):
        window.fill("#login", "demo")
        window.fill("#code", "1234-5678")
        window.keyboard.press("Enter")
        window.get_by_role("button", name="設定").wait_for()
    phone.get_by_role("button", name="設定").click()
    phone.get_by_text("まだ登録していません").wait_for()
    phone.get_by_role("button", name="この端末に登録する").click()
    phone.get_by_role("button", name="パスキー「この端末」を消す").wait_for()
    keep(phone, "settings-ja")
    phone.get_by_role("button", name="終了する").click()
    other.get_by_text("サインインの期限が切れました").wait_for(timeout=5_000)
    phone.get_by_role("dialog").get_by_role("button", name="サインアウト", exact=True).click()
    phone.get_by_role("button", name="パスキーでサインイン").click()
    phone.get_by_role("button", name="設定").wait_for()


def test_a_passkey_that_is_not_known_here_is_refused_in_words(city: ServerConfig, page: Callable[..., Any]) -> None:
    window = page("/")
    window.get_by_text("登録カードをお持ちの方").click()
    window.get_by_label("カードのコード").fill(card(city, "officer-1"))
    window.get_by_role("button", name="登録をはじめる").click()
    with window.expect_navigation(url="**/staff.html"):
        window.get_by_role("button", name="パスキーを登録する").click()
    with psycopg.connect(city.dsn(), autocommit=True) as conn:
        conn.execute("DELETE FROM passkey")
    window.goto(city.http.public_url)
    window.get_by_role("button", name="パスキーでサインイン").click()
    window.get_by_role("alert").get_by_text("このパスキーでは入れません").wait_for()
    keep(window, "passkey-refused-ja")


def test_a_user_who_is_not_verified_does_not_get_in(city: ServerConfig, page: Callable[..., Any]) -> None:
    window = page(f"/#card={card(city, 'officer-1')}")
    window.get_by_role("button", name="登録をはじめる").click()
    window.cdp.send("WebAuthn.setUserVerified", {"authenticatorId": window.authenticator, "isUserVerified": False})
    window.get_by_role("button", name="パスキーを登録する").click()
    window.get_by_role("alert").wait_for()
    with psycopg.connect(city.dsn(), autocommit=True) as conn:
        assert conn.execute("SELECT 1 FROM passkey").fetchall() == []
