"""The cameras that footage may be asked of, and the limits of the ordinance."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter

from privacy.terms import Role
from server.api import problems
from server.api.access import SIGNED_IN, AskerNow, PartsNow
from server.api.schemas_cases import CameraList, CameraShown, Limits
from server.cases.office import Office
from server.cases.scope import kept_from_ms

router = APIRouter(prefix="/api/v1", tags=["cases"])
_ROLES: Final = frozenset({Role.OFFICER, Role.HANDLER, Role.SUPERVISOR, Role.MANAGER, Role.BOARD})
_NUMBERS: Final = ("retention_days", "freeze_days", "emergency_hours", "return_days", "copy_days")


@router.get("/cameras", summary="カメラ / Cameras", responses=problems.documented(*SIGNED_IN, problems.NOT_FOUND))
async def get_cameras(parts: PartsNow, asker: AskerNow) -> CameraList:
    """Where cameras stand and what each still keeps; never a picture. For those who ask for footage and who decide."""
    if asker.role not in _ROLES:
        raise problems.ProblemError(problems.NOT_FOUND)
    office = parts.cases.office
    now_ms, days = office.now_ms(), office.profile.number_of("retention_days")
    shown = [
        CameraShown.model_validate(
            {
                "id": one.id,
                "label_ja": one.label_ja,
                "label_en": one.label_en,
                "lat_deg": one.lat_deg,
                "lon_deg": one.lon_deg,
                "kept_from_ms": kept_from_ms(one, retention_days=days, now_ms=now_ms),
                "is_recording": one.is_recording,
                "purposes": sorted(purpose.value for purpose in purposes),
            }
        )
        for one, purposes in await parts.cases.cameras()
    ]
    return CameraList(cameras=shown, limits=_limits(office))


def _limits(office: Office) -> Limits:
    facts, profile = office.profile.facts(), office.profile
    purposes = sorted(profile.purposes)
    return Limits.model_validate(
        {
            "max_cameras": facts.max_cameras,
            "max_hours": facts.max_hours,
            "board_cameras": facts.board_cameras,
            "lead_hours": facts.lead_hours,
            **{name: profile.number_of(name) for name in _NUMBERS},
            "purposes": [purpose.value for purpose in purposes],
            "papers": {purpose.value: sorted(profile.papers(purpose)) for purpose in purposes},
        }
    )
