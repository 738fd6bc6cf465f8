"""The three ledgers that the ordinance wants: cameras, equipment, and what was provided.

The first two are of the registry and the records of each camera, the third of the audit log.

Source: docs/ORDINANCE.md, rule 20; 稲美町 規則17号 様式1, 様式2.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Final

from server.reports.entries import Entry, counted
from server.reports.histories import History, histories
from server.reports.names import agencies_of
from server.reports.provision import by_recipient, merged_provision
from server.reports.rules import ReportRules, Year, date_ja, fiscal_year
from server.reports.scope import scope_of
from server.reports.tables import Cell, Document, Head, Row, Table, Text
from server.reports.words import BASES, NOTHING, OUTCOMES, PURPOSES, named
from server.store.report import Camera, Device


class Ledger(StrEnum):
    """Which ledger."""

    CAMERAS = "cameras"
    EQUIPMENT = "equipment"
    PROVISION = "provision"


TITLES: Final = {
    Ledger.CAMERAS: Text("設置場所一覧簿", "Ledger of cameras"),
    Ledger.EQUIPMENT: Text("関連機器等管理台帳", "Ledger of equipment"),
    Ledger.PROVISION: Text("提供台帳", "Ledger of provision"),
}
_NUMBER: Final = Text("番号", "Number")
_CASE_COLUMNS: Final = (
    Text("目的", "Purpose"),
    Text("根拠", "Basis"),
    Text("請求", "Requested"),
    Text("台数", "Cameras"),
    Text("時間", "Hours"),
    Text("結果", "Outcome"),
    Text("提供", "Released"),
    Text("期限超過", "Overdue"),
    Text("返却・廃棄", "Returned"),
)
_NO_CASES: Final = Table("provision", TITLES[Ledger.PROVISION], (_NUMBER,), (), ())
_KINDS: Final = {
    "fixed": Text("固定(カメラ・検知器)", "Fixed (camera, detector)"),
    "vehicle": Text("車両", "Vehicle"),
}


def cameras(rows: Sequence[Camera], rules: ReportRules) -> Document:
    """Return where cameras stand, and the records that each needs before it goes live."""
    heads = (_NUMBER, Text("名称", "Name"))
    columns = (
        Text("設置場所", "Place"),
        Text("緯度", "Latitude"),
        Text("経度", "Longitude"),
        Text("標示", "Sign"),
        Text("意見聴取", "Residents heard"),
        Text("公告", "Public notice"),
        Text("運用開始", "Live since"),
        Text("利用目的", "Purposes"),
    )
    table = Table(
        id=Ledger.CAMERAS.value,
        title=TITLES[Ledger.CAMERAS],
        heads=heads,
        columns=columns,
        rows=tuple(Row((Text(one.id, one.id), Text(one.label_ja, one.label_en)), _camera(one)) for one in rows),
        note=Text(
            "標示・意見聴取・公告・設置場所の記録とプライバシーマスクのないカメラは運用を開始できません。",
            "A camera without its sign, consultation, notice, place and privacy mask on record cannot go live.",
        ),
    )
    return _document(Ledger.CAMERAS, (table,), rules)


def equipment(rows: Sequence[Device], rules: ReportRules) -> Document:
    """Return the devices of the city; volunteers' phones are people's own and stand in no ledger."""
    columns = (
        Text("種別", "Kind"),
        Text("登録", "Enrolled"),
        Text("状態", "State"),
        Text("マスク変更", "Mask changed"),
    )
    table = Table(
        id=Ledger.EQUIPMENT.value,
        title=TITLES[Ledger.EQUIPMENT],
        heads=(_NUMBER, Text("名称", "Name")),
        columns=columns,
        rows=tuple(Row((Text(one.id, one.id), Text(one.label_ja, one.label_en)), _device(one)) for one in rows),
        note=Text("協力者の電話は含みません。", "Volunteers' phones are not listed."),
    )
    return _document(Ledger.EQUIPMENT, (table,), rules)


def provision(bodies: Iterable[bytes], rules: ReportRules, head: Head | None) -> Document:
    """Return what was provided, a table a fiscal year with small rows merged as in its report.

    For everybody: the same rows as the report's, so that the two together tell no more than one.
    """
    entries = tuple(counted(bodies))
    newest_first = sorted(
        {fiscal_year(entry.at_ms) for entry in entries if entry.kind.startswith("case.")}, reverse=True
    )
    tables = tuple(_year_of_provision(entries, Year.of(number), rules) for number in newest_first)
    return _document(Ledger.PROVISION, tables or (_NO_CASES,), rules, head)


def cases(bodies: Iterable[bytes], rules: ReportRules, head: Head | None) -> Document:
    """Return the ledger of provision with a line a case, for city hall alone: out of the log, no person named."""
    entries = tuple(counted(bodies))
    names = agencies_of(entries)
    table = Table(
        id=Ledger.PROVISION.value,
        title=TITLES[Ledger.PROVISION],
        heads=(_NUMBER, Text("提供先", "Recipient body")),
        columns=_CASE_COLUMNS,
        rows=tuple(
            Row((Text(case.number, case.number), names.get(case.agency) or Text(case.agency, case.agency)), _case(case))
            for case in histories(entries)
        ),
        note=Text("庁内用。公表しないでください。", "For city hall. Not to be published."),
    )
    return _document(Ledger.PROVISION, (table,), rules, head)


def _year_of_provision(entries: Sequence[Entry], year: Year, rules: ReportRules) -> Table:
    scope = scope_of(entries, year, rules)
    table = by_recipient(scope, merged_provision(scope))
    title = Text(f"{year.number}年度", f"Fiscal year {year.number}")
    return replace(table, id=f"provision-{year.number}", title=title)


def _document(ledger: Ledger, tables: tuple[Table, ...], rules: ReportRules, head: Head | None = None) -> Document:
    return Document(
        id=f"ledger-{ledger.value}",
        title=TITLES[ledger],
        city=rules.city,
        facts=(),
        tables=tables,
        notes=(),
        head=head,
    )


def _camera(one: Camera) -> tuple[Cell, ...]:
    purposes = [named(PURPOSES, purpose) for purpose in one.purposes or ()]
    told = Text("・".join(text.ja for text in purposes), ", ".join(text.en for text in purposes))
    every = Text("条例のすべての目的", "All of the ordinance")
    return (
        one.place,
        f"{one.lat_deg:.5f}",
        f"{one.lon_deg:.5f}",
        one.sign_on or "-",
        one.consulted_on or "-",
        one.noticed_on or "-",
        "-" if one.live_ms is None else date_ja(one.live_ms),
        NOTHING if one.live_ms is None else every if one.purposes is None else told,
    )


def _device(one: Device) -> tuple[Cell, ...]:
    state = Text("廃止", "Withdrawn") if one.is_revoked else Text("使用中", "In use")
    return (
        named(_KINDS, one.kind),
        "-" if one.enrolled_ms is None else date_ja(one.enrolled_ms),
        state if one.is_revoked or one.enrolled_ms is not None else Text("登録待ち", "Not enrolled"),
        "-" if one.masked_ms is None else date_ja(one.masked_ms),
    )


def _case(case: History) -> tuple[Cell, ...]:
    return (
        named(PURPOSES, case.purpose),
        named(BASES, case.basis),
        _day(case.submitted_ms),
        case.cameras,
        case.camera_hours,
        OUTCOMES[case.outcome],
        _day(case.released_ms),
        _day(case.overdue_ms),
        _day(case.returned_ms),
    )


def _day(at_ms: int | None) -> str:
    return "-" if at_ms is None else date_ja(at_ms)
