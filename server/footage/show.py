"""What a check of an export looks like on a screen, and to programs."""

from __future__ import annotations

from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from server.store.export import ExportRow
from wire.verdict import Check, Report

_MARKS: Final = {"ok": "[green]○[/green]", "failed": "[red]×[/red]", "unchecked": "[yellow]－[/yellow]"}


def report_json(report: Report) -> dict[str, Any]:
    """Return a report for programs."""
    manifest = report.manifest
    facts = (
        {
            "export": manifest.export,
            "case": manifest.case,
            "camera": manifest.camera,
            "window": list(manifest.window_iso),
            "clips": len(manifest.parts),
            "frames": sum(part.frames for part in manifest.parts),
            "gaps": [[gap.from_ms, gap.to_ms, gap.why] for gap in manifest.gaps],
            "is_clock_synced": manifest.is_clock_synced,
        }
        if manifest
        else None
    )
    return {"is_sound": report.is_sound, "manifest": facts, "checks": [_check(item) for item in report.checks]}


def print_report(report: Report, console: Console) -> None:
    """Print a report as a table, Japanese first."""
    table = Table("", "確認 Check", "内容 Found", show_lines=False)
    for item in report.checks:
        japanese, english = item.text
        table.add_row(_MARKS[item.outcome], f"{japanese}\n{english}", Text(plain(item.found)))
    console.print(table)
    manifest = report.manifest
    if manifest is not None:
        start, end = manifest.window_iso
        whose = f"カメラ Camera {manifest.camera}  案件 Case {manifest.case}  {start} – {end}"
        console.print(plain(whose), markup=False)
        for gap in manifest.gaps:
            seconds = (gap.to_ms - gap.from_ms) // 1000
            console.print(f"欠落 Gap: {gap.from_ms} +{seconds} s ({plain(gap.why)})", markup=False)
        if not manifest.is_clock_synced:
            console.print("録画中の時計は合っていると確認できませんでした。The clock was not known to be right.")
    console.print(
        "すべて確認できました。Every check was passed."
        if report.is_sound
        else "[bold red]確認できない点があります。証拠として使わないでください。[/bold red]"
        "[bold red]A check failed: do not use it as evidence.[/bold red]"
    )


def print_exports(rows: list[ExportRow], console: Console) -> None:
    """Print the exports that the city has or waits for."""
    table = Table("番号 Export", "案件 Case", "カメラ Camera", "状態 State", "MB", "SHA-256")
    for row in rows:
        size = "" if row.size_bytes is None else f"{row.size_bytes / 1e6:.1f}"
        sha256 = row.sha256.hex() if row.sha256 else ""
        table.add_row(row.expected.id, row.expected.case, row.expected.detector, row.state, size, sha256)
    console.print(table)


def export_json(row: ExportRow) -> dict[str, Any]:
    """Return an export for programs."""
    return {
        "export": row.expected.id,
        "case": row.expected.case,
        "camera": row.expected.detector,
        "from_ms": row.expected.from_ms,
        "to_ms": row.expected.to_ms,
        "state": row.state,
        "size_bytes": row.size_bytes,
        "sha256": row.sha256.hex() if row.sha256 else "",
    }


def plain(text: str) -> str:
    """Return a text that moves no cursor and paints nothing: names in an archive are whatever a forger likes."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _check(item: Check) -> dict[str, str]:
    japanese, english = item.text
    return {"name": item.name, "outcome": item.outcome, "ja": japanese, "en": english, "found": item.found}
