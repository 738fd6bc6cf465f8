"""Papers as the machine checks them: what they are, what hides in them, and whether they say what was typed.

A finding of severity "error" makes a paper count as missing; a "warning" is for the eyes of the 取扱者. No macro, no
script, nothing embedded is opened: it is looked for and refused.

Source: docs/ORDINANCE.md, rules 2 to 5; ISO 32000-1, 12.6 (actions) and 7.11.4 (embedded files).
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, TypeAlias

from pypdf import PdfReader
from pypdf.errors import PyPdfError
from pypdf.generic import ArrayObject, DictionaryObject, IndirectObject

from server.cases.errors import PaperSizeError, PaperTypeError
from server.cases.fields import folded
from server.store.case import CaseRow

MAX_OCTETS: Final = 10 * 1024 * 1024
MAX_PAGES: Final = 50
MAX_TEXT: Final = 200_000
_MAX_OBJECTS: Final = 20_000
_MAX_PIXELS_SIDE: Final = 20_000
Severity: TypeAlias = Literal["ok", "warning", "error"]
KINDS: Final = ("inquiry", "request", "warrant", "report", "consent", "disclosure")
_MAGIC: Final = {
    "application/pdf": b"%PDF-",
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff",
}
_FORBIDDEN: Final = {
    "/JS": "script",
    "/JavaScript": "script",
    "/EmbeddedFile": "embedded",
    "/EmbeddedFiles": "embedded",
    "/EF": "embedded",
    "/Launch": "launch",
    "/RichMedia": "embedded",
    "/GoToE": "launch",
    "/SubmitForm": "launch",
    "/ImportData": "launch",
    "/XFA": "script",
}
_SAID: Final = {
    "script": ("スクリプトが含まれています。", "It holds a script."),
    "embedded": ("ほかのファイルが埋め込まれています。", "Other files are embedded in it."),
    "launch": ("プログラムを起動する動作が含まれています。", "It holds an action that starts something."),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the machine found.

    Attributes:
        code: a short word for programs.
        severity: "error": the paper counts as missing.
        ja: for people.
        en: the same.
    """

    code: str
    severity: Severity
    ja: str
    en: str


@dataclass(frozen=True, slots=True)
class Examined:
    """What a paper is.

    Attributes:
        media_type: by its first octets, not by what the sender calls it.
        findings: at least one.
    """

    media_type: str
    findings: tuple[Finding, ...]

    @property
    def as_rows(self) -> list[dict[str, str]]:
        """The findings as they are kept."""
        return [asdict(one) for one in self.findings]


def media_type_of(content: bytes) -> str:
    """Return the media type that the first octets tell.

    Raises:
        PaperTypeError: none that we take.
    """
    for media_type, magic in _MAGIC.items():
        if content.startswith(magic):
            return media_type
    raise PaperTypeError


def examine(content: bytes, kind: str, row: CaseRow) -> Examined:
    """Return what a paper is and what was found, compared with what the officer typed. For a thread: it may take long.

    Args:
        content: as it came.
        kind: one of `KINDS`.
        row: of the case.

    Raises:
        PaperTypeError: neither PDF, PNG nor JPEG.
        PaperSizeError: over `MAX_OCTETS`.
    """
    if len(content) > MAX_OCTETS:
        raise PaperSizeError
    media_type = media_type_of(content)
    findings = _of_pdf(content, kind, row) if media_type == "application/pdf" else _of_picture(content)
    return Examined(media_type, (*findings, *unsaid(kind, row)))


def unsaid(kind: str, row: CaseRow) -> tuple[Finding, ...]:
    """Return what rule 2 wants of an inquiry and nobody has typed; other papers have facts of their own."""
    if kind != "inquiry":
        return ()
    wanted = {
        "number": ("照会書の番号", "The inquiry's number", row.inquiry_number),
        "date": ("照会書の日付", "The inquiry's date", row.inquiry_on),
        "station": ("警察署名", "The station's name", row.inquiry_station),
        "officer": ("照会書の作成者", "Who wrote the inquiry", row.inquiry_officer),
    }
    return tuple(
        Finding(code, "error", f"{ja}が入力されていません。", f"{en} has not been typed.")
        for code, (ja, en, value) in wanted.items()
        if not value
    )


def is_outdated(kind: str, before: CaseRow, now: CaseRow) -> bool:
    """Return whether what was found in a paper of this kind is about something else than what is typed now."""
    return (_typed(kind, before), unsaid(kind, before)) != (_typed(kind, now), unsaid(kind, now))


def _of_picture(content: bytes) -> Iterator[Finding]:
    sides = _png_sides(content) if content.startswith(_MAGIC["image/png"]) else _jpeg_sides(content)
    if sides is None or not all(0 < side <= _MAX_PIXELS_SIDE for side in sides):
        yield Finding("unreadable", "error", "画像を読めません。", "The picture cannot be read.")
    else:
        yield _scanned()


def _png_sides(content: bytes) -> tuple[int, int] | None:
    if len(content) < 33 or content[12:16] != b"IHDR" or b"IEND" not in content[-16:]:
        return None
    return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")


def _jpeg_sides(content: bytes) -> tuple[int, int] | None:
    """Return width and height out of the frame header (ITU-T T.81, B.2.2); None where there is none."""
    at = 2
    while at + 9 < len(content) and content[at] == 0xFF:
        marker, length = content[at + 1], int.from_bytes(content[at + 2 : at + 4], "big")
        if marker in {0xC0, 0xC1, 0xC2}:
            return int.from_bytes(content[at + 7 : at + 9], "big"), int.from_bytes(content[at + 5 : at + 7], "big")
        at += 2 + max(2, length)
    return None


def _scanned() -> Finding:
    return Finding(
        "scanned",
        "warning",
        "文字を読み取れない書類（スキャン）です。記載を目で確かめてください。",
        "Scanned, no text to read: compare it by eye.",
    )


def _of_pdf(content: bytes, kind: str, row: CaseRow) -> Iterator[Finding]:
    try:
        reader = PdfReader(io.BytesIO(content), strict=False)
        if reader.is_encrypted:
            yield Finding("encrypted", "error", "暗号化されたPDFは受け付けません。", "An encrypted PDF is not taken.")
            return
        pages = len(reader.pages)
        hidden = sorted(set(_hidden(reader)))
        text = _text(reader) if pages <= MAX_PAGES and not hidden else ""
    # pypdf lets through what a made-up file provokes: all of this was met.
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError, OSError, RecursionError,
            AssertionError, NotImplementedError, MemoryError, OverflowError):  # fmt: skip
        yield Finding("unreadable", "error", "PDFを読めません。", "The PDF cannot be read.")
        return
    for code in hidden:
        ja, en = _SAID[code]
        yield Finding(code, "error", f"{ja}受け付けません。", f"{en} It is not taken.")
    if pages > MAX_PAGES:
        yield Finding("pages", "error", f"{MAX_PAGES}ページまでです。", f"At most {MAX_PAGES} pages are taken.")
    if hidden or pages > MAX_PAGES:
        return
    if len(text) < 10:
        yield _scanned()
    else:
        yield from _compared(text, kind, row)


def _hidden(reader: PdfReader) -> Iterator[str]:
    """Yield what is in a PDF that has no place in a paper, wherever it is: every object is looked at."""
    numbers = {number for of_generation in (*reader.xref.values(), reader.xref_objStm) for number in of_generation}
    if len(numbers) > _MAX_OBJECTS:
        raise ValueError("too many objects")
    yield from _inside(reader.trailer, depth=0)
    for number in sorted(numbers):
        found = reader.get_object(number)
        yield from _inside(found, depth=0)


def _inside(value: Any, *, depth: int) -> Iterator[str]:  # noqa: ANN401 - any object of a PDF
    if depth > 60:
        raise ValueError("nested too deeply")
    if isinstance(value, DictionaryObject):
        for key, item in value.items():
            if key in _FORBIDDEN:
                yield _FORBIDDEN[key]
            raw = item if not isinstance(item, IndirectObject) else None
            if key in {"/S", "/Subtype", "/Type"} and str(raw) in _FORBIDDEN:
                yield _FORBIDDEN[str(raw)]
            if raw is not None:
                yield from _inside(raw, depth=depth + 1)
    elif isinstance(value, ArrayObject):
        for item in value:
            if not isinstance(item, IndirectObject):
                yield from _inside(item, depth=depth + 1)


def _text(reader: PdfReader) -> str:
    parts: list[str] = []
    octets = 0
    for page in reader.pages:
        parts.append(page.extract_text())
        octets += len(parts[-1])
        if octets > MAX_TEXT:
            break
    return "".join(parts)[:MAX_TEXT]


def _bare(text: str) -> str:
    """Return a text as it is compared: forms of letters folded, all space and punctuation of layout gone."""
    return re.sub(r"[\s　・,、。.:：]", "", folded(text)).casefold()


def _compared(text: str, kind: str, row: CaseRow) -> Iterator[Finding]:
    bare = _bare(text)
    wanted = _typed(kind, row)
    if not wanted:
        yield Finding("text", "ok", "文字を読み取れました。", "Its text can be read.")
    for code, (label_ja, label_en, values) in wanted.items():
        if any(_bare(value) in bare for value in values):
            yield Finding(code, "ok", f"{label_ja}が入力と一致します。", f"{label_en} is as typed.")
        else:
            yield Finding(
                code,
                "error",
                f"{label_ja}が書類に見当たりません。入力か書類を直してください。",
                f"{label_en} is not in the paper as typed: correct one of them.",
            )


def _typed(kind: str, row: CaseRow) -> Mapping[str, tuple[str, str, tuple[str, ...]]]:
    """Return what of the typed request must stand in a paper of this kind: each by label and ways to write it."""
    said: dict[str, tuple[str, str, tuple[str, ...]]] = {}
    if kind == "inquiry":
        said["number"] = ("照会書の番号", "The inquiry's number", (row.inquiry_number,))
        said["date"] = ("照会書の日付", "The inquiry's date", _dates(row))
        said["station"] = ("警察署名", "The station's name", (row.inquiry_station,))
    elif kind == "request":
        said["offence"] = ("罪名", "The offence", (row.offence,))
    elif kind == "warrant":
        said["number"] = ("令状番号", "The warrant's number", (row.warrant_number,))
    elif kind == "report":
        said["number"] = ("受理番号", "The report's number", (row.report_number,))
    return {code: one for code, one in said.items() if any(one[2])}


def _dates(row: CaseRow) -> tuple[str, ...]:
    """Return the ways in which Japanese papers write the inquiry's date."""
    day = row.inquiry_on
    if day is None:
        return ()
    era = day.year - 2018  # 令和1年 is 2019
    years = (f"{day.year}年", f"令和{era}年", *(("令和元年",) if era == 1 else ()))
    long = tuple(f"{year}{day.month}月{day.day}日" for year in years)
    return (*long, day.isoformat(), f"{day.year}/{day.month:02d}/{day.day:02d}", f"R{era}.{day.month}.{day.day}")
