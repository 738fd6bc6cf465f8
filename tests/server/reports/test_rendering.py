"""Reports as pages, sheets and prints."""

import csv
import io
import json
import re
import subprocess
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pypdf
import pytest

from server.reports.annual import Asked, annual
from server.reports.as_csv import csv_of
from server.reports.as_html import html_of
from server.reports.as_json import json_of
from server.reports.as_pdf import pdf_of
from server.reports.ledgers import cameras
from server.reports.tables import Document, Text
from server.store.report import Camera
from tests.server.reports.conftest import HEAD, RULES, Log

CHROMIUM = "/usr/bin/chromium"


@pytest.fixture
def report(year: Log, asked: Asked) -> Document:
    return annual(year.bodies, asked)


def _camera(**over: object) -> Camera:
    said = {
        "id": "gw-1", "label_ja": "東の角", "label_en": "East corner", "place": "加古川町1-1", "lat_deg": 34.75,
        "lon_deg": 134.84, "sign_on": "2026-04-01", "consulted_on": "2026-03-01", "noticed_on": None, "live_ms": None,
        "purposes": None,
    }  # fmt: skip
    return Camera(**{**said, **over})  # type: ignore[arg-type]


class _Tags(HTMLParser):
    """Checks that what is opened is closed, and keeps what is asked of others."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.foreign: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.foreign += [name for name, _ in attrs if name in {"src", "href", "style"} or name.startswith("on")]
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_asks_nothing_of_anybody(report: Document) -> None:
    tags = _Tags()
    tags.feed(html_of(report).decode())
    assert tags.open == []
    assert tags.foreign == []


def test_the_page_says_everything_in_both_languages(report: Document) -> None:
    page = html_of(report).decode()
    for text in (report.title, *(table.title for table in report.tables), *report.notes):
        assert escape(text.ja) in page
        assert f'<span lang="en">{escape(text.en)}' in page
    assert f"<code>{HEAD.root_hex}</code>" in page


def test_a_name_cannot_become_markup() -> None:
    page = html_of(cameras([_camera(label_ja="<script>alert(1)</script>", place='"><img>')], RULES)).decode()
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize("evil", ["=HYPERLINK(1)", "+1+1", "@SUM(A1)", "-2+3", "\t=1"])
def test_a_name_cannot_become_a_formula(evil: str) -> None:
    rows = _rows(csv_of(cameras([_camera(label_ja=evil)], RULES)))
    assert rows[1][2] == f"'{evil}"


def test_a_place_stays_a_number_in_the_sheet() -> None:
    rows = _rows(csv_of(cameras([_camera(lon_deg=-70.5)], RULES)))
    assert rows[1][rows[0].index("経度")] == "-70.50000"


def _rows(octets: bytes) -> list[list[str]]:
    assert octets.startswith(b"\xef\xbb\xbf")
    assert b"\n" not in octets.replace(b"\r\n", b"")
    return list(csv.reader(io.StringIO(octets.decode("utf-8-sig"), newline="")))


def test_the_sheet_has_a_line_for_each_number(report: Document) -> None:
    heads, *rows = _rows(csv_of(report))
    assert all(len(row) == len(heads) for row in rows)
    cells = sum(
        len(row.cells) for table in report.tables for row in (*table.rows, *([table.total] if table.total else []))
    )
    assert len(rows) == cells
    assert {row[-1] for row in rows} == {HEAD.root_hex}


def test_json_tells_the_same(report: Document) -> None:
    read = json.loads(json_of(report))
    assert [table["id"] for table in read["tables"]] == [table.id for table in report.tables]
    assert read["log"] == {"size": HEAD.size, "root": HEAD.root_hex}


def test_the_print_has_its_pages_numbered_and_the_log_to_check(report: Document) -> None:
    pages = pypdf.PdfReader(io.BytesIO(pdf_of(report))).pages
    assert len(pages) >= 2
    for number, page in enumerate(pages, 1):
        text = page.extract_text()
        assert f"{number} / {len(pages)}" in text
        assert HEAD.root_hex in text


def test_the_print_says_every_title_and_number(report: Document) -> None:
    text = "".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf_of(report))).pages)
    told = re.sub(r"\s", "", text)
    for table in report.tables:
        assert re.sub(r"\s", "", table.title.ja) in told
    assert "加古川警察署" in told
    assert "105" in told


def test_the_print_carries_no_font_and_no_time(report: Document) -> None:
    octets = pdf_of(report)
    assert b"/FontFile" not in octets
    assert b"HeiseiKakuGo-W5" in octets
    assert pypdf.PdfReader(io.BytesIO(octets)).metadata["/CreationDate"] == "D:20000101000000+00'00'"  # type: ignore[index]


def test_a_long_ledger_is_printed_over_pages_with_its_headings_on_each() -> None:
    rows = [_camera(id=f"gw-{number:04}") for number in range(120)]
    pages = pypdf.PdfReader(io.BytesIO(pdf_of(cameras(rows, RULES)))).pages
    assert len(pages) > 3
    assert all("設置場所" in page.extract_text() for page in pages)
    assert pages[0].mediabox.width > pages[0].mediabox.height


def test_a_year_without_entries_says_so_everywhere(asked: Asked) -> None:
    empty = annual([], asked)
    assert "該当はありません。" in html_of(empty).decode()
    assert "該当はありません。" in pypdf.PdfReader(io.BytesIO(pdf_of(empty))).pages[0].extract_text()
    assert all(len(row) == 9 for row in _rows(csv_of(empty)))


@pytest.mark.browser
@pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="needs /usr/bin/chromium")
@pytest.mark.parametrize("width", [360, 1200])
def test_the_page_fits_a_phone_and_a_desk(report: Document, tmp_path: Path, width: int) -> None:
    """Only a table may be wider than the screen, and it scrolls by itself."""
    page = tmp_path / "report.html"
    probe = b"<script>document.title=document.documentElement.scrollWidth+' '+innerWidth</script></body>"
    page.write_bytes(html_of(report).replace(b"</body>", probe))
    frame = tmp_path / "frame.html"
    frame.write_text(
        f'<iframe src="report.html" width="{width}" height="800" style="border:0" '
        "onload=\"document.title=this.contentDocument?this.contentDocument.title:'none'\"></iframe>"
    )
    done = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", "--dump-dom",
         f"--user-data-dir={tmp_path / 'profile'}", frame.as_uri()],
        capture_output=True, check=True, timeout=50,
    )  # fmt: skip
    found = re.search(rb"<title>(\d+) (\d+)</title>", done.stdout)
    assert found is not None, done.stdout[-500:]
    assert int(found[1]) <= int(found[2]) == width


def test_a_text_that_is_alike_in_both_languages_is_said_once() -> None:
    document = Document("x", Text("A", "A"), Text("市", "City"), (), (), ())
    assert html_of(document).decode().count(">A<") == 1
