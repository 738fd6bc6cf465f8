"""The JSON of look-ups: what staff ask and are told of a ward, and what the family is told of that."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from server.api.schemas import Names

Reference = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9_-]{1,32}$", description="number of the family's request", examples=["2026-0917"]),
]
_Reason = Annotated[str, Field(min_length=1, max_length=500, examples=["電池の相談を受けたため"])]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class LookUpBody(_Body):
    """Why somebody looks a ward up: the number of the family's request, and a reason in writing."""

    case: Reference
    reason: _Reason


class TagShown(_Answer):
    """Whether a tag works. Where it is, nobody is told here."""

    kind: Literal["eid", "uid", "ibeacon"]
    battery_pct: int | None = Field(description="None: the tag does not say", examples=[42])
    heard: Literal["hour", "day", "week", "earlier", "never"] = Field(description="when last, coarsely")


class RegistryShown(Names):
    """What the registry has of a ward."""

    id: str = Field(examples=["ward-001"])
    tag: TagShown | None


class LookUp(_Answer):
    """One look-up: by whom, when, what for."""

    id: str = Field(examples=["4711"])
    at_ms: int = Field(description="UTC ms", examples=[1_795_416_300_000])
    role: str = Field(examples=["handler"])
    agency: Names | None = Field(description="None: city hall itself")
    purpose: str = Field(examples=["family_support"])
    action: str = Field(examples=["lookUpWard"])
    case: str | None = Field(description="number of the request", examples=["2026-0917"])


class LookUps(_Answer):
    """A page of look-ups, the newest first."""

    look_ups: list[LookUp]
    next: str | None = Field(description="`before` of the next page; None on the last one")


class HoldBody(_Body):
    """For how many days the family is not told of the look-ups of one request, and why."""

    case: Reference
    reason: _Reason
    days: int = Field(ge=1, le=180, description="from now", examples=[14])


class HoldShown(_Answer):
    """A hold; it is in force once a second manager has confirmed it."""

    id: str
    is_confirmed: bool
