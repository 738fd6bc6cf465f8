"""The typed fields of a request, checked before anything is kept: numbers of papers, dates, windows.

Source: docs/ORDINANCE.md, rules 2, 3, 5 and 8. No law fixes the form of the numbers of 照会書 and 令状; the forms here
take what Japanese police and courts write, full-width or not, and refuse what cannot be one.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final
from zoneinfo import ZoneInfo

from privacy.terms import Basis, Purpose
from server.cases.errors import CaseInputError, Fault
from server.cases.scope import normal
from server.store.camera import Camera
from server.store.case import Draft, Window

MAX_WINDOWS: Final = 500
INQUIRY_DAYS: Final = 365
"""An inquiry that was signed longer ago is another matter: it is signed anew."""
MISSING_KINDS: Final = (
    "crime_victim",  # 犯罪により生命・身体に危険
    "missing_child",  # 少年で福祉を害されるおそれ
    "accident",  # 水難・交通事故等
    "suicide_risk",  # 自殺のおそれ
    "danger_to_others",  # 自傷他害のおそれ
    "vulnerable",  # 病人・高齢者・年少者で自救能力がない
)
"""The six kinds of 特異行方不明者, 行方不明者発見活動に関する規則 2条2項."""
# "加古川捜発第123号", "刑一 第45-2号", "R8-123": words, then 第…号, or letters and digits joined by hyphens.
_INQUIRY: Final = re.compile(
    r"(?:[\w()・ -]{0,30}第 ?|[^\W\d]{0,30} ?)\d{1,6}(?:[-の]\d{1,6})? ?号|[A-Za-z]{1,4}\d{0,4}(?:-\d{1,6}){1,3}"
)
# "令和8年(る)第123号", "R8(る)123", "2026(る)第12号": year, sign of the kind of case, number.
_WARRANT: Final = re.compile(r"(?:令和|R|r)?\d{1,4}年?\([ぁ-んァ-ヶ一-龠]{1,3}\)第?\d{1,6}号?")
_REPORT: Final = re.compile(r"[\w()・第号条 -]{1,40}")


def folded(text: str) -> str:
    """Return a text with full-width letters, digits and spaces made plain, and no space at its ends."""
    return unicodedata.normalize("NFKC", text).strip()


@dataclass(frozen=True, slots=True)
class Against:
    """What a draft is read against.

    Attributes:
        cameras: that the city has.
        now_ms: wall time.
        zone: of the city.
    """

    cameras: Mapping[str, Camera]
    now_ms: int
    zone: ZoneInfo

    @property
    def today(self) -> dt.date:
        """The day in the city."""
        return dt.datetime.fromtimestamp(self.now_ms / 1000, self.zone).date()


def checked(draft: Draft, windows: tuple[Window, ...], against: Against) -> tuple[Draft, tuple[Window, ...]]:
    """Return draft and windows in their one form.

    Raises:
        CaseInputError: a number is malformed, a date lies ahead, a window is none or of no camera of the city.
    """
    plain = replace(
        draft,
        offence=folded(draft.offence),
        inquiry_number=folded(draft.inquiry_number),
        inquiry_station=folded(draft.inquiry_station),
        inquiry_officer=folded(draft.inquiry_officer),
        warrant_number=folded(draft.warrant_number),
        report_number=folded(draft.report_number),
        reason=folded(draft.reason),
    )
    faults = (*_numbers(plain), *_dates(plain, against), *_windows(windows, against))
    if faults:
        raise CaseInputError(faults)
    return plain, normal(windows)


def basis_of(purpose: Purpose, *, has_warrant: bool) -> Basis:
    """Return by what law a request stands where the officer names none."""
    if has_warrant and purpose in {Purpose.CRIME, Purpose.TRAFFIC_ACCIDENT}:
        return Basis.WARRANT
    return {
        Purpose.CRIME: Basis.INQUIRY,
        Purpose.TRAFFIC_ACCIDENT: Basis.INQUIRY,
        Purpose.MISSING_PERSON: Basis.ARTICLE_69,
        Purpose.DISASTER: Basis.ORDINANCE,
        Purpose.SUBJECT_DISCLOSURE: Basis.ARTICLE_76,
    }[purpose]


def _numbers(draft: Draft) -> Iterator[Fault]:
    if draft.inquiry_number and not _INQUIRY.fullmatch(draft.inquiry_number):
        yield Fault(
            "inquiry.number",
            "malformed",
            "照会書の番号の形式が違います。例：加古川捜発第123号",
            "This is no number of an inquiry, such as 加古川捜発第123号.",
        )
    if draft.warrant_number and not _WARRANT.fullmatch(draft.warrant_number):
        yield Fault(
            "warrant_number",
            "malformed",
            "令状番号の形式が違います。例：令和8年(る)第123号",
            "This is no number of a warrant, such as 令和8年(る)第123号.",
        )
    if draft.report_number and not _REPORT.fullmatch(draft.report_number):
        yield Fault(
            "report_number",
            "malformed",
            "受理番号の形式が違います。",
            "This is no number of a report.",
        )
    if draft.missing_kind and draft.missing_kind not in MISSING_KINDS:
        yield Fault(
            "missing_kind",
            "unknown",
            "特異行方不明者の六つの類型から選んでください。",
            "Choose one of the six kinds of missing persons at risk.",
        )


def _dates(draft: Draft, against: Against) -> Iterator[Fault]:
    if draft.inquiry_on is not None and draft.inquiry_on > against.today:
        yield Fault(
            "inquiry.dated_on",
            "future",
            "照会書の日付が未来です。",
            "The inquiry is dated in the future.",
        )
    if draft.inquiry_on is not None and (against.today - draft.inquiry_on).days > INQUIRY_DAYS:
        yield Fault(
            "inquiry.dated_on",
            "expired",
            "照会書の日付が1年より前です。新しい照会書が必要です。",
            "The inquiry is older than a year: a new one is needed.",
        )
    if draft.last_confirmed_ms is not None and draft.last_confirmed_ms > against.now_ms:
        yield Fault(
            "last_confirmed_ms",
            "future",
            "最終確認の時刻が未来です。",
            "The last confirmed sighting is in the future.",
        )


def _windows(windows: tuple[Window, ...], against: Against) -> Iterator[Fault]:
    if len(windows) > MAX_WINDOWS:
        yield Fault("cameras", "too-many", "時間帯が多すぎます。", "These are too many windows.")
        return
    for number, one in enumerate(windows):
        where = f"cameras.{number}"
        if one.detector not in against.cameras:
            yield Fault(where, "unknown", "このカメラはありません。", "There is no such camera.")
        elif not one.from_ms < one.to_ms:
            yield Fault(where, "empty", "終わりは始めより後です。", "A window ends after it begins.")
        elif one.from_ms % 1000 or one.to_ms % 1000:
            yield Fault(
                where, "fraction", "秒の単位で指定してください。", "A window begins and ends at a whole second."
            )
        elif one.to_ms > against.now_ms:
            yield Fault(
                where,
                "future",
                "これから撮る映像は指定できません。常時の監視はできません。",
                "What is not yet filmed cannot be asked for: there is no live monitoring.",
            )
        elif one.to_ms - one.from_ms > 31 * 86_400_000:
            yield Fault(where, "too-long", "31日より長い指定はできません。", "A window is at most 31 days long.")
