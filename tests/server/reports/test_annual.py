"""The annual report from entries of the log."""

import inspect
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from privacy.cases import ENTRY_OF
from server.reports import conduct, histories
from server.reports.annual import Asked, annual
from server.reports.as_csv import csv_of
from server.reports.as_html import html_of
from server.reports.as_json import json_of
from server.reports.as_pdf import pdf_of
from server.reports.errors import ReportError
from server.reports.tables import Below, Cell, Document, Table
from tests.server.reports.conftest import RULES, Log

ROOT = Path(__file__).parents[3]
_KIND = re.compile(r'"([a-z]+\.[a-z_]+)"')


def _table(document: Document, name: str) -> Table:
    return next(table for table in document.tables if table.id == name)


def _cells(document: Document, name: str) -> dict[str, tuple[Cell, ...]]:
    table = _table(document, name)
    rows = [*table.rows, *([table.total] if table.total else [])]
    return {" / ".join(head.ja for head in row.heads if head.ja): row.cells for row in rows}


def test_footage_is_counted_by_purpose_and_body(year: Log, asked: Asked) -> None:
    found = _cells(annual(year.bodies, asked), "provision")
    assert found["発生した犯罪の捜査 / 加古川警察署"] == (9, 7, 28, 105)
    assert found["合計"] == (14, 12, 28 + 68 + 3, 105 + 24 + 6)


def test_a_single_case_is_merged_with_another_row(year: Log, asked: Asked) -> None:
    found = _cells(annual(year.bodies, asked), "provision")
    assert found["その他(少数のため合算)"] == (5, 5, 68 + 3, 24 + 6)
    assert not any("行方不明者" in name for name in found)


def test_a_lone_case_is_told_as_under_the_limit(log: Log, asked: Asked) -> None:
    log.provided("2026-0001", "2026-05-01")
    found = _cells(annual(log.bodies, asked), "provision")
    assert found["合計"][:2] == (Below(3), Below(3))
    assert "6" not in str(found["合計"][2:])


def test_refusals_are_counted_by_rule(year: Log, asked: Asked) -> None:
    found = _cells(annual(year.bodies, asked), "refusals")
    assert found["規則2 照会書と誓約書"] == (1,)
    assert found["規則8 台数と時間の上限"] == (1,)
    assert found["拒否した操作"] == (1,)


def test_an_emergency_ratified_after_a_day_counts_as_late(year: Log, asked: Asked) -> None:
    found = _cells(annual(year.bodies, asked), "emergencies")
    assert found["緊急の提供"] == (1,)
    assert (found["期限内に承認"], found["期限後に承認"]) == ((0,), (1,))


def test_an_emergency_that_ended_before_its_ratification_waits_for_none(log: Log, asked: Asked) -> None:
    for number, end in (("2026-0001", "found"), ("2026-0002", "withdrawn"), ("2026-0003", "")):
        step = log.case(number, "2026-07-01", emergency=True)
        step("submitted")
        step("hastened", 0.1)
        if end:
            step(end, 0.2)
    found = _cells(annual(log.bodies, asked), "emergencies")
    assert (found["緊急の提供"], found["承認の前に終了(提供なし)"], found["承認待ち"]) == ((3,), (2,), (1,))


def test_who_is_late_is_named(year: Log, asked: Asked) -> None:
    document = annual(year.bodies, asked)
    assert _cells(document, "overdue") == {"加古川警察署": (2,), "県警察本部": (1,), "合計": (3,)}
    assert _cells(document, "returns")["うち集計時に未返却"] == (1,)


def test_copies_that_the_city_kept_too_long_are_told(year: Log, asked: Asked) -> None:
    found = _cells(annual(year.bodies, asked), "returns")
    assert found["廃棄した市の複製(案件)"] == (6,)
    assert found["廃棄の期限を過ぎた市の複製(案件)"] == (1 + 4 + 1,)  # number 7 and those of headquarters


def test_missing_answers_are_a_share(year: Log, asked: Asked) -> None:
    found = _cells(annual(year.bodies, asked), "feedback")
    assert found["役に立った"] == (4, "33.3")
    assert found["回答なし"] == (8, "66.7")


@pytest.mark.parametrize(
    ("table", "item", "count"),
    [
        ("oversight", "苦情", 1),
        ("oversight", "点検での指摘", 2),
        ("deletion", "消去した記録", 120),
        ("statistics", "公表したます目", 12),
        ("openings", "閲覧", 1),
        ("openings", "書き出し", 12),
        ("look-ups", "タグ事業者", 3),
    ],
)
def test_what_the_log_says_is_in_the_report(year: Log, asked: Asked, table: str, item: str, count: int) -> None:
    assert _cells(annual(year.bodies, asked), table)[item] == (count,)


def test_every_kind_that_a_report_or_the_boards_page_asks_for_is_one_that_is_written() -> None:
    written = set(ENTRY_OF.values())
    for folder in (
        "cases",
        "clerk",
        "duties",
        "accounts",
        "api",
        "permit",
        "history",
        "retention",
        "statistics",
        "store",
    ):
        for file in (ROOT / "server" / folder).rglob("*.py"):
            written |= set(_KIND.findall(file.read_text("utf-8")))
    asked_for = set[str]()
    for module in (conduct, histories):
        asked_for |= set(_KIND.findall(inspect.getsource(module)))
    page = (ROOT / "server/web/src/staff/pages/Audit.svelte").read_text("utf-8").replace("'", '"')
    asked_for |= set(_KIND.findall(page.partition("const WANTED")[0]))
    assert len(asked_for) > 30
    assert asked_for - written == set()


def test_a_year_begins_in_april_in_japan(log: Log) -> None:
    log.add("footage.viewed", "2026-03-31T23:59")
    log.add("footage.viewed", "2026-04-01T00:00")
    log.add("footage.viewed", "2027-04-01T00:00")
    for year, count in ((2025, 1), (2026, 1), (2027, 1), (2028, 0)):
        assert _cells(annual(log.bodies, Asked(year, RULES)), "openings")["閲覧"] == (count,)


def test_what_comes_after_the_year_changes_nothing(year: Log, asked: Asked) -> None:
    before = json_of(annual(year.bodies, asked))
    year.add("case.returned", "2027-05-01", case="2026-0012")
    assert json_of(annual(year.bodies, asked)) == before


def test_one_entry_more_in_the_year_is_seen(year: Log, asked: Asked) -> None:
    before = json_of(annual(year.bodies, asked))
    year.add("complaint.received", "2026-09-01", about="tag")
    assert json_of(annual(year.bodies, asked)) != before


_BROKEN = [
    b'{"kind":"case.approved"',
    b'["kind":"case.approved"]',
    b'{"v":2,"kind":"case.approved","at_ms":1,"role":"clerk","facts":{}}',
    b'{"v":1,"kind":"case.approved","at_ms":"1","role":"clerk","facts":{}}',
    b'{"v":1,"kind":"case.approved","at_ms":1,"role":"clerk","facts":[]}',
    b'"kind":"case.\xff',
]


@pytest.mark.parametrize("body", _BROKEN)
def test_a_log_that_cannot_be_read_gives_no_report(year: Log, asked: Asked, body: bytes) -> None:
    with pytest.raises(ReportError, match="entry 3"):
        annual([*year.bodies[:3], body], asked)


def test_a_year_out_of_range_is_refused() -> None:
    with pytest.raises(ReportError, match="2000"):
        annual([], Asked(20260, RULES))


def test_the_same_entries_give_the_same_octets_twice(year: Log, asked: Asked) -> None:
    for render in (html_of, csv_of, pdf_of, json_of):
        assert render(annual(year.bodies, asked)) == render(annual(iter(year.bodies), asked))


_AGAIN = """
import sys
from server.reports.annual import Asked, annual
from server.reports.as_csv import csv_of
from server.reports.as_html import html_of
from server.reports.as_json import json_of
from server.reports.as_pdf import pdf_of
from tests.server.reports.conftest import HEAD, RULES
import hashlib
bodies = open(sys.argv[1], "rb").read().split(b"\\n")
report = annual(bodies, Asked(2026, RULES, HEAD))
for render in (html_of, csv_of, pdf_of, json_of):
    print(hashlib.sha256(render(report)).hexdigest())
"""


def test_other_processes_give_the_same_octets(year: Log, tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"\n".join(year.bodies))
    said = set()
    for seed, zone, code in itertools.zip_longest(
        ("0", "1", "4242"), ("UTC", "Asia/Tokyo", "America/Lima"), ("C",) * 3
    ):
        env = {**os.environ, "PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": code, "PYTHONPATH": str(ROOT)}
        done = subprocess.run([sys.executable, "-c", _AGAIN, str(file)], env=env, capture_output=True, check=True)
        said.add(done.stdout)
    assert len(said) == 1
    assert len(said.pop().split()) == 4
