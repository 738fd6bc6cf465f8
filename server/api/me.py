"""Who is signed in, and everything the first page needs."""

from __future__ import annotations

from fastapi import APIRouter

from server.api import problems
from server.api.access import SIGNED_IN, PartsNow, SessionNow
from server.api.schemas import City, Guardian, Me, TownClock, Ward
from server.store import family

router = APIRouter(prefix="/api/v1", tags=["session"])


@router.get("/me", summary="わたしと見守る人 / Me and my wards", responses=problems.documented(*SIGNED_IN))
async def get_me(parts: PartsNow, session: SessionNow) -> Me:
    """The guardian, the city and its clock, the wards, and the key for Web Push."""
    config, clock = parts.config, parts.config.clock
    now_ms = clock.now_ms()
    async with parts.pool.connection() as conn:
        guardian = await family.guardian(conn, session.account_id)
        if guardian is None:
            raise problems.ProblemError(problems.NOT_SIGNED_IN)
        wards = await family.wards(conn, session.account_id, at_ms=now_ms)
    return Me(
        guardian=Guardian.model_validate(guardian),
        city=City.model_validate(config.city),
        clock=TownClock(simulated=not clock.is_wall, speed=clock.speed, now_ms=now_ms),
        wards=[Ward.model_validate(ward) for ward in wards],
        push_public_key=parts.push_public_key,
    )
