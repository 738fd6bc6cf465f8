"""A report or ledger as one page that needs nothing else: Japanese first, English beside it, fit for A4 and a phone."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from html import escape
from typing import Final

from server.reports.tables import Cell, Document, Head, Row, Table, Text, are_numbers, shown

STYLE: Final = """
:root { color-scheme: light; --ink: #1a1a1c; --soft: #545458; --line: #c9c9cc; --tint: #f1f4f9; --deep: #0946c1; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 62rem; color: var(--ink); background: #fff;
  font: 1rem/1.7 "Noto Sans JP", "Hiragino Sans", "Yu Gothic", "Noto Sans CJK JP", sans-serif; }
[lang=en] { font-family: "Noto Sans", "Helvetica Neue", Arial, sans-serif; color: var(--soft); font-size: .8125em;
  line-height: 1.45; display: block; font-weight: 400; }
header { border-bottom: 3px solid var(--deep); padding-bottom: 1rem; margin-bottom: 1.5rem; }
.city { margin: 0; font-weight: 700; color: var(--deep); }
h1 { font-size: 1.5rem; line-height: 1.4; margin: .25rem 0 1rem; }
h2 { font-size: 1.125rem; line-height: 1.5; margin: 2.25rem 0 .5rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .375rem 1.25rem; margin: 0; }
dt, dd { margin: 0; } dt { color: var(--soft); } dd { overflow-wrap: anywhere; }
h2.said { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden; }
.scroll { overflow-x: auto; } .scroll:focus-visible { outline: 3px solid var(--deep); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .5rem .625rem; text-align: left; vertical-align: top; }
thead th { background: var(--tint); border-bottom: 2px solid var(--ink); }
tbody th { font-weight: 400; } td.number, th.number { text-align: right; white-space: nowrap; }
thead th { word-break: keep-all; } thead th.number { white-space: normal; }
tbody th { min-width: 6.5rem; } tbody td:not(.number) { min-width: 7rem; }
tfoot th, tfoot td { border-top: 2px solid var(--ink); border-bottom: 0; font-weight: 700; }
.note, footer { font-size: .875rem; } .note { margin: .5rem 0 0; }
.empty { border: 1px dashed var(--line); padding: .75rem 1rem; margin: 0; }
footer { border-top: 1px solid var(--line); margin-top: 2.5rem; padding-top: 1rem; }
footer ul { padding-left: 1.25rem; margin: 0 0 1rem; } footer li { margin-bottom: .5rem; }
code { font-size: .8125rem; overflow-wrap: anywhere; }
@media (max-width: 40rem) {
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .5rem; } h1 { font-size: 1.25rem; }
  th, td { padding: .4375rem .375rem; font-size: .9375rem; }
}
@media print {
  @page { size: A4; margin: 16mm 14mm; }
  body { max-width: none; padding: 0; font-size: 9.5pt; } .scroll { overflow: visible; }
  h1 { font-size: 16pt; } h2 { font-size: 12pt; break-after: avoid; } section, tr { break-inside: avoid; }
  section.long { break-inside: auto; } thead { display: table-header-group; }
}
"""
STYLE_HASH: Final = "sha256-" + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
"""For a Content-Security-Policy that lets this style in and nothing else."""
_LONG: Final = 25


def html_of(document: Document) -> bytes:
    """Return the page; the same document gives the same octets."""
    title = f"{document.title.ja} | {document.city.ja}"
    body = [_header(document), *(_section(table, document.title) for table in document.tables), _footer(document)]
    page = (
        '<!doctype html>\n<html lang="ja">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )
    return page.encode()


def both(text: Text) -> str:
    """Return a text in both languages as HTML; once where they are alike."""
    if text.ja == text.en:
        return escape(text.ja)
    return f'{escape(text.ja)}<span lang="en">{escape(text.en)}</span>'


def _header(document: Document) -> str:
    facts = "".join(f"<dt>{both(name)}</dt><dd>{both(value)}</dd>" for name, value in document.facts)
    return (
        f'<header>\n<p class="city">{both(document.city)}</p>\n<h1>{both(document.title)}</h1>\n<dl>{facts}</dl>\n'
        "</header>"
    )


def _section(table: Table, above: Text) -> str:
    """Return a table under its title, which is there but not seen where the page has the same one."""
    long = ' class="long"' if len(table.rows) > _LONG else ""
    note = "" if table.note is None else f'\n<p class="note">{both(table.note)}</p>'
    said = ' class="said"' if table.title == above else ""
    title = f'<h2 id="{escape(table.id)}"{said}>{both(table.title)}</h2>'
    return f"<section{long}>\n{title}\n{_table(table) if table.rows else _empty()}{note}\n</section>"


def _empty() -> str:
    return f'<p class="empty">{both(Text("該当はありません。", "There were none."))}</p>'


def _table(table: Table) -> str:
    numbers = [are_numbers(row.cells[place] for row in table.rows) for place in range(len(table.columns))]
    heads = "".join(f'<th scope="col">{both(head)}</th>' for head in table.heads)
    heads += "".join(
        f'<th scope="col"{_class(is_number=number)}>{both(column)}</th>'
        for column, number in zip(table.columns, numbers, strict=True)
    )
    rows = "\n".join(_row(row, numbers) for row in table.rows)
    foot = "" if table.total is None else f"\n<tfoot>\n{_row(table.total, numbers)}\n</tfoot>"
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-labelledby="{escape(table.id)}">\n<table>\n'
        f"<thead>\n<tr>{heads}</tr>\n</thead>\n<tbody>\n{rows}\n</tbody>{foot}\n</table>\n</div>"
    )


def _row(row: Row, numbers: Iterable[bool]) -> str:
    heads = "".join(f'<th scope="row">{both(head)}</th>' for head in row.heads)
    cells = "".join(
        f"<td{_class(is_number=number)}>{_cell(cell)}</td>" for cell, number in zip(row.cells, numbers, strict=True)
    )
    return f"<tr>{heads}{cells}</tr>"


def _class(*, is_number: bool) -> str:
    return ' class="number"' if is_number else ""


def _cell(cell: Cell) -> str:
    return both(Text(shown(cell, "ja"), shown(cell, "en")))


def _footer(document: Document) -> str:
    notes = "".join(f"<li>{both(note)}</li>" for note in document.notes)
    head = "" if document.head is None else _head(document.head)
    return f"<footer>\n<ul>{notes}</ul>\n{head}\n</footer>"


def _head(head: Head) -> str:
    size = both(
        Text(f"監査ログ {head.size:,} 件までを集計", f"Computed from the first {head.size:,} entries of the log")
    )
    root = f"<p>{both(Text('ルートハッシュ', 'Root hash'))} <code>{head.root_hex}</code></p>" if head.root_hex else ""
    return f"<p>{size}</p>\n{root}"
