"""Look-ups of a ward by those who help with its tag, and the record of them that the family and the ward read."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query

from privacy.terms import Action
from server.api import problems
from server.api.access import OF_A_WARD, AskerNow, LookUpsPermit, PartsNow, WardNow, permit
from server.api.schemas import Names
from server.api.schemas_lookups import HoldBody, HoldShown, LookUp, LookUpBody, LookUps, RegistryShown, TagShown
from server.api.show import battery_pct
from server.permit.ask import Asker
from server.permit.holds import HoldWish
from server.permit.permits import Wish
from server.store import look_up
from server.store.look_up import LookUpRow

router = APIRouter(prefix="/api/v1/wards/{ward_id}", tags=["look-ups"])
_WRITING: Final = (*OF_A_WARD, problems.CROSS_SITE, problems.MALFORMED, problems.TOO_LARGE)
_LASTS_MS: Final = 10_000
_DAY_MS: Final = 86_400_000
"""Of a hold, as 0020_purpose.sql has it."""
_MAX_ID: Final = 2**63 - 1
_UUID: Final = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"


def _wanted(asker: Asker, ward_id: str, body: LookUpBody) -> Wish:
    return Wish(
        (Action.LOOK_UP_WARD,),
        frozenset({"registry"}),
        "lookup.made",
        ward_id,
        lasts_ms=_LASTS_MS,
        context={"reference": body.case, "hasReason": bool(body.reason.strip())},
        facts={"reference": body.case, "agency": asker.agency or "city"},
        personal={"reason": body.reason},
        is_kept=False,
    )


@router.post("/look-up", summary="タグの照会 / Look a tag up", responses=problems.documented(*_WRITING))
async def post_look_up(parts: PartsNow, asker: AskerNow, ward_id: WardNow, body: LookUpBody) -> RegistryShown:
    """What the registry has of a ward, and whether the tag works; never where. The family is told that you asked."""
    given = await permit(parts, asker, _wanted(asker, ward_id, body))
    async with given.reading() as conn:
        row = await look_up.registry(conn, now_ms=parts.config.clock.now_ms())
    if row is None:
        raise problems.ProblemError(problems.NOT_FOUND)
    told: dict[str, Any] = {"kind": row.tag_kind, "battery_pct": battery_pct(row.battery_dv), "heard": row.heard}
    tag = TagShown(**told) if row.tag_kind else None
    return RegistryShown(id=row.id, name_ja=row.name_ja, name_en=row.name_en, tag=tag)


@router.get("/look-ups", summary="照会の記録 / Who looked", responses=problems.documented(*OF_A_WARD))
async def get_look_ups(
    parts: PartsNow,
    allowed: LookUpsPermit,
    ward_id: WardNow,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[int | None, Query(ge=1, le=_MAX_ID, description="`next` of the page before")] = None,
) -> LookUps:
    """Who at city hall, at a provider or elsewhere looked this person up, when and what for; the newest first."""
    async with allowed.reading() as conn:
        now_ms = parts.sessions.now_ms()
        rows = await look_up.listed(conn, ward_id, before=before, limit=limit + 1, now_ms=now_ms)
    shown = [_shown(row) for row in rows[:limit]]
    return LookUps(look_ups=shown, next=shown[-1].id if len(rows) > limit else None)


def _shown(row: LookUpRow) -> LookUp:
    agency = Names(name_ja=row.agency_ja, name_en=row.agency_en or row.agency_ja) if row.agency_ja else None
    return LookUp(
        id=str(row.id),
        at_ms=row.at_ms,
        role=row.role,
        agency=agency,
        purpose=row.purpose,
        action=row.action,
        case=row.reference,
    )


@router.post(
    "/look-up-holds",
    status_code=201,
    summary="記録の提示の延期 / Hold the record back",
    responses=problems.documented(*_WRITING),
)
async def post_hold(parts: PartsNow, asker: AskerNow, ward_id: WardNow, body: HoldBody) -> HoldShown:
    """Ask that the family be told of the look-ups of one request only after so many days; another manager confirms."""
    until_ms = parts.sessions.now_ms() + body.days * _DAY_MS
    hold_id = await parts.holds.ask_for(asker, HoldWish(ward_id, body.case, body.reason.strip(), until_ms))
    return HoldShown(id=hold_id, is_confirmed=False)


@router.post(
    "/look-up-holds/{hold_id}/confirmation",
    summary="延期の承認 / Confirm a hold",
    responses=problems.documented(*OF_A_WARD, problems.CROSS_SITE),
)
async def confirm_hold(
    parts: PartsNow, asker: AskerNow, ward_id: WardNow, hold_id: Annotated[str, Path(pattern=_UUID)]
) -> HoldShown:
    """Put a hold in force that somebody else asked for."""
    held = await parts.holds.confirm(asker, ward_id, hold_id)
    return HoldShown(id=held.id, is_confirmed=True)
