"""The tables of footage that was asked for and provided. Every row is of persons: small ones are merged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from server.reports.scope import Scope
from server.reports.smallcells import Merged, Tally, added, merge
from server.reports.tables import Below, Cell, Row, Table, Text
from server.reports.words import (
    COUNT,
    FEEDBACK,
    NOTHING,
    OUTCOMES,
    PURPOSES,
    REST,
    ROLES,
    TOTAL,
    WITHHELD,
    named,
)

_PURPOSE = Text("目的", "Purpose")
_BODY = Text("提供先", "Recipient body")


def tables(scope: Scope) -> tuple[Table, ...]:
    """Return the tables in the order of the report."""
    merged = merged_provision(scope)
    return (by_recipient(scope, merged), outcomes(scope, merged), feedback(scope), look_ups(scope))


def merged_provision(scope: Scope) -> Merged:
    """Return requests, releases, camera-units and hours by purpose and recipient body, small rows merged."""
    year = scope.year
    tallies: dict[tuple[str, ...], list[Tally]] = {}
    for case in scope.cases:
        asked, given = int(year.has(case.submitted_ms)), int(year.has(case.released_ms))
        name = (case.purpose, case.agency)
        one = Tally(name, (asked, given), (given * case.cameras, given * case.camera_hours))
        tallies.setdefault(name, []).append(one)
    rows = [replace(added(ones), name=name) for name, ones in tallies.items()]
    return merge(rows, scope.rules.smallest_count)


def by_recipient(scope: Scope, merged: Merged) -> Table:
    """Return requests and what was provided by purpose and recipient body (rule 21)."""
    shown = sorted(merged.shown, key=lambda one: _place(PURPOSES, one))
    names = {one.name: (named(PURPOSES, one.name[0]), scope.agency(one.name[1])) for one in shown}
    rows = _rows(merged, names, (REST, NOTHING), scope.rules.smallest_count)
    return Table(
        id="provision",
        title=Text("映像の提供(目的・提供先別)", "Footage by purpose and recipient body"),
        heads=(_PURPOSE, _BODY),
        columns=(
            Text("請求件数", "Requests"),
            Text("提供件数", "Releases"),
            Text("延べ台数", "Camera-units"),
            Text("延べ時間", "Camera-hours"),
        ),
        rows=rows,
        total=_total(merged, (TOTAL, NOTHING), scope.rules.smallest_count) if rows else None,
        note=Text(
            "請求は申請した日、提供は誓約後に渡した日の属する年度で数えます。"
            "延べ台数と延べ時間は提供したカメラの数と時間で、時間は案件ごとに切り上げます。",
            "Requests count on the day of submission, releases on the day of handing over. "
            "Camera-units and hours are of what was released, hours rounded up for each case.",
        ),
    )


def outcomes(scope: Scope, provision: Merged) -> Table:
    """Return what became of the year's requests: decisions of city hall, told unless they would tell what is hidden."""
    found = Counter(case.outcome for case in scope.cases if scope.year.has(case.submitted_ms))
    counts: dict[str, Cell] = {name: WITHHELD if provision.is_hiding else found[name] for name in OUTCOMES}
    rows = tuple(Row((OUTCOMES[name],), (counts[name],)) for name in OUTCOMES if found)
    return Table(
        id="outcomes",
        title=Text("請求の結果", "What became of requests"),
        heads=(Text("結果", "Outcome"),),
        columns=(COUNT,),
        rows=rows,
    )


def feedback(scope: Scope) -> Table:
    """Return the shares of answers that fell due in the year, missing ones too (rule 22)."""
    due_after_ms = scope.rules.feedback_ms
    due = [
        case
        for case in scope.cases
        if case.released_ms is not None
        and scope.year.has(case.released_ms + due_after_ms)
        and case.released_ms + due_after_ms <= scope.as_of_ms
    ]
    days = scope.rules.feedback_days
    bare = Table(
        id="feedback",
        title=Text("提供した映像の活用状況", "Whether footage was of use"),
        heads=(Text("回答", "Answer"),),
        columns=(COUNT, Text("割合(%)", "Share (%)")),
        rows=(),
        note=Text(
            f"提供から{days}日が当年度に過ぎた案件。事件の内容は含みません。",
            f"Cases released {days} days before a day of this year. Nothing of their content.",
        ),
    )
    return _distribution(scope, bare, Counter(case.feedback for case in due), FEEDBACK)


def look_ups(scope: Scope) -> Table:
    """Return look-ups of families' data by staff and providers (rule 25)."""
    bare = Table(
        id="look-ups",
        title=Text("家族のデータの照会", "Look-ups of families' data"),
        heads=(Text("照会した者", "Who"),),
        columns=(COUNT,),
        rows=(),
        note=Text(
            "照会は24時間以内にご家族の閲覧記録に載ります(日付を決めた保留を除く)。",
            "Each shows in the family's access log within 24 hours unless a dated hold was approved.",
        ),
    )
    made = (entry for entry in scope.entries if entry.kind == "lookup.made" and not entry.is_denial)
    return _distribution(scope, bare, Counter(entry.role for entry in made), ROLES)


def _distribution(scope: Scope, bare: Table, found: Counter[str], words: dict[str, Text]) -> Table:
    """Return `bare` with a row for each value, merged where few; with a second column, the share of the total."""
    limit = scope.rules.smallest_count
    merged = merge([Tally((name,), (count,)) for name, count in found.items()], limit)
    names = {one.name: (named(words, one.name[0]),) for one in sorted(merged.shown, key=lambda one: _place(words, one))}
    rows, total = _rows(merged, names, (REST,), limit), _total(merged, (TOTAL,), limit)
    if len(bare.columns) == 2:
        rows = tuple(_with_share(row, found.total()) for row in rows)
        total = _with_share(total, found.total()) if rows else total
    return replace(bare, rows=rows, total=total if rows else None)


def _with_share(row: Row, total: int) -> Row:
    count = row.cells[0]
    share: Cell = f"{100 * count / total:.1f}" if isinstance(count, int) and total else WITHHELD
    return Row(row.heads, (count, share))


def _rows(
    merged: Merged, names: Mapping[tuple[str, ...], tuple[Text, ...]], rest: tuple[Text, ...], limit: int
) -> tuple[Row, ...]:
    order = list(names)
    shown = [
        Row(names[one.name], (*one.counts, *one.measures))
        for one in sorted(merged.shown, key=lambda one: order.index(one.name))
    ]
    if merged.rest is not None:
        shown.append(Row(rest, _hidden(merged, merged.rest, limit)))
    return tuple(shown)


def _place(words: Mapping[str, Text], tally: Tally) -> tuple[int, tuple[str, ...]]:
    """Return where a row stands: in the order of the words, what has none last."""
    order = list(words)
    return (order.index(tally.name[0]) if tally.name[0] in words else len(order), tally.name)


def _total(merged: Merged, heads: tuple[Text, ...], limit: int) -> Row:
    every = [*merged.shown, *([merged.rest] if merged.rest else [])]
    if not every:
        return Row(heads, ())
    return Row(heads, _hidden(merged, added(every), limit))


def _hidden(merged: Merged, tally: Tally, limit: int) -> tuple[Cell, ...]:
    counts: Sequence[Cell] = [
        Below(limit) if hide else count for count, hide in zip(tally.counts, merged.hidden, strict=True)
    ]
    measures: Sequence[Cell] = [WITHHELD if merged.is_hiding else measure for measure in tally.measures]
    return (*counts, *measures)
