"""What an ordinance profile may say: its keys, what each means, and which values each may have.

Source: docs/ORDINANCE.md; the keys and ranges are this software's, the values are those of a city or a proposal.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from privacy.terms import CASE_PURPOSES, CITY_ROLES
from wire.camera_settings import MAX_RETENTION_DAYS

Setting: TypeAlias = "bool | int | str | tuple[str, ...]"
"""A value of a profile."""

PAPERS: Final = ("inquiry", "request", "warrant", "report", "consent", "disclosure")
"""捜査関係事項照会書, 提供依頼書兼誓約書, 令状, 届出, 同意書, 開示請求書."""

REPORT_FIELDS: Final = (
    "number",
    "purpose",
    "recipient",
    "camera_units",
    "hours",
    "refusals",
    "emergencies",
    "ratifications",
    "overdue_destruction",
    "feedback",
    "complaints",
    "audits",
    "breaches",
)
"""What rule 21 has in the annual report."""

GATED: Final = ("purpose", "sensor", "ai_function", "recipient_class")
"""What rule 23 keeps shut until the board has spoken."""


class Status(StrEnum):
    """How far a value may be called a rule of the city."""

    CONFIRMED = "confirmed"  # read in the city's own text
    PROPOSAL = "proposal"  # a number of ours; no city's rule
    UNVERIFIED = "unverified"  # the city may have a rule, nobody has read it: a proposal stands in


STATUS_TEXT: Final = {
    Status.CONFIRMED: ("確認済み", "confirmed"),
    Status.PROPOSAL: ("提案", "proposal"),
    Status.UNVERIFIED: ("未確認", "unverified"),
}


@dataclass(frozen=True, slots=True)
class Key:
    """One thing that a profile settles.

    Attributes:
        name: as in the file under `[rules]`; a dot is a table in it.
        ja: what it is; `en`: the same.
        rule: of the twenty-five rules, the one that reads it.
        read: returns a value of it, raises ValueError with what it must be.
        unit: "days", "hours", "cameras", "items" or "".
    """

    name: str
    ja: str
    en: str
    rule: int
    read: Callable[[object], Setting]
    unit: str = ""


def _number(least: int, most: int) -> Callable[[object], Setting]:
    def read(value: object) -> Setting:
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"a whole number from {least} to {most}, not {value!r}")
        return value

    return read


def _flag(value: object) -> Setting:
    if type(value) is not bool:
        raise ValueError(f"true or false, not {value!r}")
    return value


def text(value: object) -> str:
    """Return a text as it is.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, str):
        raise ValueError(f"a text, not {value!r}")  # noqa: TRY004 - one kind of error for all values
    return value


def _title(value: object) -> Setting:
    if not text(value):
        raise ValueError("a title, not an empty text")
    return text(value)


def _list(allowed: Collection[str], *, may_be_empty: bool = False) -> Callable[[object], Setting]:
    def read(value: object) -> Setting:
        if not isinstance(value, list) or not (value or may_be_empty):
            raise ValueError(f"a list of {', '.join(allowed)}, not {value!r}")
        if wrong := [one for one in value if one not in allowed]:
            raise ValueError(f"{wrong[0]!r} is none of {', '.join(allowed)}")
        if len(set(value)) != len(value):
            raise ValueError("the same thing twice")
        return tuple(one for one in allowed if one in value)

    return read


_PURPOSES: Final = tuple(purpose.value for purpose in CASE_PURPOSES)
_ROLES: Final = tuple(role.value for role in CITY_ROLES)
_OF_PURPOSE: Final = {
    "crime": ("犯罪", "a crime"),
    "missing_person": ("行方不明", "a missing person"),
    "traffic_accident": ("交通事故", "a traffic accident"),
    "disaster": ("災害", "a disaster"),
    "subject_disclosure": ("本人開示", "disclosure to the person"),
}
_OF_ROLE: Final = {
    "handler": ("準備する人", "who prepares"),
    "supervisor": ("確認する人", "who checks"),
    "manager": ("承認する人", "who approves"),
}
_OF_GATE: Final = {
    "purpose": ("新しい目的", "a new purpose"),
    "sensor": ("新しいセンサー", "a new sensor"),
    "ai_function": ("新しいAI機能", "a new AI function"),
    "recipient_class": ("新しい提供先の種類", "a new class of recipient"),
}

_PAPERS_OF: Final = tuple(
    Key(f"papers_by_purpose.{name}", f"{ja}に要る書類", f"papers for {en}", 2, _list(PAPERS, may_be_empty=True))
    for name, (ja, en) in _OF_PURPOSE.items()
)
_TITLE_OF: Final = tuple(
    Key(f"roles.{name}", f"{ja}の職名", f"title of {en}", 6, _title) for name, (ja, en) in _OF_ROLE.items()
)
_GATE_OF: Final = tuple(
    Key(f"board_gate.{name}", f"{ja}は審査会の後", f"{en} waits for the board", 23, _flag)
    for name, (ja, en) in _OF_GATE.items()
)

KEYS: Final = (
    Key("purposes", "提供の目的", "purposes of provision", 1, _list(_PURPOSES)),
    *_PAPERS_OF,
    Key(
        "planning_stage_needs_warrant",
        "計画段階は令状が要る",
        "an offence being planned needs a warrant",
        3,
        _flag,
    ),
    Key("lead_hours", "最終確認より前の時間", "before the last confirmed sighting", 5, _number(0, 24), "hours"),
    *_TITLE_OF,
    Key("scope_caps.cameras", "理由なしの台数の上限", "cameras without a reason", 8, _number(1, 100), "cameras"),
    Key(
        "scope_caps.hours", "1台あたりの時間の上限", "hours of one camera without a reason", 8, _number(1, 72), "hours"
    ),
    Key("scope_caps.board_cameras", "審査会に回る台数", "above so many the board looks", 8, _number(1, 500), "cameras"),
    Key("emergency_hours", "緊急提供の追認期限", "until an emergency is ratified", 9, _number(1, 72), "hours"),
    Key("freeze_days", "保全の期限", "until an undecided freeze ends", 10, _number(1, 31), "days"),
    Key("retention_days", "映像の保存期間", "footage is kept", 11, _number(1, MAX_RETENTION_DAYS), "days"),
    Key("copy_days", "市が持つ複製の期限", "the city's copies are kept", 12, _number(1, 92), "days"),
    Key("release_hours", "提供を開ける時間", "a release may be opened", 13, _number(1, 744), "hours"),
    Key("return_days", "返却・消去の期限", "until return or destruction", 17, _number(1, 366), "days"),
    Key("report_fields", "年次報告の項目", "fields of the annual report", 21, _list(REPORT_FIELDS)),
    Key("feedback_days", "利用結果の回答期限", "until the answer whether it was used", 22, _number(1, 366), "days"),
    *_GATE_OF,
    Key("checklist_items", "倫理検証の点検項目数", "items of the checklist", 23, _number(1, 500), "items"),
    Key("disaster_hours", "災害時運用の長さ", "a declared disaster lasts at most", 25, _number(1, 72), "hours"),
)
"""All of them, in the order of the rules. A profile has each one, and no other."""

_UNITS: Final = {
    "days": ("日", "days"),
    "hours": ("時間", "hours"),
    "cameras": ("台", "cameras"),
    "items": ("項目", "items"),
}


_WORDS: Final = {
    "crime": ("犯罪", "crime"),
    "missing_person": ("行方不明", "missing person"),
    "traffic_accident": ("交通事故", "traffic accident"),
    "disaster": ("災害", "disaster"),
    "subject_disclosure": ("本人開示", "disclosure to the person"),
    "inquiry": ("捜査関係事項照会書", "inquiry"),
    "request": ("提供依頼書兼誓約書", "request with undertaking"),
    "warrant": ("令状", "warrant"),
    "report": ("届出", "report"),
    "consent": ("同意書", "consent"),
    "disclosure": ("開示請求書", "request for disclosure"),
    "number": ("件数", "number"),
    "purpose": ("目的", "purpose"),
    "recipient": ("提供先", "recipient"),
    "camera_units": ("台数", "camera-units"),
    "hours": ("時間数", "hours"),
    "refusals": ("拒否", "refusals"),
    "emergencies": ("緊急提供", "emergencies"),
    "ratifications": ("追認", "ratifications"),
    "overdue_destruction": ("消去の遅れ", "overdue destruction"),
    "feedback": ("利用結果", "feedback"),
    "complaints": ("苦情", "complaints"),
    "audits": ("監査", "audits"),
    "breaches": ("漏えい等", "breaches"),
}


def shown(key: Key, value: Setting) -> tuple[str, str]:
    """Return a value for people, Japanese and English."""
    match value:
        case bool():
            return ("はい", "yes") if value else ("いいえ", "no")
        case int():
            ja, en = _UNITS[key.unit]
            return f"{value}{ja}", f"{value} {en}"
        case str():
            return value, value
        case _:
            ja, en = (sign.join(_WORDS[one][side] for one in value) for side, sign in ((0, "、"), (1, ", ")))
            return ja or "なし", en or "none"


assert set(_OF_PURPOSE) == set(_PURPOSES)  # noqa: S101 - a new purpose without papers would be asked for none
assert set(_WORDS) >= {*_PURPOSES, *PAPERS, *REPORT_FIELDS}  # noqa: S101 - whatever may be listed can be shown
assert set(_OF_ROLE) == set(_ROLES)  # noqa: S101 - likewise of roles
