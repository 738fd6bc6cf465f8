"""A report or ledger as JSON, for programs: sorted keys, UTF-8."""

from __future__ import annotations

import json

from server.reports.tables import Below, Cell, Document, Row, Table, Text


def json_of(document: Document) -> bytes:
    """Return the document; the same one gives the same octets."""
    head = document.head
    body = {
        "id": document.id,
        "title": _text(document.title),
        "city": _text(document.city),
        "facts": [{"name": _text(name), "value": _text(value)} for name, value in document.facts],
        "tables": [_table(table) for table in document.tables],
        "notes": [_text(note) for note in document.notes],
        "log": None if head is None else {"size": head.size, "root": head.root_hex or None},
    }
    return (json.dumps(body, ensure_ascii=False, sort_keys=True, indent=1) + "\n").encode()


def _table(table: Table) -> dict[str, object]:
    return {
        "id": table.id,
        "title": _text(table.title),
        "heads": [_text(head) for head in table.heads],
        "columns": [_text(column) for column in table.columns],
        "rows": [_row(row) for row in table.rows],
        "total": None if table.total is None else _row(table.total),
        "note": None if table.note is None else _text(table.note),
    }


def _row(row: Row) -> dict[str, object]:
    return {"heads": [_text(head) for head in row.heads], "cells": [_cell(cell) for cell in row.cells]}


def _cell(cell: Cell) -> object:
    match cell:
        case Below():
            return {"below": cell.limit}
        case Text():
            return _text(cell)
        case _:
            return cell


def _text(text: Text) -> dict[str, str]:
    return {"ja": text.ja, "en": text.en}
