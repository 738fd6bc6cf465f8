"""The whole police story in Chromium: request, freeze, three approvals, export, opening, return, report.

Every program is the real one, a gateway with its camera included; the street that it films and the people are made up.
Passkeys are made and shown by Chromium's virtual authenticator.
"""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from server.demo import town
from tests import staffing
from tests.casework import INQUIRY, REQUEST, pdf
from tests.staffing import Person
from tests.system import passkey
from tests.system.test_browser import CHROMIUM, DESK, FLAGS, STATIC
from tests.system.village import Village

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.system,
    pytest.mark.browser,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not CHROMIUM.exists(), reason="/usr/bin/chromium is not installed"),
]

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "artefacts" / "police"
CAMERA = town.CAMERA
FOOTAGE_S = 20
# A header names a feature that this Chromium was built without; WebGL is slow here.
EXPECTED = ("Permissions-Policy", "GPU stall", "WebGL")
LIGHT = """video => {
    const canvas = Object.assign(document.createElement('canvas'), {width: video.videoWidth, height: video.videoHeight})
    const context = canvas.getContext('2d')
    context.drawImage(video, 0, 0)
    const {data} = context.getImageData(0, 0, canvas.width, canvas.height)
    let [brightest, black] = [0, 0]
    for (let at = 0; at < data.length; at += 4) {
        brightest = Math.max(brightest, data[at])
        black += data[at] + data[at + 1] + data[at + 2] < 24
    }
    return [brightest, black / (data.length / 4)]
}"""


@dataclass
class Desk:
    """One person's browser, with his or her passkey in it."""

    person: Person
    page: Any
    url: str
    complaints: list[str] = field(default_factory=list)

    def enter(self, card: str) -> None:
        """Use the card, make a passkey, sign out, and come back by passkey."""
        self.go("")
        self.page.locator("summary").click()
        self.page.fill("#card", card)
        self.page.keyboard.press("Enter")
        self.press("パスキーを登録する")
        self.page.wait_for_selector("main#content")
        self.press("サインアウト")
        self.press("パスキーでサインイン")
        self.page.wait_for_selector("main#content")

    def go(self, place: str) -> None:
        self.page.goto(f"{self.url}/staff.html{place}")

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def open_case(self, number: str) -> None:
        self.go("#/")
        self.page.get_by_role("link", name=re.compile(number)).click()
        self.page.wait_for_selector("[data-state]")

    def take(self, step: str) -> None:
        """Choose one of the steps that the page offers, and record it."""
        self.press(step)
        self.page.locator("#take button[type=submit]").click()
        self.page.wait_for_selector("#take", state="detached")

    def await_state(self, state: str, within_s: int = 60) -> None:
        self.page.wait_for_selector(f"[data-state={state}]", timeout=within_s * 1000)

    def keep(self, name: str) -> None:
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=PICTURES / f"{name}.png")


@dataclass
class Story:
    """A village whose police station asks for footage, and what was seen on the way.

    Attributes:
        number: of the case.
        frozen: what the officer read after submission.
        seen: brightest value of the picture that was played, and the share of it that is black.
        verified: what the page said of the hashes.
        reported: the yearly report as the public reads it.
        provided: the ledger of what was handed out, likewise.
    """

    village: Village
    desks: dict[str, Desk]
    folder: Path
    number: str = ""
    frozen: str = ""
    seen: tuple[int, float] = (0, 0.0)
    verified: str = ""
    reported: str = ""
    provided: str = ""

    def desk(self, person: Person) -> Desk:
        return self.desks[person.id]


@pytest.fixture(scope="module")
def village(founded: Callable[..., AbstractContextManager[Village]]) -> Iterator[Village]:
    if not (STATIC / "staff.html").exists():
        pytest.skip("the web app is not built: npm run build in server/web, or install the package")
    with founded(speed=1.0, has_camera=True) as made:
        yield made


@pytest.fixture(scope="module")
def story(village: Village, open_dir: Path) -> Iterator[Story]:
    """The whole story, told once."""
    cards = staffing.hire(village.settings)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), headless=True, args=FLAGS)
        desks = {person.id: _desk(browser, village, person) for person in staffing.EVERYBODY}
        made = Story(village, desks, open_dir)
        for desk in desks.values():
            desk.enter(cards[desk.person.id])
        _make_key(made)
        _ask(made)
        _decide(made)
        _receive(made)
        _give_back(made)
        _publish(made, browser)
        yield made
        browser.close()


def _desk(browser: Any, village: Village, person: Person) -> Desk:
    context = browser.new_context(viewport=DESK, locale="ja-JP", timezone_id="America/New_York")
    page = context.new_page()
    passkey.add(page)
    desk = Desk(person, page, village.settings.http.public_url)
    page.on("console", lambda said: _note(desk, said))
    page.on("pageerror", lambda error: desk.complaints.append(str(error)))
    return desk


def _note(desk: Desk, said: Any) -> None:
    is_expected = any(one in said.text for one in EXPECTED) or "/log/" in said.location.get("url", "")
    if said.type in {"error", "warning"} and not is_expected:
        desk.complaints.append(said.text)


def _make_key(story: Story) -> None:
    officer = story.desk(staffing.OFFICER)
    officer.go("#/key")
    with officer.page.expect_download() as saved:
        officer.press("鍵を作ってファイルに保存する")
    saved.value.save_as(story.folder / "officer-key.txt")
    officer.press("保存した。宛先を登録する")
    officer.page.wait_for_selector("[data-recipient]")


def _ask(story: Story) -> None:
    """Write the request with its papers, see what the rules say, submit it."""
    officer, page = story.desk(staffing.OFFICER), story.desk(staffing.OFFICER).page
    story.village.until(lambda: _kept_s(story.village) >= FOOTAGE_S + 5, 120)
    officer.go("#/cases/new")
    page.locator("input[name=purpose][value=crime]").check()
    page.fill("#offence", "窃盗")
    page.get_by_label("はい").check()
    page.fill("#inquiry-number", "加古川捜発第123号")
    page.fill("#inquiry-date", "2026-11-25")
    page.fill("#inquiry-station", "加古川警察署")
    page.fill("#inquiry-officer", "司法警察員 生活安全課長")
    page.locator(f"input[data-camera={CAMERA}]").check()
    start_ms = (_footage_from_ms(story.village) // 1000 + 3) * 1000
    page.fill("#from-1", _field(start_ms))
    page.fill("#to-1", _field(start_ms + FOOTAGE_S * 1000))
    page.keyboard.press("Tab")
    for kind, lines in {"inquiry": INQUIRY, "request": REQUEST}.items():
        paper = {"name": f"{kind}.pdf", "mimeType": "application/pdf", "buffer": pdf(*lines)}
        page.set_input_files(f"input[data-paper={kind}]", paper)
        page.locator(f"section[aria-labelledby=paper-{kind}] .name").wait_for()
    page.get_by_text("規則に合っています。申請できます。").wait_for()
    page.wait_for_selector("html[data-map=ready]", state="attached")
    officer.keep("request")
    officer.press("申請する（映像を保全する）")
    officer.await_state("submitted")
    story.number = re.findall(r"[0-9]{4}-[0-9]{4,}", page.locator("h1").inner_text())[0]
    story.frozen = page.locator(".frozen").inner_text()
    officer.keep("frozen")


def _decide(story: Story) -> None:
    """Three people of city hall, one after the other."""
    for person, step, after in (
        (staffing.HANDLER, "書類をたしかめた（次へ回す）", "prepared"),
        (staffing.SUPERVISOR, "点検した（次へ回す）", "checked"),
        (staffing.MANAGER, "承認する", "approved"),
    ):
        desk = story.desk(person)
        if person is staffing.HANDLER:
            desk.go("#/")
            desk.page.get_by_text("あなたの番").first.wait_for()
            desk.keep("inbox")
        desk.open_case(story.number)
        if person is staffing.MANAGER:
            desk.keep("approval")
        desk.take(step)
        desk.page.wait_for_selector(f"[data-state={after}], [data-state=ready]")


def _receive(story: Story) -> None:
    """Sign the undertaking, open the export with the key, look at the picture."""
    officer, page = story.desk(staffing.OFFICER), story.desk(staffing.OFFICER).page
    officer.open_case(story.number)
    officer.await_state("ready", 120)
    page.get_by_label("このとおり誓約します").check()
    officer.keep("undertaking")
    officer.press("誓約して受け取る")
    officer.await_state("released")
    page.set_input_files("input[data-key-file]", story.folder / "officer-key.txt")
    page.get_by_text("鍵を読みました").wait_for()
    page.get_by_role("button", name=re.compile("の映像をここで見る")).click()
    video = page.locator("video")
    video.wait_for()
    story.verified = page.locator("[data-verified]").inner_text()
    story.village.until(lambda: video.evaluate("video => video.readyState") >= 2, 60)
    video.evaluate("video => new Promise(done => { video.onseeked = done; video.currentTime = 2 })")
    brightest, black = video.evaluate(LIGHT)
    story.seen = (brightest, black)
    video.scroll_into_view_if_needed()
    officer.keep("opened")


def _give_back(story: Story) -> None:
    officer, page = story.desk(staffing.OFFICER), story.desk(staffing.OFFICER).page
    officer.press("使った")
    page.get_by_text("知らせた結果").wait_for()
    page.get_by_label("ここにあるすべてと、その写しが残っていません").check()
    officer.press("証明書を出す")
    page.wait_for_selector("[data-state=returned], [data-state=closed]")
    officer.keep("returned")


def _publish(story: Story, browser: Any) -> None:
    """Read the report and the ledger as anybody may, from the public page."""
    page = browser.new_page(viewport=DESK, locale="ja-JP")
    url = story.village.settings.http.public_url
    page.goto(f"{url}/open.html")
    page.get_by_role("heading", name="報告と台帳").wait_for()
    year = page.locator("#reports a[href$='.html'][href*='/reports/']").first.get_attribute("href")
    # One case among few: the report merges it, so that nobody can be told from it.
    story.village.until(lambda: _says(page, f"{url}{year}", "3件未満") and _says(page, f"{url}{year}", "非公表"), 60)
    page.screenshot(path=PICTURES / "report.png")
    story.reported = page.locator("body").inner_text()
    page.goto(f"{url}/api/v1/ledgers/provision.html")
    story.provided = page.locator("body").inner_text()


def _says(page: Any, url: str, text: str) -> bool:
    page.goto(url)
    return text in page.locator("body").inner_text()


def _footage_from_ms(village: Village) -> int:
    with psycopg.connect(village.settings.dsn()) as conn:
        found = conn.execute("SELECT footage_from_ms FROM detector_health WHERE detector_id = %s", (CAMERA,)).fetchone()
    return int(found[0]) if found and found[0] else 0


def _kept_s(village: Village) -> float:
    start_ms = _footage_from_ms(village)
    return time.time() - start_ms / 1000 if start_ms else 0.0


def _field(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, ZoneInfo("Asia/Tokyo")).strftime("%Y-%m-%dT%H:%M:%S")


def test_a_submitted_request_is_frozen_and_the_officer_is_told_so(story: Story) -> None:
    assert "映像を保全しました" in story.frozen
    with psycopg.connect(story.village.settings.dsn()) as conn:
        kinds = conn.execute("SELECT kind FROM gateway_order WHERE kind IN ('freeze', 'export') ORDER BY sequence")
        found = [kind for (kind,) in kinds.fetchall()]
    assert (found[0], found[-1]) == ("freeze", "export")


def test_three_different_people_decided(story: Story) -> None:
    with psycopg.connect(story.village.settings.dsn()) as conn:
        rows = conn.execute(
            "SELECT step, account_id FROM case_step WHERE step IN ('prepare', 'check', 'approve') ORDER BY ordinal"
        ).fetchall()
    assert rows == [
        ("prepare", staffing.HANDLER.id),
        ("check", staffing.SUPERVISOR.id),
        ("approve", staffing.MANAGER.id),
    ]


def test_the_officer_sees_the_street_in_the_page_and_what_is_private_is_black(story: Story) -> None:
    brightest, black = story.seen
    assert brightest > 100
    assert 0.02 < black < 0.9
    assert "目録のハッシュと合っています" in story.verified


def test_each_opening_and_the_return_are_on_record(story: Story) -> None:
    officer = story.desk(staffing.OFFICER)
    officer.page.reload()
    officer.page.wait_for_selector("[data-state]")
    assert "に証明（完全に消した）" in officer.page.locator("main").inner_text()
    with psycopg.connect(story.village.settings.dsn()) as conn:
        openings = conn.execute("SELECT mode, account_id FROM case_opening").fetchall()
    assert openings == [("view", staffing.OFFICER.id)]


def test_the_board_reviews_the_case_and_sees_no_footage(story: Story) -> None:
    board = story.desk(staffing.BOARD)
    board.go("#/sample")
    board.page.get_by_role("link", name=re.compile(story.number)).click()
    board.page.wait_for_selector("[data-state]")
    assert board.page.get_by_role("button", name=re.compile("の映像をここで見る")).count() == 0


def test_the_report_and_the_ledger_show_it_and_city_hall_reads_it_by_its_number(story: Story) -> None:
    assert "3件未満" in story.reported
    assert "3未満" in story.provided
    config = str(story.village.options.config_file)
    command = [sys.executable, "-m", "server", "report", "ledger", "provision", "--cases", "--format", "csv"]
    done = subprocess.run([*command, "--config", config], capture_output=True, text=True, check=False, timeout=60)
    assert story.number in done.stdout, done.stderr


def test_no_page_had_anything_to_complain_about(story: Story) -> None:
    assert {desk.person.id: desk.complaints for desk in story.desks.values() if desk.complaints} == {}
