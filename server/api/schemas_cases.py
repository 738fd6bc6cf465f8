"""The JSON of requests for footage. Times are UTC milliseconds, angles WGS 84 degrees; see docs/CASES.md."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

_FROM_MS = 1_795_402_800_000
_ID = "0123456789abcdef0123456789abcdef"
_LONGEST_MS = 253_402_300_799_000  # the year 9999: what the database can hold

CasePurpose = Literal["crime", "missing_person", "traffic_accident", "disaster", "subject_disclosure"]
CaseBasis = Literal["inquiry", "warrant", "article_69", "article_76", "consent", "ordinance"]
PaperKind = Literal["inquiry", "request", "warrant", "report", "consent", "disclosure"]
StateName = Literal[
    "draft", "submitted", "prepared", "checked", "approved", "ready", "released", "returned", "closed", "refused",
    "withdrawn", "lapsed", "revoked",
]  # fmt: skip
StepName = Literal[
    "submit", "prepare", "check", "approve", "refuse", "withdraw", "emergency", "ratify", "exported", "undertake",
    "extend", "return", "feedback", "found", "lapse", "revoke", "close",
]  # fmt: skip
Mode = Literal["view", "download"]
Feedback = Literal["used", "not_used", "not_relevant"]
At = Annotated[int, Field(ge=0, le=_LONGEST_MS, description="UTC ms", examples=[_FROM_MS])]
# The database refuses a NUL in a text.
_Line = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f]*$")]
_Text = Annotated[str, Field(max_length=4000, pattern=r"^[^\x00]*$")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class WindowBody(_Body):
    """A time of one camera."""

    id: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$", examples=["gw-001"])
    from_ms: At
    to_ms: At


class InquiryBody(_Body):
    """What the 照会書 says."""

    number: _Line = Field("", examples=["加古川捜発第123号"])
    dated_on: dt.date | None = Field(None, examples=["2026-11-25"])
    station: _Line = Field("", examples=["加古川警察署"])
    officer: _Line = Field("", examples=["司法警察員 生活安全課長"])


class CaseBody(_Body):
    """What an officer writes into a request; what is left out is empty."""

    purpose: CasePurpose
    basis: CaseBasis | None = Field(None, description="left out: as the purpose has it; a warrant where there is one")
    is_emergency: bool = False
    offence: _Line = ""
    has_occurred: bool = False
    inquiry: InquiryBody | None = None
    warrant_number: _Line = ""
    report_number: _Line = ""
    missing_kind: _Line = ""
    last_confirmed_ms: At | None = None
    reason: _Text = ""
    note: _Text = ""
    cameras: list[WindowBody] = Field(default_factory=list, max_length=500)


class StepBody(_Body):
    """A step, and what goes with it."""

    step: StepName
    note: _Text = ""
    reason: _Text = Field("", description="of a refusal or an extension; stands for `note`")
    mode: Mode = "view"
    return_by_ms: At | None = None
    hashes: list[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]] = Field(default_factory=list, max_length=500)
    method: _Line = ""
    feedback: Feedback | None = None
    until_ms: At | None = None


class Named(_Answer):
    """An agency or a person."""

    id: str
    name_ja: str
    name_en: str


class ReasonShown(_Answer):
    """A rule that stands against something."""

    policy: str = Field(examples=["R02-papers"])
    article: str = Field(examples=["規則2"])
    ja: str
    en: str


class ExportShown(_Answer):
    """The export of a window: a file sealed to the officer's key."""

    id: str
    state: Literal["expected", "arriving", "whole", "refused", "destroyed"]
    size_bytes: int | None
    sha256: str | None


class CameraWindow(_Answer):
    """A window of a case."""

    id: str
    label_ja: str
    label_en: str
    lat_deg: float | None
    lon_deg: float | None
    from_ms: int
    to_ms: int
    kept: Literal["all", "part", "gone", "frozen", "unknown"]
    export: ExportShown | None


class FindingShown(_Answer):
    """What the machine found in a paper."""

    code: str
    severity: Literal["ok", "warning", "error"]
    ja: str
    en: str


class PaperShown(_Answer):
    """A paper of a case."""

    id: str
    kind: PaperKind
    name: str
    size_bytes: int
    sha256: str
    findings: list[FindingShown]
    added_at_ms: int


class StepShown(_Answer):
    """A step that was taken; names are empty where the system took it."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    step: StepName
    from_: StateName = Field(alias="from")
    to: StateName
    at_ms: int
    role: str
    name_ja: str
    name_en: str
    note: str


class DeadlineShown(_Answer):
    """A time that runs."""

    kind: Literal["freeze", "ratify", "release", "return", "copy", "feedback"]
    at_ms: int


class ReminderShown(_Answer):
    """Something that city hall or the recipient should look at now."""

    kind: Literal[
        "undecided", "unratified", "unreturned", "escalated", "destroy", "feedback", "export_failed", "board"
    ]  # fmt: skip
    at_ms: int


class OpeningShown(_Answer):
    """A time that footage was opened."""

    at_ms: int
    mode: Mode


class ReleaseShown(_Answer):
    """Until when and how footage may be opened, and when it was."""

    until_ms: int
    mode: Mode
    opened: list[OpeningShown]


class UndertakingShown(_Answer):
    """What the officer signed."""

    signed_at_ms: int
    return_by_ms: int


class CertificateShown(_Answer):
    """How what was released came back or was destroyed."""

    at_ms: int
    method: str
    hashes: list[str]


class CaseShown(_Answer):
    """A request for footage."""

    id: str = Field(examples=[_ID])
    number: str = Field(examples=["2026-0001"])
    state: StateName
    agency: Named
    officer: Named
    purpose: CasePurpose
    basis: CaseBasis
    is_emergency: bool
    offence: str
    has_occurred: bool
    inquiry: InquiryBody | None
    warrant_number: str
    report_number: str
    missing_kind: str
    last_confirmed_ms: int | None
    reason: str
    note: str
    cameras: list[CameraWindow]
    papers: list[PaperShown]
    steps: list[StepShown]
    deadlines: list[DeadlineShown]
    reminders: list[ReminderShown] = Field(description="open ones")
    release: ReleaseShown | None
    undertaking: UndertakingShown | None
    certificate: CertificateShown | None
    copy_certificate: CertificateShown | None = Field(description="of the city's own copy")
    feedback: Feedback | None
    is_overdue: bool = Field(description="the certificate of return did not come in time")
    is_found: bool
    may: list[StepName] = Field(description="steps that the reader may take now")
    problems: list[ReasonShown] = Field(description="what stands against the reader's next step")


class CaseShort(_Answer):
    """A request for footage in a list."""

    id: str
    number: str
    state: StateName
    purpose: CasePurpose
    agency: Named
    is_emergency: bool
    is_overdue: bool
    cameras: int
    submitted_at_ms: int | None
    next_deadline_ms: int | None
    may: list[StepName]


class CaseList(_Answer):
    """A page of cases; `next` is the `before` of the following page, empty on the last."""

    cases: list[CaseShort]
    next: str


class CameraShown(_Answer):
    """A camera that footage may be asked of."""

    id: str
    label_ja: str
    label_en: str
    lat_deg: float | None
    lon_deg: float | None
    kept_from_ms: int | None
    is_recording: bool
    purposes: list[CasePurpose]


class Limits(_Answer):
    """What the city's ordinance says of a request."""

    max_cameras: int
    max_hours: int
    board_cameras: int
    lead_hours: int
    retention_days: int
    freeze_days: int
    emergency_hours: int
    return_days: int
    copy_days: int
    purposes: list[CasePurpose]
    papers: dict[CasePurpose, list[PaperKind]]


class CameraList(_Answer):
    """The cameras, and the limits of the ordinance."""

    cameras: list[CameraShown]
    limits: Limits
