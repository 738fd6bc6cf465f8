"""What routes share: the parts of this process, and who may ask for what."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Path, Request, Security
from fastapi.security import APIKeyCookie

from privacy.terms import Action
from server.accounts.oidc import Oidc
from server.accounts.passkeys import Passkeys
from server.accounts.sessions import Session, Sessions
from server.accounts.signin import SignIn
from server.api import cookies, problems
from server.api.bridge import Bridge
from server.api.hub import Hub
from server.api.metrics import Metrics
from server.api.rates import BatchRates, EnrolmentRates
from server.api.townmap import TownMap
from server.cases.desk import CaseDesk
from server.config import ServerConfig
from server.enrolment.desk import EnrolmentDesk
from server.footage.exports import Uploads
from server.history.keyring import KeyRing
from server.permit.ask import Asker
from server.permit.counter import Counter
from server.permit.holds import Holds
from server.permit.permits import OWN_WARDS, STREAM, Permits, Wish, wish
from server.publiclog.folder import Folder
from server.publiclog.proofs import Prover
from server.store.grant import Grant, GrantedConnection
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
    permits: Permits
    holds: Holds
    counter: Counter
    passkeys: Passkeys
    oidc: Oidc
    hub: Hub
    bridge: Bridge
    batch_rates: BatchRates
    enrolment: EnrolmentDesk
    enrolment_rates: EnrolmentRates
    uploads: Uploads
    metrics: Metrics
    town_map: TownMap
    cases: CaseDesk
    log: Folder
    prover: Prover
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


async def _asker(session: SessionNow) -> Asker:
    return Asker(session.account_id, session.role, session.agency, session.token_hash)


AskerNow = Annotated[Asker, Depends(_asker)]
"""Who asks, for the policies."""
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


async def _ward_id(ward_id: Annotated[str, Path(examples=["ward-001"])]) -> str:
    # What no ward can be called is one more ward who is not theirs; the log takes no text of a stranger's.
    if not _ID.fullmatch(ward_id):
        raise problems.ProblemError(problems.NOT_FOUND)
    return ward_id


WardNow = Annotated[str, Depends(_ward_id)]
"""The ward whom a path names; nothing says yet that there is one."""


@dataclass(frozen=True, slots=True)
class Permit:
    """A right to read that the policies have given for this request. Only `Permits` makes the grant in it."""

    parts: Parts
    asker: Asker
    wanted: Wish
    grant: Grant

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[GrantedConnection]:
        """Yield a connection that sees what was wished for.

        Raises:
            RefusedError: the right ended meanwhile, and the policies say no.
        """
        parts, permits = self.parts, self.parts.permits
        async with permits.reading(parts.pool, self.asker, self.wanted, given=self.grant) as (conn, _):
            yield conn


async def permit(parts: Parts, asker: Asker, wanted: Wish) -> Permit:
    """Return the right that is wished for.

    Raises:
        RefusedError: the policies say no; the route answers as if there were no such thing.
        SessionEndedError: nobody is signed in any more.
    """
    return Permit(parts, asker, wanted, await parts.permits.of(asker, wanted))


def _may(action: Action) -> Callable[..., Awaitable[Permit]]:
    async def decided(parts: PartsNow, asker: AskerNow, ward_id: WardNow) -> Permit:
        return await permit(parts, asker, wish(action, ward_id))

    return decided


PlacePermit = Annotated[Permit, Depends(_may(Action.VIEW_PLACE))]
EventsPermit = Annotated[Permit, Depends(_may(Action.VIEW_EVENTS))]
LookUpsPermit = Annotated[Permit, Depends(_may(Action.VIEW_LOOK_UPS))]


async def _own_wards(parts: PartsNow, asker: AskerNow) -> Permit:
    return await permit(parts, asker, OWN_WARDS)


OwnWardsPermit = Annotated[Permit, Depends(_own_wards)]
"""All whom the asker may see, by name; it may be nobody."""


async def _stream(parts: PartsNow, asker: AskerNow) -> Permit:
    return await permit(parts, asker, STREAM)


StreamPermit = Annotated[Permit, Depends(_stream)]
"""Places and events of all whom the asker may see, as they happen."""

SIGNED_IN: Final = (problems.NOT_SIGNED_IN, problems.UNAVAILABLE, problems.INTERNAL)
"""The problems of every route that wants a session."""
OF_A_WARD: Final = (*SIGNED_IN, problems.NOT_FOUND, problems.INVALID)
"""The problems of every route about one ward."""
