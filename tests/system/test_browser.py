"""The family's page in Chromium, against the whole demonstration: every program of it is the real one."""

import base64
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from privacy.transparency.note import Verifier
from privacy.transparency.proof import Proof, check
from tests.system import passkey

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
playwright.expect.set_options(timeout=30_000)
CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [
    pytest.mark.system,
    pytest.mark.browser,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not CHROMIUM.exists(), reason="/usr/bin/chromium is not installed"),
]

ROOT = Path(__file__).parents[2]
ARTEFACTS = ROOT / "artefacts"
STATIC = ROOT / "server" / "static"
PHONE = {"width": 390, "height": 844}
SMALL = {"width": 360, "height": 740}
DESK = {"width": 1280, "height": 800}
# --enable-unsafe-swiftshader: WebGL without a GPU. The others keep Chromium itself from talking to anyone.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--enable-unsafe-swiftshader",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
]
SPEED = 30
LOOK_UP = """async ward => {
    const body = JSON.stringify({case: '2026-0917', reason: '電池の相談'})
    const headers = {'content-type': 'application/json'}
    return (await fetch(`/api/v1/wards/${ward}/look-up`, {method: 'POST', headers, body})).status
}"""
MAP_READY = "html[data-map=ready]"  # set by the page when MapLibre is idle
COLOURS = """async picture => {
    const image = new Image()
    image.src = `data:image/png;base64,${picture}`
    await image.decode()
    const canvas = Object.assign(document.createElement('canvas'), {width: image.width, height: image.height})
    const context = canvas.getContext('2d')
    context.drawImage(image, 0, 0)
    return new Set(new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer)).size
}"""


@dataclass(frozen=True)
class Town:
    """A running demonstration."""

    url: str
    login: str
    code: str
    handler_card: str


@dataclass
class Visit:
    """One browser window, and what it asked for and complained about."""

    page: Any
    requested: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def sign_in(self, town: Town, *, language: str = "ja") -> None:
        self.page.goto(town.url)
        if language == "en":
            self.page.get_by_role("button", name="English").click()
        self.page.fill("#login", town.login)
        self.page.fill("#code", town.code)
        self.page.keyboard.press("Enter")
        self.page.wait_for_selector(".sheet [data-heard-at-ms]", timeout=60_000)

    def wait_for_the_map(self) -> None:
        self.page.wait_for_selector(MAP_READY, state="attached", timeout=180_000)  # drawn without a GPU

    def keep(self, name: str) -> bytes:
        ARTEFACTS.mkdir(exist_ok=True)
        picture: bytes = self.page.screenshot(path=ARTEFACTS / f"{name}.png")
        return picture

    def heard_at_ms(self) -> int:
        return int(self.page.get_attribute(".sheet [data-heard-at-ms]", "data-heard-at-ms"))


def _until(holds: Callable[[], object], what: str, *, within_s: float = 120.0) -> None:
    ends_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < ends_s, f"not within {within_s} s: {what}"
        time.sleep(0.25)


def _ready(output: Iterator[str]) -> Town:
    url = sign_in = card = ""
    seen = []
    for line in output:
        seen.append(line)
        url = line.split("App: ")[1].strip() if "App: " in line else url
        sign_in = line.split("Demo sign-in: ")[1].strip() if "Demo sign-in: " in line else sign_in
        card = line.split(" card ")[1].strip() if "handler: 登録カード card " in line else card
        if line.strip() == "ready":
            login, code = sign_in.split(" / ")
            return Town(url, login, code, card)
    pytest.fail("the demonstration ended before it was ready:\n" + "".join(seen))


@pytest.fixture(scope="module")
def town(open_dir: Path) -> Iterator[Town]:
    if not (STATIC / "index.html").exists():
        pytest.skip("the web app is not built: npm run build in server/web, or install the package")
    state = open_dir / "browser"
    command = [sys.executable, "-m", "server", "demo", "--headless", "--state", str(state)]
    command += ["--port", "0", "--speed", str(SPEED), "--duration", "900"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout
        try:
            yield _ready(demo.stdout)
        finally:
            demo.send_signal(signal.SIGTERM)
            demo.communicate(timeout=120)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), headless=True, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Any, town: Town) -> Iterator[Callable[..., Visit]]:
    """Open a window; at the end nothing may have left this machine and nothing may stand in the console."""
    visits: list[Visit] = []

    def opened(viewport: dict[str, int], **options: Any) -> Visit:
        context = chromium.new_context(viewport=viewport, locale="ja-JP", timezone_id="America/New_York", **options)
        made = Visit(context.new_page())
        context.on("request", lambda request: made.requested.append(request.url))
        made.page.on("console", lambda said: _note(made, said))
        made.page.on("pageerror", lambda error: made.complaints.append(str(error)))
        visits.append(made)
        return made

    yield opened
    for made in visits:
        made.page.context.close()
        hosts = {urlsplit(url).netloc for url in made.requested if urlsplit(url).scheme not in {"data", "blob"}}
        assert hosts == {urlsplit(town.url).netloc}
        assert made.complaints == []


def _note(visit: Visit, said: Any) -> None:
    # "Not seen yet" is a 404 by contract, and Chromium writes each 404 into the console.
    is_not_seen_yet = said.location["url"].endswith("/place") and "404" in said.text
    if said.type == "error" and not is_not_seen_yet:
        visit.complaints.append(said.text)


def _event_words(visit: Visit) -> list[str]:
    return list(visit.page.locator("#panel li .what").all_inner_texts())


def test_a_family_signs_in_and_sees_the_map_and_the_place(visit: Callable[..., Visit], town: Town) -> None:
    window = visit(PHONE)
    window.sign_in(town)
    window.wait_for_the_map()
    canvas = window.page.locator("canvas.maplibregl-canvas").screenshot()
    assert window.page.evaluate(COLOURS, base64.b64encode(canvas).decode()) > 500
    assert window.page.inner_text(".sheet h1").startswith("ゆいさん")
    assert window.page.inner_text(".pin[aria-pressed=true]") == "ゆい"
    assert re.search(r"確認.*およそ\d+mの範囲", window.page.inner_text(".sheet .when").replace("\n", ""))
    playwright.expect(window.page.get_by_text("つながっています")).to_be_visible()
    playwright.expect(window.page.get_by_text("架空の町・合成データ")).to_be_visible()


def test_the_ward_moves_and_the_event_is_told_while_the_page_is_open(visit: Callable[..., Visit], town: Town) -> None:
    window = visit(PHONE, device_scale_factor=1.5)
    window.sign_in(town)
    window.wait_for_the_map()
    first_ms = window.heard_at_ms()
    window.page.get_by_role("button", name="足あと").click()
    _until(lambda: window.heard_at_ms() > first_ms, "the live stream brings a newer place")
    _until(lambda: window.page.locator("#panel li").count() >= 2, "the track passes a second place")
    window.keep("track-ja")
    window.page.get_by_role("button", name="お知らせ").click()
    _until(lambda: "みまもり小学校に着きました" in _event_words(window), "arriving at school is told", within_s=240)
    window.keep("notices-ja")
    window.page.get_by_role("button", name="お知らせ").click()
    window.keep("family-ja")


def test_english_is_remembered(visit: Callable[..., Visit], town: Town) -> None:
    window = visit(PHONE, device_scale_factor=1.5)
    window.sign_in(town, language="en")
    assert window.page.inner_text(".sheet h1").startswith("Yui")
    window.page.reload()
    window.page.wait_for_selector(".sheet [data-heard-at-ms]")
    assert window.page.evaluate("document.documentElement.lang") == "en"
    window.wait_for_the_map()
    window.keep("family-en")


@pytest.mark.parametrize(("name", "viewport"), [("small", SMALL), ("desk", DESK)])
def test_nothing_is_cut_off_and_every_target_can_be_touched(
    visit: Callable[..., Visit], town: Town, name: str, viewport: dict[str, int]
) -> None:
    for language in ("ja", "en"):
        window = visit(viewport)
        window.sign_in(town, language=language)
        if language == "ja":  # once: without a GPU the large map is a minute's work
            window.wait_for_the_map()
        window.keep(f"home-{name}-{language}")
        assert window.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        boxes = [target.bounding_box() for target in window.page.locator("button:visible, input:visible").all()]
        assert [box for box in boxes if box and min(box["width"], box["height"]) < 44] == []


def test_the_slider_goes_back_in_time_by_keyboard(visit: Callable[..., Visit], town: Town) -> None:
    window = visit(PHONE)
    window.sign_in(town)
    slider = window.page.locator("#slider")
    slider.focus()
    window.page.keyboard.press("Home")
    _until(lambda: "いまの場所にもどる" in window.page.inner_text(".sheet"), "the past is shown as the past")
    assert re.match(r"\d+:\d\d", slider.get_attribute("aria-valuetext"))
    window.page.get_by_role("button", name="いまの場所にもどる").click()
    _until(lambda: "いまの場所にもどる" not in window.page.inner_text(".sheet"), "the present is back")


def test_a_family_reads_who_looked_and_takes_a_proof_of_it(
    visit: Callable[..., Visit], town: Town, tmp_path: Path
) -> None:
    clerk = visit(DESK).page
    passkey.add(clerk)
    clerk.goto(f"{town.url}/staff.html")
    clerk.locator("summary").click()
    clerk.fill("#card", town.handler_card)
    clerk.keyboard.press("Enter")
    clerk.get_by_role("button", name="パスキーを登録する").click()
    clerk.wait_for_selector("main#content")
    assert clerk.evaluate(LOOK_UP, "ward-001") == 200
    window = visit(SMALL)
    window.sign_in(town)
    window.page.get_by_role("button", name="設定").click()
    window.page.get_by_text("照会の記録").click()
    playwright.expect(window.page.get_by_text("家族の支援（2026-0917）")).to_be_visible()
    window.keep("look-ups-ja")
    with window.page.expect_download() as download:
        window.page.get_by_role("link", name="の照会の証明書").click()
    download.value.save_as(tmp_path / "mine.tlog-proof")
    key = Verifier.parse(window.page.evaluate("fetch('/log/log.vkey').then(answer => answer.text())").strip())
    found = check(Proof.parse((tmp_path / "mine.tlog-proof").read_text("utf-8")), [key], None)
    assert (found.entry["kind"], found.named) == ("lookup.made", {"ward": "ward-001"})


def test_a_wrong_code_is_explained(visit: Callable[..., Visit], town: Town) -> None:
    window = visit(PHONE)
    window.page.goto(town.url)
    window.page.fill("#login", town.login)
    window.page.fill("#code", "0000-0000")
    window.page.keyboard.press("Enter")
    alert = window.page.get_by_role("alert")
    playwright.expect(alert).to_contain_text("利用者IDかコードがちがいます")
    window.keep("wrong-code-ja")
    assert all("401" in complaint for complaint in window.complaints)
    window.complaints.clear()


def test_without_a_network_the_app_opens_and_holds_nothing_personal(visit: Callable[..., Visit], town: Town) -> None:
    window = visit(PHONE)
    window.sign_in(town)
    window.page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    kept = window.page.evaluate(
        "caches.keys().then(names => Promise.all(names.map(name => caches.open(name).then(cache => cache.keys()))))"
        ".then(lists => lists.flat().map(request => new URL(request.url).pathname))"
    )
    assert "/" in kept
    assert [path for path in kept if path.startswith("/api")] == []
    window.page.context.set_offline(offline=True)
    playwright.expect(window.page.get_by_text("オフラインです")).to_be_visible()
    window.keep("offline-ja")
    window.page.reload()
    playwright.expect(window.page.get_by_role("button", name="もう一度")).to_be_visible()
    window.page.context.set_offline(offline=False)
    window.complaints.clear()  # the console says of each request that there was no network


def test_the_service_worker_shows_what_the_notifier_sends(visit: Callable[..., Visit], town: Town) -> None:
    from server.notify.texts import PUSH_BODY, TITLE, event_url, push_payload  # noqa: PLC0415 - skips come first

    window = visit(PHONE, permissions=["notifications"])
    session = window.page.context.new_cdp_session(window.page)
    workers: list[dict[str, Any]] = []
    session.on("ServiceWorker.workerRegistrationUpdated", lambda news: workers.extend(news["registrations"]))
    session.send("ServiceWorker.enable")
    window.page.goto(town.url)
    _until(lambda: window.page.evaluate("navigator.serviceWorker.ready.then(() => true)") and workers, "it is known")
    payload = push_payload(event_url(town.url, 7), "event-7", is_urgent=False)
    delivery = {"origin": town.url, "registrationId": workers[0]["registrationId"], "data": payload}
    session.send("ServiceWorker.deliverPushMessage", delivery)
    shown: list[Any] = []

    def is_shown() -> bool:
        shown[:] = window.page.evaluate(
            "navigator.serviceWorker.ready.then(worker => worker.getNotifications())"
            ".then(list => list.map(({title, body, tag, data}) => [title, body, tag, data]))"
        )
        return bool(shown)

    _until(is_shown, "the notification is shown")
    assert shown == [[TITLE, PUSH_BODY, json.loads(payload)["notification"]["tag"], "?event=7"]]
