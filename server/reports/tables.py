"""A report as tables of whole numbers, before it becomes a page, a sheet or a print."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True, order=True)
class Text:
    """What people read, in both languages."""

    ja: str
    en: str


@dataclass(frozen=True, slots=True)
class Below:
    """A count that is not told because it is small: at least 1 and below `limit`."""

    limit: int


Cell: TypeAlias = "int | str | Text | Below"


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table: what it is about, and a cell for each column after the heads."""

    heads: tuple[Text, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        id: short and stable, for files and links.
        title: above it.
        heads: names of the columns that say what a row is about.
        columns: names of the columns of cells.
        rows: in the order in which they are read; none: nothing to tell.
        total: last row, or None.
        note: how it was counted.
    """

    id: str
    title: Text
    heads: tuple[Text, ...]
    columns: tuple[Text, ...]
    rows: tuple[Row, ...]
    total: Row | None = None
    note: Text | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """The state of the log that a document was computed from, so that a reader can check it.

    Attributes:
        size: entries of the log.
        root_hex: its root hash; "" where the entries came without a checkpoint.
    """

    size: int
    root_hex: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """A report or a ledger.

    Attributes:
        id: for file names, such as "annual-2026".
        title: of the whole.
        city: whose it is.
        facts: lines under the title: what and how.
        tables: in order.
        notes: at the end.
        head: of the log; None for what is not computed from the log alone.
    """

    id: str
    title: Text
    city: Text
    facts: tuple[tuple[Text, Text], ...]
    tables: tuple[Table, ...]
    notes: tuple[Text, ...]
    head: Head | None = None


def shown(cell: Cell, language: str) -> str:
    """Return a cell as people read it in "ja" or "en"."""
    match cell:
        case Text():
            return cell.ja if language == "ja" else cell.en
        case Below():
            return f"{cell.limit}未満" if language == "ja" else f"under {cell.limit}"
        case int():
            return f"{cell:,}"
        case str():
            return cell


def are_numbers(cells: Iterable[Cell]) -> bool:
    """Return whether the cells of a column are numbers, but for words that stand in place of some."""
    texts = list(cells)
    told = [not isinstance(cell, Text) and _is_number(cell) for cell in texts]
    return any(told) and all(is_told or isinstance(cell, Text) for is_told, cell in zip(told, texts, strict=True))


def _is_number(cell: int | str | Below) -> bool:
    return not isinstance(cell, str) or cell.replace(".", "", 1).isdecimal()
