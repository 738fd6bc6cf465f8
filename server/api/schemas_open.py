"""The JSON of the public page."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from server.api.schemas import Names
from server.api.schemas_cases import CasePurpose


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class OpenCamera(_Answer):
    """A camera that is live, as its ledger has it."""

    id: str
    label_ja: str
    label_en: str
    place: str
    lat_deg: float
    lon_deg: float
    live_from_ms: int
    sign_on: str | None = Field(examples=["2026-11-01"])
    noticed_on: str | None
    purposes: list[CasePurpose]
    used: Literal["under_3", "3_to_9", "10_to_29", "from_30"] = Field(
        description="requests of which its footage was released, decided within a year up to 30 days ago"
    )


class OpenCameras(_Answer):
    """The cameras of the city."""

    city: Names
    tz: str
    retention_days: int
    cameras: list[OpenCamera]


class OpenPolicy(_Answer):
    """A policy in words."""

    id: str
    subject: str
    is_permit: bool
    article: str
    ja: str
    en: str


class OpenPolicies(_Answer):
    """All policies in force."""

    digest: str = Field(description="SHA-256, hex, of policies and schema: every decision in the log names it")
    policies: list[OpenPolicy]
