"""The annual report, computed from the audit log alone: the same entries give the same report.

Source: docs/ORDINANCE.md, rules 9, 17, 21 and 22; 伊丹市 安全・安心見守りカメラ条例 9条 (number, purpose, recipient).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from server.reports import conduct, provision
from server.reports.entries import counted
from server.reports.rules import ReportRules, Year, date_ja, minute_ja
from server.reports.scope import Scope, scope_of
from server.reports.tables import Document, Head, Text

_NOTES = (
    Text(
        "個人を特定できるおそれのある少ない件数は「その他」に合算し、件数が0の行は載せません。"
        "合計から逆算できないよう、少数でない行も合わせて合算することがあります。",
        "Small counts that could point at a person are merged into Others; rows of zero are not shown. "
        "A row that is not small may be merged too, so that totals do not reveal the small ones.",
    ),
    Text(
        "市の事務の状況(緊急提供、期限超過、苦情、点検、漏えいなど)の件数は、少なくてもそのまま示します。",
        "Counts of the city's own conduct (emergencies, overdue returns, complaints, inspections, breaches) "
        "are told however small.",
    ),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is reported on.

    Attributes:
        year: fiscal year, by the calendar year in which its April is.
        rules: of the city.
        head: state of the log that the entries are of.
    """

    year: int
    rules: ReportRules
    head: Head | None = None


def annual(bodies: Iterable[bytes], asked: Asked) -> Document:
    """Return the report of a fiscal year.

    Args:
        bodies: of all entries of the log in their order, from the first one: what was asked for last year may be
            returned in this one. What was written after the year changes nothing.
        asked: what of it.

    Raises:
        ReportError: an entry cannot be read, or no such year.
    """
    year = Year.of(asked.year)
    scope = scope_of(tuple(counted(bodies)), year, asked.rules)
    tables = (*provision.tables(scope), *conduct.tables(scope))
    return Document(
        id=f"annual-{asked.year}",
        title=Text(f"{asked.year}年度 見守りカメラ等 運用状況報告書", f"Watch-over report, fiscal year {asked.year}"),
        city=asked.rules.city,
        facts=_facts(scope),
        tables=tables,
        notes=(_again(asked), *_NOTES),
        head=asked.head,
    )


def _again(asked: Asked) -> Text:
    """Return how to compute the report again, with all that does not stand in the log."""
    rules, size = asked.rules, "" if asked.head is None else f"--size {asked.head.size} "
    city = " ".join(map(shlex.quote, (rules.city.ja, rules.city.en)))
    begin, end = f"mimamori report annual {asked.year} --from", f"{size}--profile {rules.profile} --city {city}"
    return Text(
        "この報告は監査ログだけから計算しています。公開されたログがあれば、だれでも同じ内容を計算できます: "
        f"{begin} ログのフォルダ {end}",
        f"Computed from the audit log alone. Anybody with the published log computes the same: {begin} FOLDER {end}",
    )


def _facts(scope: Scope) -> tuple[tuple[Text, Text], ...]:
    first, last = date_ja(scope.year.from_ms), date_ja(scope.year.to_ms - 1)
    as_of = minute_ja(scope.as_of_ms)
    limit = scope.rules.smallest_count
    return (
        (Text("対象期間", "Period"), Text(f"{first} ~ {last}", f"{first} to {last}")),
        (Text("集計した最後の記録", "Newest entry counted"), Text(f"{as_of} (日本時間)", f"{as_of} (Japan time)")),
        (Text("条例プロファイル", "Ordinance profile"), Text(scope.rules.profile, scope.rules.profile)),
        (
            Text("少数の合算", "Small counts"),
            Text(f"{limit}件未満の行を合算", f"rows with fewer than {limit} are merged"),
        ),
    )
