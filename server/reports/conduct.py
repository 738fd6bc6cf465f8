"""The tables of how the city and the recipient bodies kept the rules. They are told however small the counts are."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

from server.reports.scope import Scope
from server.reports.tables import Row, Table, Text
from server.reports.words import COUNT, RULES, TOTAL

_RULE: Final = re.compile(r"R(\d{2})(?:-|$)", re.ASCII)
_WHAT: Final = Text("項目", "Item")
_HOUR_MS: Final = 3_600_000


def tables(scope: Scope) -> tuple[Table, ...]:
    """Return the tables in the order of the report."""
    return (
        refusals(scope),
        emergencies(scope),
        returns(scope),
        overdue(scope),
        openings(scope),
        oversight(scope),
        deletion(scope),
        changes(scope),
        statistics(scope),
    )


def refusals(scope: Scope) -> Table:
    """Return how often each rule refused something; one refusal may break several rules."""
    found: Counter[str] = Counter()
    denied = [entry for entry in scope.entries if entry.is_denial]
    for entry in denied:
        found.update({_rule_of(policy) for policy in entry.text("policies").split(",")})
    rows = tuple(Row((_rule_name(rule),), (count,)) for rule, count in sorted(found.items()) if rule in RULES)
    return Table(
        id="refusals",
        title=Text("規則による拒否", "Refusals by rule"),
        heads=(Text("規則", "Rule"),),
        columns=(COUNT,),
        rows=rows,
        total=Row((Text("拒否した操作", "Refused operations"),), (len(denied),)) if rows else None,
        note=Text(
            "1回の拒否が複数の規則に当たることがあり、その場合は各規則で数えます。",
            "One refusal may break several rules and is then counted at each of them.",
        ),
    )


def emergencies(scope: Scope) -> Table:
    """Return releases in an emergency and whether they were ratified in time (rule 9)."""
    limit_ms = scope.rules.emergency_hours * _HOUR_MS
    cases = [case for case in scope.cases if case.emergency_ms is not None and scope.year.has(case.emergency_ms)]
    took = [case.ratified_ms - (case.emergency_ms or 0) for case in cases if case.ratified_ms is not None]
    undecided = [case for case in cases if case.ratified_ms is None and case.revoked_ms is None]
    ended = sum(bool(case.ended_by) for case in undecided)
    return _list(
        "emergencies",
        Text("緊急の提供と事後承認", "Emergencies and their ratification"),
        (Text("緊急の提供", "Released in an emergency"), len(cases)),
        (Text("期限内に承認", "Ratified in time"), sum(ms <= limit_ms for ms in took)),
        (Text("期限後に承認", "Ratified late"), sum(ms > limit_ms for ms in took)),
        (Text("承認されず取り消し", "Revoked: not ratified"), sum(case.revoked_ms is not None for case in cases)),
        (Text("承認の前に終了(提供なし)", "Ended before that, nothing handed over"), ended),
        (Text("承認待ち", "Waiting"), len(undecided) - ended),
    )


def returns(scope: Scope) -> Table:
    """Return how many releases came back or were destroyed and how many were late, copies of the city too (12, 17)."""
    year = scope.year
    late = [case for case in scope.cases if year.has(case.overdue_ms)]
    copies = [case.copies_overdue_ms(scope.rules.copy_ms, scope.as_of_ms) for case in scope.cases]
    return _list(
        "returns",
        Text("返却・廃棄", "Return and destruction"),
        (Text("返却・廃棄の証明", "Certificates received"), sum(year.has(case.returned_ms) for case in scope.cases)),
        (Text("期限の延長", "Extensions"), scope.count("case.extended")),
        (Text("期限を過ぎた提供先の複製", "Overdue at recipients"), len(late)),
        (Text("うち集計時に未返却", "Of these not returned yet"), sum(case.returned_ms is None for case in late)),
        (
            Text("廃棄した市の複製(案件)", "City's copies destroyed (cases)"),
            sum(year.has(case.copies_gone_ms) for case in scope.cases),
        ),
        (Text("廃棄の期限を過ぎた市の複製(案件)", "City's copies kept too long (cases)"), sum(map(year.has, copies))),
    )


def overdue(scope: Scope) -> Table:
    """Return who was late, by name: a body, not a person (rule 17)."""
    late = Counter(case.agency for case in scope.cases if scope.year.has(case.overdue_ms))
    rows = tuple(Row((scope.agency(agency),), (count,)) for agency, count in sorted(late.items()))
    return Table(
        id="overdue",
        title=Text("返却・廃棄の期限を過ぎた提供先", "Bodies with overdue returns"),
        heads=(Text("提供先", "Recipient body"),),
        columns=(COUNT,),
        rows=rows,
        total=Row((TOTAL,), (late.total(),)) if rows else None,
    )


def openings(scope: Scope) -> Table:
    """Return how often footage was opened; each opening is logged before its first byte (rule 13)."""
    return _list(
        "openings",
        Text("映像の取り出しと閲覧", "Exports and openings of footage"),
        (Text("書き出し", "Exports"), scope.count("case.exported")),
        (Text("閲覧", "Views"), scope.count("footage.viewed")),
        (Text("ダウンロード", "Downloads"), scope.count("footage.downloaded")),
    )


def oversight(scope: Scope) -> Table:
    """Return complaints, inspections and breaches."""
    return _list(
        "oversight",
        Text("苦情・点検・漏えい", "Complaints, inspections, breaches"),
        (Text("苦情", "Complaints"), scope.count("complaint.received")),
        (Text("点検・監査", "Inspections and audits"), scope.count("inspection.held")),
        (Text("点検での指摘", "Findings of these"), scope.sum("inspection.held", "findings")),
        (Text("漏えい等", "Breaches"), scope.count("breach.found")),
        (Text("漏えい等の対象人数", "Persons concerned by breaches"), scope.sum("breach.found", "persons")),
    )


def deletion(scope: Scope) -> Table:
    """Return runs of the retention schedule and erasures."""
    return _list(
        "deletion",
        Text("保存期限による消去", "Deletion on schedule"),
        (Text("消去の実行", "Retention runs"), scope.count("retention.run")),
        (Text("消去した記録", "Records deleted"), scope.sum("retention.run", "deleted")),
        (Text("本人の記録の消去", "Wards erased"), scope.count("ward.erased")),
    )


def changes(scope: Scope) -> Table:
    """Return what changed about cameras, rules and bodies."""
    return _list(
        "changes",
        Text("カメラと運用の変更", "Changes of cameras and rules"),
        (Text("稼働を始めたカメラ", "Cameras gone live"), scope.count("camera.live")),
        (Text("プライバシーマスクの変更", "Mask changes"), scope.count("mask.changed")),
        (Text("審査会を経た新しい利用", "Gates opened after the board's opinion"), scope.count("gate.opened")),
        (Text("災害の宣言", "Disasters declared"), scope.count("disaster.declared")),
        (Text("登録した提供先", "Bodies registered"), scope.count("agency.registered")),
    )


def statistics(scope: Scope) -> Table:
    """Return what was published as open data."""
    return _list(
        "statistics",
        Text("統計の公表", "Statistics published"),
        (Text("公表した日数", "Days published"), scope.count("statistic.published")),
        (Text("公表したます目", "Cells released"), scope.sum("statistic.published", "released")),
        (Text("人数が少なく公表しなかったます目", "Cells suppressed"), scope.sum("statistic.published", "suppressed")),
    )


def _list(name: str, title: Text, *items: tuple[Text, int]) -> Table:
    return Table(name, title, (_WHAT,), (COUNT,), tuple(Row((item,), (count,)) for item, count in items))


def _rule_of(policy: str) -> str:
    """Return the rule of a policy; those of families and protective measures are one, or a few would tell of one."""
    found = _RULE.match(policy)
    return f"R{found[1]}" if found else "other"


def _rule_name(rule: str) -> Text:
    known = RULES[rule]
    number = int(rule[1:]) if rule.startswith("R") else 0
    return Text(f"規則{number} {known.ja}", f"Rule {number}: {known.en}") if number else known
