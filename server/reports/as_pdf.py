"""A report or ledger as a PDF on A4: no font file inside (the CID fonts every reader knows), the same octets each time.

Streams are not compressed: what they become would depend on the machine's zlib.
"""

from __future__ import annotations

import io
from typing import Any, Final
from xml.sax.saxutils import escape

from reportlab.lib.colors import Color, HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import CondPageBreak, Flowable, KeepTogether, Paragraph, SimpleDocTemplate, Spacer, TableStyle
from reportlab.platypus import Table as Grid

from server.reports.tables import Cell, Document, Row, Table, Text, are_numbers, shown

_GOTHIC: Final = "HeiseiKakuGo-W5"
_LATIN: Final = "Helvetica"
_INK: Final = HexColor("#1a1a1c")
_SOFT: Final = HexColor("#545458")
_LINE: Final = HexColor("#c9c9cc")
_TINT: Final = HexColor("#f1f4f9")
_DEEP: Final = HexColor("#0946c1")
_MARGIN: Final = 16 * mm
_PADDING: Final = 6
"""Points that the page's frame keeps free on each side."""
_TOGETHER: Final = 12
"""Rows of a table that is not broken over pages."""
_WIDE: Final = 7
"""Columns from which on a table needs the page on its side."""


def pdf_of(document: Document) -> bytes:
    """Return the file; the same document gives the same octets."""
    pdfmetrics.registerFont(UnicodeCIDFont(_GOTHIC))
    is_wide = any(len(table.heads) + len(table.columns) >= _WIDE for table in document.tables)
    size = landscape(A4) if is_wide else A4
    out = io.BytesIO()
    template = SimpleDocTemplate(
        out,
        pagesize=size,
        leftMargin=_MARGIN,
        rightMargin=_MARGIN,
        topMargin=_MARGIN,
        bottomMargin=22 * mm,
        title=f"{document.title.ja} | {document.city.ja}",
        author=document.city.ja,
        subject=document.title.en,
        lang="ja-JP",
        invariant=1,
        pageCompression=0,
    )
    width = size[0] - 2 * _MARGIN - 2 * _PADDING
    story = [
        *_top(document, width),
        *(part for table in document.tables for part in _section(table, document.title, width)),
    ]
    template.build([*story, *_bottom(document)], canvasmaker=_numbered(_foot(document)))
    return out.getvalue()


def _numbered(foot: str) -> type[Canvas]:
    """Return a canvas that writes, when all pages are there, the foot and `page / pages` on each."""

    class Numbered(Canvas):  # type: ignore[misc]  # reportlab has no types
        def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on as they come
            super().__init__(*args, **kwargs)
            self._pages: list[dict[str, Any]] = []

        def showPage(self) -> None:  # noqa: N802 - reportlab's name
            self._pages.append(dict(self.__dict__))
            self._startPage()

        def save(self) -> None:
            for number, page in enumerate(self._pages, 1):
                self.__dict__.update(page)
                self._stamp(f"{number} / {len(self._pages)}")
                super().showPage()
            super().save()

        def _stamp(self, number: str) -> None:
            width = self._pagesize[0]
            self.setFillColor(_SOFT)
            self.setFont(_GOTHIC, 7)
            self.drawString(_MARGIN, 12 * mm, foot)
            self.setFont(_LATIN, 8)
            self.drawRightString(width - _MARGIN, 12 * mm, number)

    return Numbered


def _style(name: str, size_pt: float, color: Color = _INK, **more: Any) -> ParagraphStyle:  # noqa: ANN401 - reportlab's
    wrap = {"fontName": _GOTHIC, "fontSize": size_pt, "leading": size_pt * 1.5, "textColor": color, "wordWrap": "CJK"}
    return ParagraphStyle(name, **{**wrap, **more})


_CITY: Final = _style("city", 10, _DEEP)
_TITLE: Final = _style("title", 17, spaceAfter=2 * mm)
_SECTION: Final = _style("section", 12, spaceBefore=5 * mm, spaceAfter=1.5 * mm)
_BODY: Final = _style("body", 8.5)
_NUMBER: Final = _style("number", 8.5, alignment=TA_RIGHT)
_NOTE: Final = _style("note", 7.5, _SOFT, spaceBefore=1 * mm)


def _both(text: Text, style: ParagraphStyle) -> Paragraph:
    """Return a text in both languages, the English one smaller under it; once where they are alike."""
    if text.ja == text.en:
        return Paragraph(_breakable(text.ja), style)
    small = max(6.0, style.fontSize * 0.8)
    english = f'<font size="{small:.1f}" color="#545458">{_breakable(text.en)}</font>'
    return Paragraph(f"{_breakable(text.ja)}<br/>{english}", style)


def _breakable(text: str) -> str:
    return escape(text).replace("\n", "<br/>")


def _top(document: Document, width: float) -> list[Flowable]:
    facts = [[_both(name, _BODY), _both(value, _BODY)] for name, value in document.facts]
    parts: list[Flowable] = [_both(document.city, _CITY), _both(document.title, _TITLE)]
    if facts:
        grid = Grid(facts, colWidths=[width * 0.28, width * 0.72])
        grid.setStyle(TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), ("LINEABOVE", (0, 0), (-1, 0), 1.5, _DEEP)]))
        parts.append(grid)
    return parts


def _section(table: Table, above: Text, width: float) -> list[Flowable]:
    parts: list[Flowable] = [Spacer(0, 4 * mm) if table.title == above else _both(table.title, _SECTION)]
    if table.rows:
        parts.append(_grid(table, width))
    else:
        parts.append(_both(Text("該当はありません。", "There were none."), _BODY))
    if table.note is not None:
        parts.append(_both(table.note, _NOTE))
    return [KeepTogether(parts)] if len(table.rows) <= _TOGETHER else [CondPageBreak(35 * mm), *parts]


def _grid(table: Table, width: float) -> Grid:
    numbers = [are_numbers(row.cells[place] for row in table.rows) for place in range(len(table.columns))]
    styles = [_BODY] * len(table.heads) + [_NUMBER if number else _BODY for number in numbers]
    names = [_both(text, style) for text, style in zip((*table.heads, *table.columns), styles, strict=True)]
    rows = [_line(row, styles) for row in (*table.rows, *([table.total] if table.total else []))]
    grid = Grid([names, *rows], colWidths=_widths(table, width), repeatRows=1)
    look: list[tuple[Any, ...]] = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("BACKGROUND", (0, 0), (-1, 0), _TINT),
        ("LINEBELOW", (0, 0), (-1, 0), 1, _INK),
        ("LINEBELOW", (0, 1), (-1, -1), 0.4, _LINE),
        ("TOPPADDING", (0, 0), (-1, -1), 2.5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 3.5),
    ]
    if table.total:
        look.append(("LINEABOVE", (0, -1), (-1, -1), 1, _INK))
    grid.setStyle(TableStyle(look))
    return grid


def _widths(table: Table, width: float) -> list[float]:
    """Return the columns' widths: what a row is about gets more than a value, where there is room."""
    shares = [2.0] * len(table.heads) + [1.0] * len(table.columns)
    if len(shares) >= _WIDE:
        shares = [1.0] * len(shares)
    if len(table.columns) <= 2:
        shares = [3.0] * len(table.heads) + [1.0] * len(table.columns)
    return [width * share / sum(shares) for share in shares]


def _line(row: Row, styles: list[ParagraphStyle]) -> list[Paragraph]:
    texts = [*row.heads, *(_text_of(cell) for cell in row.cells)]
    return [_both(text, style) for text, style in zip(texts, styles, strict=True)]


def _text_of(cell: Cell) -> Text:
    return Text(shown(cell, "ja"), shown(cell, "en"))


def _bottom(document: Document) -> list[Flowable]:
    notes = [_both(note, _NOTE) for note in document.notes]
    return [Spacer(0, 5 * mm), *notes, *_head(document)]


def _head(document: Document) -> list[Flowable]:
    if document.head is None:
        return []
    size = document.head.size
    told = Text(f"監査ログ {size:,} 件までを集計", f"Computed from the first {size:,} entries of the audit log")
    root = document.head.root_hex
    return [_both(told, _NOTE), *([Paragraph(f"root hash {root}", _NOTE)] if root else [])]


def _foot(document: Document) -> str:
    if document.head is None:
        return document.title.ja
    root = f" / {document.head.root_hex}" if document.head.root_hex else ""
    return f"{document.title.ja}  ログ log {document.head.size}{root}"
