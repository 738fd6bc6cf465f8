"""What routes share: the parts of this process, and who may ask for what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Path, Request, Security
from fastapi.security import APIKeyCookie

from server.accounts.sessions import Session, Sessions
from server.accounts.signin import SignIn
from server.api import cookies, problems
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

_cookie = APIKeyCookie(
    name=cookies.SESSION,
    auto_error=False,
    description="opaque, set by whatever signs in; over https its name begins with `__Host-`",
)


@dataclass(frozen=True, slots=True)
class Parts:
    """What one API process is made of.

    Attributes:
        pool: of the role api: the data.
        warden: of the role warden: accounts, sessions, decisions.
    """

    config: ServerConfig
    pool: Pool
    warden: Pool
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


async def _token(request: Request, parts: PartsNow) -> str | None:
    return cookies.read(request, cookies.SESSION, parts.config.http)


TokenNow = Annotated[str | None, Depends(_token)]
"""The value of the session cookie, good or not."""


async def _any_session(parts: PartsNow, token: TokenNow, _: Annotated[str | None, Security(_cookie)]) -> Session:
    session = await parts.sessions.find(token) if token else None
    if session is None:
        raise problems.ProblemError(problems.NOT_SIGNED_IN)
    return session


AnySessionNow = Annotated[Session, Depends(_any_session)]
"""A session in force, also one that a card opened and that may only set up a way to sign in."""


async def _session(session: AnySessionNow) -> Session:
    if session.is_enrolling:
        raise problems.ProblemError(problems.NOT_SIGNED_IN)
    return session


SessionNow = Annotated[Session, Depends(_session)]
"""A session of somebody who has signed in."""


async def _fresh_session(parts: PartsNow, session: SessionNow) -> Session:
    if not parts.sessions.is_fresh(session):
        raise problems.ProblemError(problems.STEP_UP)
    return session


FreshSessionNow = Annotated[Session, Depends(_fresh_session)]
"""A session in which a passkey was shown within the last minutes: a step-up."""


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
