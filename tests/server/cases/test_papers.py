"""What the machine finds in papers: real PDFs and pictures, and what somebody might hide in one."""

import io
import struct
import zlib
from datetime import date
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pypdf import PdfWriter
from pypdf.generic import DictionaryObject, NameObject, TextStringObject

from server.cases import sealing
from server.cases.errors import PaperSizeError, PaperTypeError
from server.cases.papers import MAX_OCTETS, Examined, examine
from server.cases.sealing import PaperSealError
from server.store.case import CaseRow
from tests.casework import INQUIRY, REQUEST, pdf

CASE = cast(
    "CaseRow",
    SimpleNamespace(
        inquiry_number="加古川捜発第123号",
        inquiry_on=date(2026, 11, 25),
        inquiry_station="加古川警察署",
        inquiry_officer="司法警察員 生活安全課長",
        offence="窃盗",
        warrant_number="令和8年(る)第123号",
        report_number="受理第12号",
    ),
)


def _found(content: bytes, kind: str = "inquiry") -> list[tuple[str, str]]:
    return [(one.code, one.severity) for one in examine(content, kind, CASE).findings]


def _hiding(**action: str) -> bytes:
    """A right inquiry that has one more thing in its catalogue."""
    writer = PdfWriter(clone_from=io.BytesIO(pdf(*INQUIRY)))
    hidden = DictionaryObject({NameObject(f"/{key}"): NameObject(value) for key, value in action.items()})
    writer.root_object[NameObject("/OpenAction")] = writer._add_object(hidden)
    target = io.BytesIO()
    writer.write(target)
    return target.getvalue()


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * (width + 1) * min(height, 10))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def jpeg(width: int, height: int) -> bytes:
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\x01\x11\x00"
    return b"\xff\xd8\xff\xe0\x00\x04ab" + frame + b"\xff\xd9" + bytes(16)


@pytest.mark.parametrize("content", [pdf(*INQUIRY), png(10, 10)], ids=["text", "scan"])
def test_what_an_inquiry_needs_and_nobody_typed_is_said(content: bytes) -> None:
    blank = cast("CaseRow", SimpleNamespace(**{**vars(CASE), "inquiry_officer": ""}))
    faults = [one for one in examine(content, "inquiry", blank).findings if one.severity == "error"]
    assert [(one.code, one.ja) for one in faults] == [("officer", "照会書の作成者が入力されていません。")]
    assert not [one for one in examine(pdf(*REQUEST), "request", blank).findings if one.severity == "error"]


def test_a_right_inquiry_is_as_it_was_typed() -> None:
    assert _found(pdf(*INQUIRY)) == [("number", "ok"), ("date", "ok"), ("station", "ok")]
    assert _found(pdf(*REQUEST), "request") == [("offence", "ok")]
    assert _found(pdf("令状 令和８年（る）第１２３号"), "warrant") == [("number", "ok")]
    assert _found(pdf("同意書　私は同意します。"), "consent") == [("text", "ok")]


@pytest.mark.parametrize(
    ("line", "by", "code"),
    [(1, "加古川捜発第124号", "number"), (2, "令和8年11月24日", "date"), (3, "姫路警察署長", "station")],
)
def test_what_differs_from_what_was_typed_is_an_error(line: int, by: str, code: str) -> None:
    lines = [*INQUIRY[:line], by, *INQUIRY[line + 1 :]]
    assert [one for one, severity in _found(pdf(*lines)) if severity == "error"] == [code]


@pytest.mark.parametrize("day", ["令和8年11月25日", "２０２６年１１月２５日", "2026-11-25", "令和 8 年 11 月 25 日"])
def test_a_date_may_be_written_in_each_of_the_usual_ways(day: str) -> None:
    lines = [*INQUIRY[:2], day, *INQUIRY[3:]]
    assert ("date", "ok") in _found(pdf(*lines))


def test_what_cannot_be_read_is_for_the_eye() -> None:
    assert _found(pdf()) == [("scanned", "warning")]
    assert _found(png(600, 800)) == [("scanned", "warning")]
    assert _found(jpeg(600, 800)) == [("scanned", "warning")]


@pytest.mark.parametrize("content", [png(0, 5), png(30_000, 5), b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", jpeg(0, 0)])
def test_a_picture_that_is_none_counts_as_missing(content: bytes) -> None:
    assert _found(content) == [("unreadable", "error")]


def test_an_encrypted_paper_is_not_taken() -> None:
    assert _found(pdf(*INQUIRY, encrypted=True)) == [("encrypted", "error")]


@pytest.mark.parametrize(
    ("action", "code"),
    [
        ({"S": "/JavaScript"}, "script"),
        ({"JS": "/x"}, "script"),
        ({"S": "/Launch"}, "launch"),
        ({"S": "/SubmitForm"}, "launch"),
        ({"Type": "/EmbeddedFile"}, "embedded"),
    ],
)
def test_what_has_no_place_in_a_paper_is_found(action: dict[str, str], code: str) -> None:
    assert _found(_hiding(**action)) == [(code, "error")]


def test_a_file_in_a_paper_is_found() -> None:
    writer = PdfWriter(clone_from=io.BytesIO(pdf(*INQUIRY)))
    writer.add_attachment("evil.exe", b"MZ")
    target = io.BytesIO()
    writer.write(target)
    assert _found(target.getvalue()) == [("embedded", "error")]


def test_a_script_in_a_field_of_a_page_is_found() -> None:
    writer = PdfWriter(clone_from=io.BytesIO(pdf(*INQUIRY)))
    deep = DictionaryObject({NameObject("/D"): DictionaryObject({NameObject("/JS"): TextStringObject("app.alert(1)")})})
    writer.pages[0][NameObject("/AA")] = deep
    target = io.BytesIO()
    writer.write(target)
    assert _found(target.getvalue()) == [("script", "error")]


def test_a_book_is_no_paper() -> None:
    assert _found(pdf(*INQUIRY, pages=51)) == [("pages", "error")]
    assert ("number", "ok") in _found(pdf(*INQUIRY, pages=50))


@pytest.mark.parametrize("content", [b"", b"MZ", b"<html>", b"PK\x03\x04"])
def test_what_is_neither_pdf_nor_picture_is_not_taken(content: bytes) -> None:
    with pytest.raises(PaperTypeError):
        examine(content, "inquiry", CASE)


def test_a_paper_has_a_largest_size() -> None:
    with pytest.raises(PaperSizeError):
        examine(b"%PDF-" + bytes(MAX_OCTETS), "inquiry", CASE)


_RIGHT = pdf(*INQUIRY)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_damaged_paper_is_an_answer_and_never_an_accident(data: Any) -> None:
    octets = bytearray(_RIGHT)
    for _ in range(data.draw(st.integers(1, 12))):
        octets[data.draw(st.integers(5, len(octets) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(5, len(octets)))
    assert isinstance(examine(bytes(octets[:cut]), "inquiry", CASE), Examined)


def test_a_sealed_paper_opens_for_its_case_alone() -> None:
    key, other = bytes(32), bytes([1]) * 32
    sealed = sealing.seal(key, b"paper", case="c", paper="p")
    assert sealing.open_(key, sealed, case="c", paper="p") == b"paper"
    bent = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for wrong in ((other, sealed, "c", "p"), (key, sealed, "d", "p"), (key, sealed, "c", "q"), (key, bent, "c", "p"),
                  (key, b"", "c", "p"), (key, b"\x02" + sealed[1:], "c", "p")):  # fmt: skip
        with pytest.raises(PaperSealError):
            sealing.open_(wrong[0], wrong[1], case=wrong[2], paper=wrong[3])
