"""Decides who may read what, and issues purpose tokens for it: one transaction from the facts to the token.

A token is used again by the same session for the same thing while it lasts. What ends it (a session, a guardianship,
a protective measure) ends it in the database, in the same transaction; then the policies are asked anew.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from privacy.policy import entities
from privacy.policy.entities import OrdinanceFacts
from privacy.policy.question import Decision, Moment, Question, Ref, Value
from privacy.terms import Action, Purpose, Role
from privacy.transparency.record import Fact
from server.errors import ServerError
from server.permit.ask import Asker, Decider, Logged, RefusedError, ask
from server.store import relation
from server.store.connection import Connection
from server.store.grant import EVER, Grant, GrantedConnection, LapsedError, NewToken, granted, issue
from server.store.pool import Pool
from server.store.relation import NOBODY, Moments, SignedInRow, WardFacts
from wire.clock import Clock

REQUEST_LASTS_MS: Final = 60_000
REFUSED_TAKES_S: Final = 0.025
"""How long a refusal takes at least, whatever it is about; a decision takes about 3 ms."""
STREAM_LASTS_MS: Final = 600_000
_MOST_KEPT: Final = 10_000


class SessionEndedError(ServerError):
    """The session is over, or the account is disabled. Signing in again may help."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to read.

    Attributes:
        actions: all of them are asked; one no is a no.
        classes: of data that the token opens, see 0020_purpose.sql.
        kind: of the log's entry.
        ward_id: whom it is about; None: everybody to whom the asker stands in a relation, as far as they may.
        span_ms: of the data, from the first to before the second, UTC.
        lasts_ms: how long a token is good for.
        context: more of what the policies are told.
        facts: more of what the log says; `personal` likewise, as commitments.
        is_kept: whether the answer serves for later requests too; False: every time is asked and logged for itself.
    """

    actions: tuple[Action, ...]
    classes: frozenset[str]
    kind: str
    ward_id: str | None = None
    span_ms: tuple[int, int] = EVER
    lasts_ms: int = REQUEST_LASTS_MS
    context: Mapping[str, Value] = field(default_factory=dict, hash=False)
    facts: Mapping[str, Fact] = field(default_factory=dict, hash=False)
    personal: Mapping[str, str] = field(default_factory=dict, hash=False)
    is_kept: bool = True


_OF_ACTION: Final[dict[Action, tuple[str, str]]] = {
    Action.VIEW_WARD: ("ward", "ward.viewed"),
    Action.VIEW_PLACE: ("place", "place.viewed"),
    Action.VIEW_TRACK: ("track", "track.viewed"),
    Action.VIEW_EVENTS: ("event", "event.viewed"),
    Action.VIEW_LOOK_UPS: ("look_up", "lookup.viewed"),
    Action.LOOK_UP_WARD: ("registry", "lookup.made"),
}
"""The class of data that an action opens, and what the log calls it."""
STREAM: Final = Wish(
    (Action.VIEW_PLACE, Action.VIEW_EVENTS), frozenset({"place", "event"}), "stream.opened", lasts_ms=STREAM_LASTS_MS
)
OWN_WARDS: Final = Wish((Action.VIEW_WARD,), frozenset({"ward"}), "ward.viewed")


def wish(action: Action, ward_id: str, *, span_ms: tuple[int, int] = EVER) -> Wish:
    """Return the wish to do `action`, of those that show data of a ward."""
    data_class, kind = _OF_ACTION[action]
    return Wish((action,), frozenset({data_class}), kind, ward_id, span_ms)


@dataclass(frozen=True, slots=True)
class PermitSettings:
    """What decisions need besides facts.

    Attributes:
        ordinance: numbers of the city's profile.
        town: its clock, for guardianships.
        now_ms: the wall clock.
    """

    ordinance: OrdinanceFacts
    town: Clock
    now_ms: Callable[[], int]


class Permits:
    """Turns wishes into grants. One for each process that answers requests."""

    def __init__(self, warden: Pool, engine: Decider, settings: PermitSettings) -> None:
        self._warden = warden
        self.engine = engine
        self.settings = settings
        self._kept: OrderedDict[tuple[bytes, Wish], Grant] = OrderedDict()

    async def of_ward(self, asker: Asker, ward_id: str, action: Action, *, span_ms: tuple[int, int] = EVER) -> Grant:
        """Return the right to do `action`, one that shows data of a ward.

        Raises:
            RefusedError: no such ward, or the policies say no: nothing tells the difference. It is in the log.
            SessionEndedError: the asker is nobody any more.
        """
        return await self.of(asker, wish(action, ward_id, span_ms=span_ms))

    async def of_own_wards(self, asker: Asker) -> Grant:
        """Return the right to see by name whom the asker may see; it may be nobody."""
        return await self.of(asker, OWN_WARDS)

    async def of_stream(self, asker: Asker) -> Grant:
        """Return the right to see places and events of whom the asker may see, for longer than a request takes."""
        return await self.of(asker, STREAM)

    async def of(self, asker: Asker, wanted: Wish) -> Grant:
        """Return the right that is wished for; see `of_ward`."""
        key = (asker.session or b"", wanted)
        kept = self._kept.get(key)
        if kept is not None and kept.expires_ms > self.settings.now_ms():
            return kept
        self._kept.pop(key, None)
        began_s = time.monotonic()
        try:
            grant = await self._decide(asker, wanted)
        except RefusedError:
            # A ward with guardians gives the policies more to read than nobody does: nobody may see by how much.
            await asyncio.sleep(max(0.0, began_s + REFUSED_TAKES_S - time.monotonic()))
            raise
        if wanted.is_kept:
            self._kept[key] = grant
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        return grant

    @asynccontextmanager
    async def reading(
        self, pool: Pool, asker: Asker, wanted: Wish, *, given: Grant | None = None
    ) -> AsyncIterator[tuple[GrantedConnection, Grant]]:
        """Yield a connection of `pool` that sees what is wished for, and by which grant.

        Args:
            pool: of the role api.
            asker: who asks.
            wanted: for what.
            given: the grant for it, where there is one already; it is asked for anew when it has ended.

        Raises:
            RefusedError: see `of_ward`.
            SessionEndedError: likewise.
            LapsedError: the right ended twice within the moment.
        """
        async with AsyncExitStack() as stack:
            try:
                grant = given or await self.of(asker, wanted)
                conn = await stack.enter_async_context(granted(pool, grant))
            except LapsedError:
                self.forget(asker, wanted)
                grant = await self.of(asker, wanted)
                conn = await stack.enter_async_context(granted(pool, grant))
            yield conn, grant

    def forget(self, asker: Asker, wanted: Wish) -> None:
        """Ask the policies anew next time."""
        self._kept.pop((asker.session or b"", wanted), None)

    async def again(self, asker: Asker, lapsed: Grant) -> Grant:
        """Return a right to the asker's stream that is not `lapsed`, which has ended or is about to.

        Raises:
            SessionEndedError: the asker is nobody any more.
        """
        if self._kept.get((asker.session or b"", STREAM)) == lapsed:
            self.forget(asker, STREAM)
        return await self.of(asker, STREAM)

    async def _decide(self, asker: Asker, wanted: Wish) -> Grant:
        now = Moments(self.settings.now_ms(), self.settings.town.now_ms())
        async with relation.deciding(self._warden) as conn:
            who = await relation.signed_in(conn, asker.account, asker.session or b"", now=now)
            if who is None:
                raise SessionEndedError
            wards = await self._wards(conn, asker, wanted, now)
            seen, refusal = await self._ask_all(conn, _Case(asker, who, wanted, now), wards)
            grant = None
            if refusal is None:
                grant = await issue(conn, self._token(_Case(asker, who, wanted, now), seen), now_ms=now.wall_ms)
        if grant is None:
            raise RefusedError(refusal.reasons if refusal else ())
        return grant

    async def _wards(self, conn: Connection, asker: Asker, wanted: Wish, now: Moments) -> list[WardFacts]:
        if wanted.ward_id is None:
            return await relation.own_wards(conn, asker.account, now=now)
        return await relation.wards(conn, asker.account, [wanted.ward_id], now=now)

    async def _ask_all(
        self, conn: Connection, case: _Case, wards: list[WardFacts]
    ) -> tuple[list[WardFacts], Decision | None]:
        """Return the wards of whom all is allowed, and the refusal where one certain ward was asked for."""
        seen = []
        for ward in wards:
            decisions = [await self._ask(conn, case, ward, action) for action in case.wanted.actions]
            refused = next((one for one in decisions if not one.allowed), None)
            if refused is None:
                seen.append(ward)
            if case.wanted.ward_id is not None and (refused or ward.version == NOBODY):
                return [], refused or decisions[0]
        return seen, None

    async def _ask(self, conn: Connection, case: _Case, ward: WardFacts, action: Action) -> Decision:
        purpose = _purpose(case.asker.role, action)
        question = Question(
            entities.principal(case.asker.role, case.asker.account, case.who.agency),
            action,
            entities.ward(
                ward.id,
                guardians=ward.guardians,
                barred=ward.barred,
                self_account=ward.self_account,
                provider=ward.provider,
            ),
            {
                "purpose": Ref("Purpose", purpose.value),
                "now": Moment(case.now.wall_ms),
                "ordinance": self.settings.ordinance.record(),
                **case.wanted.context,
            },
        )
        facts: dict[str, Fact] = dict(case.wanted.facts)
        if case.wanted.span_ms != EVER:
            facts |= {"from_ms": case.wanted.span_ms[0], "to_ms": case.wanted.span_ms[1]}
        personal = {**case.wanted.personal, "ward": ward.id}
        noun = case.wanted.kind.split(".", 1)[0]
        kind = case.wanted.kind if ward.version != NOBODY else f"{noun}.missed"
        logged = Logged(kind, purpose, case.now.wall_ms, facts, personal)
        return await ask(conn, self.engine, case.asker, question, logged)

    def _token(self, case: _Case, seen: list[WardFacts]) -> NewToken:
        lasts_ms = min(case.wanted.lasts_ms, case.who.until_ms - case.now.wall_ms)
        for ward in seen:
            if ward.town_until_ms is not None:
                lasts_ms = min(lasts_ms, int((ward.town_until_ms - case.now.town_ms) / self.settings.town.speed))
            if ward.wall_until_ms is not None:
                lasts_ms = min(lasts_ms, ward.wall_until_ms - case.now.wall_ms)
        if case.wanted.ward_id is None and case.who.town_next_ms is not None:
            lasts_ms = min(lasts_ms, int((case.who.town_next_ms - case.now.town_ms) / self.settings.town.speed))
        return NewToken(
            account=case.asker.account,
            account_version=case.who.version,
            session=case.asker.session or b"",
            purpose=_purpose(case.asker.role, case.wanted.actions[0]),
            classes=case.wanted.classes,
            wards={ward.id: ward.version for ward in seen},
            span_ms=case.wanted.span_ms,
            lasts_ms=max(1, lasts_ms),
        )


@dataclass(frozen=True, slots=True)
class _Case:
    """One wish, by whom and when."""

    asker: Asker
    who: SignedInRow
    wanted: Wish
    now: Moments


def _purpose(role: Role, action: Action) -> Purpose:
    """Return what an account of `role` does this for; whether it may, the policies say."""
    if action is Action.LOOK_UP_WARD:
        return Purpose.FAMILY_SUPPORT
    is_own = role is Role.WATCHED or action is Action.VIEW_LOOK_UPS
    return Purpose.OWN_RECORD if is_own else Purpose.FAMILY_WATCH
