"""What routes share: the parts of this process, and who may ask for what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Path, Request, Security
from fastapi.security import APIKeyCookie

from server.accounts.sessions import Session, Sessions
from server.accounts.signin import SignIn
from server.api import problems
from server.api.bridge import Bridge
from server.api.hub import Hub
from server.api.metrics import Metrics
from server.api.rates import BatchRates, EnrolmentRates
from server.api.townmap import TownMap
from server.config import ServerConfig
from server.enrolment.desk import EnrolmentDesk
from server.footage.exports import Uploads
from server.history.keyring import KeyRing
from server.store import family
from server.store.pool import Pool

COOKIE: Final = "mimamori_session"
_cookie = APIKeyCookie(name=COOKIE, auto_error=False, description="opaque, set by POST /api/v1/session")


@dataclass(frozen=True, slots=True)
class Parts:
    """What one API process is made of."""

    config: ServerConfig
    pool: Pool
    sessions: Sessions
    signin: SignIn
    hub: Hub
    bridge: Bridge
    batch_rates: BatchRates
    enrolment: EnrolmentDesk
    enrolment_rates: EnrolmentRates
    uploads: Uploads
    metrics: Metrics
    town_map: TownMap
    keys: KeyRing
    push_public_key: str | None


async def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


PartsNow = Annotated[Parts, Depends(_parts)]


async def _session(parts: PartsNow, token: Annotated[str | None, Security(_cookie)]) -> Session:
    session = await parts.sessions.find(token) if token else None
    if session is None:
        raise problems.ProblemError(problems.NOT_SIGNED_IN)
    return session


SessionNow = Annotated[Session, Depends(_session)]


async def _grant(
    parts: PartsNow, session: SessionNow, ward_id: Annotated[str, Path(examples=["ward-001"])]
) -> family.Grant:
    # The database refuses a NUL in a text; to a guardian it is one more ward who is not theirs.
    if "\0" in ward_id:
        raise problems.ProblemError(problems.NOT_FOUND)
    async with parts.pool.connection() as conn:
        grant = await family.grant(conn, session.account_id, ward_id, at_ms=parts.config.clock.now_ms())
    if grant is None:
        raise problems.ProblemError(problems.NOT_FOUND)
    return grant


GrantNow = Annotated[family.Grant, Depends(_grant)]

SIGNED_IN: Final = (problems.NOT_SIGNED_IN, problems.UNAVAILABLE, problems.INTERNAL)
"""The problems of every route that wants a session."""
OF_A_WARD: Final = (*SIGNED_IN, problems.NOT_FOUND, problems.INVALID)
"""The problems of every route about one ward."""
