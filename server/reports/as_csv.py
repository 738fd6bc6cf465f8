"""A report as one sheet in long form, and a ledger as the sheet it is: UTF-8 with BOM, CRLF, Japanese headings.

Source: デジタル庁「自治体標準オープンデータセット」, whose sheets begin with the municipality and have one
value a cell.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

from server.reports.tables import Document, Row, Table, shown

_BOM: Final = b"\xef\xbb\xbf"
_LONG: Final = ("地方公共団体名", "報告書", "表", "項目1", "項目2", "指標", "値", "ログの件数", "ログのルートハッシュ")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def csv_of(document: Document) -> bytes:
    """Return the document; the same one gives the same octets. A document of one table becomes that table."""
    if len(document.tables) == 1:
        [table] = document.tables
        heads = ("地方公共団体名", *(text.ja for text in (*table.heads, *table.columns)))
        return _sheet(heads, ((document.city.ja, *_plain(row)) for row in table.rows))
    size, root = ("", "") if document.head is None else (str(document.head.size), document.head.root_hex)
    rows = (
        (document.city.ja, document.title.ja, table.title.ja, *line, size, root)
        for table in document.tables
        for line in _lines(table)
    )
    return _sheet(_LONG, rows)


def _lines(table: Table) -> Iterable[tuple[str, ...]]:
    """Yield a line for each cell: up to two heads, the column, the value without thousands separators."""
    for row in (*table.rows, *([table.total] if table.total else [])):
        first, second = (*[head.ja for head in row.heads], "")[:2]
        for column, cell in zip(table.columns, row.cells, strict=True):
            yield first, second, column.ja, str(cell) if isinstance(cell, int) else shown(cell, "ja")


def _plain(row: Row) -> tuple[str, ...]:
    cells = (str(cell) if isinstance(cell, int) else shown(cell, "ja") for cell in row.cells)
    return (*(head.ja for head in row.heads), *cells)


def _sheet(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(heads)
    writer.writerows([[_harmless(value) for value in row] for row in rows])
    return _BOM + text.getvalue().encode()


def _harmless(value: str) -> str:
    """Return a value that no spreadsheet takes for a formula: names in a ledger were typed by somebody."""
    is_plain = value == "-" or value.removeprefix("-").replace(".", "", 1).isdecimal()
    return f"'{value}" if value.startswith(_FORMULA) and not is_plain else value
