"""The findings on a screen: in Japanese, then in English, each with what to do."""

from typing import Final

from rich.console import Console
from rich.table import Table

from edge.doctor.finding import Finding, Verdict

_MARKS: Final[dict[Verdict, tuple[str, str, str]]] = {
    "ok": ("正常", "ok", "green"),
    "warn": ("注意", "warn", "yellow"),
    "fail": ("異常", "FAIL", "bold red"),
}
_NAMES_JA: Final = {
    "configuration": "設定", "identity": "鍵と証明書", "clock": "時計", "disk": "ディスク", "outbox": "未送信の記録",
    "adapter": "Bluetooth", "gpsd": "測位", "camera": "カメラ", "mask": "マスク", "broker": "通信",
}  # fmt: skip


def show(findings: list[Finding], console: Console) -> None:
    """Print both tables."""
    console.print(_table("診断結果", ("項目", "判定", "状態", "対応"), [_row_ja(finding) for finding in findings]))
    console.print(_table("Findings", ("check", "verdict", "state", "what to do"), [_row_en(f) for f in findings]))


def _table(title: str, heads: tuple[str, ...], rows: list[tuple[tuple[str, ...], str]]) -> Table:
    table = Table(title=title, title_justify="left")
    for head in heads:
        table.add_column(head, overflow="fold")  # Japanese has no spaces to break at, and nothing may be cut off
    for cells, style in rows:
        table.add_row(*cells, style=style)
    return table


def _row_ja(finding: Finding) -> tuple[tuple[str, ...], str]:
    mark, _, style = _MARKS[finding.verdict]
    return (_NAMES_JA.get(finding.name, finding.name), mark, finding.ja, finding.do_ja), style


def _row_en(finding: Finding) -> tuple[tuple[str, ...], str]:
    _, mark, style = _MARKS[finding.verdict]
    return (finding.name, mark, finding.en, finding.do_en), style
