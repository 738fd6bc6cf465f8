"""A document in the form that is asked for."""

from __future__ import annotations

from enum import StrEnum

from server.reports.as_csv import csv_of
from server.reports.as_html import html_of
from server.reports.as_json import json_of
from server.reports.tables import Document


class Format(StrEnum):
    """Forms of reports and ledgers."""

    HTML = "html"
    CSV = "csv"
    PDF = "pdf"
    JSON = "json"


MEDIA_TYPES = {
    Format.HTML: "text/html; charset=utf-8",
    Format.CSV: "text/csv; charset=utf-8; header=present",
    Format.PDF: "application/pdf",
    Format.JSON: "application/json",
}


def rendered(document: Document, form: Format) -> bytes:
    """Return the document in a form; the same document gives the same octets."""
    match form:
        case Format.HTML:
            return html_of(document)
        case Format.CSV:
            return csv_of(document)
        case Format.PDF:
            from server.reports.as_pdf import pdf_of  # noqa: PLC0415 - loads a library that few need

            return pdf_of(document)
        case Format.JSON:
            return json_of(document)
