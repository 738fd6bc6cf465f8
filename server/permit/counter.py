"""The counter where accounts are looked after: every deed is asked of the policies and done in one transaction.

A refusal commits as well: what was tried stays in the log, and nothing of it is done.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from privacy.policy import entities, resources
from privacy.policy.entities import OrdinanceFacts
from privacy.policy.question import Entity, Moment, Question, Ref, Value
from privacy.terms import Action, Purpose, Role
from server.accounts import cards, desk, households, measures
from server.accounts.desk import AccountError, Deed
from server.permit.ask import Asker, Decider, Logged, RefusedError, ask
from server.store import households as household_rows
from server.store import measures as measure_rows
from server.store.accounts import NewAccount, NewAgency
from server.store.connection import Connection

_T = TypeVar("_T")
CONSOLE: Final = Asker("console", Role.CLERK)
"""Whoever sits at the server's own command line; there the first account is made."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody wants to do at the counter.

    Attributes:
        action: what.
        resource: to what, built from facts read in the transaction.
        kind: of the decision's log entry.
        fresh: whether a passkey was shown just now.
        purpose: what for.
    """

    action: Action
    resource: Entity
    kind: str = "account.decided"
    fresh: bool | None = None
    purpose: Purpose = Purpose.ACCOUNT_CARE


@dataclass(frozen=True, slots=True)
class Counter:
    """Looks after accounts for one asker at a time.

    Attributes:
        engine: the policies.
        ordinance: numbers of the city's profile.
        now_ms: the wall clock.
    """

    engine: Decider
    ordinance: OrdinanceFacts
    now_ms: Callable[[], int]

    async def add_account(self, conn: Connection, asker: Asker, new: NewAccount) -> None:
        """Make an account.

        Raises:
            RefusedError: not by this asker.
            AccountError: see `desk.add`.
        """
        await self._manage(conn, asker, new.id, lambda deed: desk.add(conn, deed, new))

    async def disable(self, conn: Connection, asker: Asker, account_id: str) -> None:
        """Disable an account and sign it out everywhere.

        Raises:
            RefusedError: not by this asker.
            AccountError: see `desk.disable`.
        """
        await self._manage(conn, asker, account_id, lambda deed: desk.disable(conn, deed, account_id))

    async def make_card(self, conn: Connection, asker: Asker, account_id: str) -> cards.Card:
        """Return a new enrolment card of an account.

        Raises:
            RefusedError: not by this asker.
            AccountError: no such account in force.
        """

        async def make(deed: Deed) -> cards.Card:
            await desk.in_force(conn, account_id)
            return await cards.make(conn, cards.CardOrder(account_id, deed.by, deed.role), now_ms=deed.now_ms)

        return await self._manage(conn, asker, account_id, make)

    async def link(self, conn: Connection, asker: Asker, account_id: str, *, issuer: str, subject: str) -> None:
        """Let an identity provider's subject sign in as an account.

        Raises:
            RefusedError: not by this asker.
            AccountError: see `desk.link`.
        """
        await self._manage(
            conn, asker, account_id, lambda deed: desk.link(conn, deed, account_id, issuer=issuer, subject=subject)
        )

    async def register(self, conn: Connection, asker: Asker, new: NewAgency, *, gate: str | None = None) -> None:
        """Register an agency; `gate` names a class of recipients that the board must have opened.

        Raises:
            RefusedError: not by this asker, or without a basis.
            AccountError: the id is taken.
        """
        resource = resources.agency(new.id, has_basis=bool(new.legal_basis.strip()), gate_name=gate)
        wanted = Wanted(Action.REGISTER_AGENCY, resource, "agency.decided", purpose=Purpose.CASE_WORK)
        await self.do(conn, asker, wanted, lambda deed: desk.register(conn, deed, new))

    async def end_agency(self, conn: Connection, asker: Asker, agency_id: str) -> None:
        """End an agency's registration.

        Raises:
            RefusedError: not by this asker.
            AccountError: no such agency in force.
        """
        resource = resources.agency(agency_id, has_basis=True)
        wanted = Wanted(Action.REGISTER_AGENCY, resource, "agency.decided", purpose=Purpose.CASE_WORK)
        await self.do(conn, asker, wanted, lambda deed: desk.end_agency(conn, deed, agency_id))

    async def enter_measure(
        self, conn: Connection, asker: Asker, *, ward_id: str, account_id: str, lasts_s: int = measures.YEAR_S
    ) -> str:
        """Return the id of a new protective measure, in force from this moment.

        Raises:
            RefusedError: not by this asker.
            AccountError: see `measures.enter`.
            DatabaseError: no such ward.
        """
        wanted = Wanted(Action.ENTER_MEASURE, entities.ward(ward_id, guardians=(), barred=()), "measure.decided")
        return await self.do(
            conn,
            asker,
            wanted,
            lambda deed: measures.enter(conn, deed, ward_id=ward_id, account_id=account_id, lasts_s=lasts_s),
        )

    async def confirm_measure(self, conn: Connection, asker: Asker, measure_id: str) -> None:
        """Confirm a measure that somebody else entered.

        Raises:
            RefusedError: not by this asker.
            AccountError: no such measure in force.
        """
        wanted = await self._of_measure(conn, measure_id, Action.CONFIRM_MEASURE)
        await self.do(conn, asker, wanted, lambda deed: measures.confirm(conn, deed, measure_id))

    async def end_measure(self, conn: Connection, asker: Asker, measure_id: str) -> bool:
        """Ask that a measure be lifted, or lift it when somebody else asked; return whether it is lifted now.

        Raises:
            RefusedError: not by this asker.
            AccountError: no such measure in force.
        """
        wanted = await self._of_measure(conn, measure_id, Action.END_MEASURE)
        return await self.do(conn, asker, wanted, lambda deed: measures.end(conn, deed, measure_id))

    async def found_household(
        self, conn: Connection, asker: Asker, new: households.NewHousehold, *, town_ms: int
    ) -> str:
        """Return the id of a new household, whose owner is in charge of its wards.

        Raises:
            RefusedError: not by this asker.
            AccountError: see `households.found`.
            DatabaseError: likewise.
        """
        return await self._manage(
            conn, asker, new.owner_id, lambda deed: households.found(conn, deed, new, town_ms=town_ms)
        )

    async def invite(
        self, conn: Connection, asker: Asker, household_id: str, invitation: households.Invitation, *, fresh: bool
    ) -> cards.Card:
        """Return the card with which somebody joins a household.

        Raises:
            RefusedError: not by this asker, or not without a step-up.
        """
        wanted = await self._of_household(conn, household_id, fresh=fresh)
        return await self.do(conn, asker, wanted, lambda deed: households.invite(conn, deed, household_id, invitation))

    async def end_member(
        self, conn: Connection, asker: Asker, household_id: str, account_id: str, *, town_ms: int
    ) -> None:
        """End a membership: who may invite may do so, having shown a passkey just now.

        Raises:
            RefusedError: not by this asker.
            AccountError: no such member, or the owner.
        """
        wanted = await self._of_household(conn, household_id, fresh=True)
        await self.do(
            conn,
            asker,
            wanted,
            lambda deed: households.end_member(conn, deed, household_id, account_id, town_ms=town_ms),
        )

    async def do(self, conn: Connection, asker: Asker, wanted: Wanted, work: Callable[[Deed], Awaitable[_T]]) -> _T:
        """Return what `work` returns, done in the transaction in which the policies allowed it.

        Raises:
            RefusedError: they do not; the refusal is in the log.
        """
        now_ms = self.now_ms()
        async with conn.transaction():
            question = Question(
                entities.principal(asker.role, asker.account, asker.agency),
                wanted.action,
                wanted.resource,
                self._context(wanted, now_ms),
            )
            logged = Logged(wanted.kind, wanted.purpose, now_ms)
            decision = await ask(conn, self.engine, asker, question, logged)
            if decision.allowed:
                by = None if asker.role is Role.CLERK else asker.account
                return await work(Deed(asker.role, by, now_ms))
        raise RefusedError(decision.reasons)

    async def _manage(
        self, conn: Connection, asker: Asker, account_id: str, work: Callable[[Deed], Awaitable[_T]]
    ) -> _T:
        resource = Entity(entities.person_ref(account_id))
        return await self.do(conn, asker, Wanted(Action.MANAGE_ACCOUNT, resource), work)

    async def _of_household(self, conn: Connection, household_id: str, *, fresh: bool) -> Wanted:
        now_ms = self.now_ms()
        members = await household_rows.members(conn, household_id, now_ms=now_ms)
        owners = [one.account_id for one in members if one.role == "owner"]
        barred = await household_rows.barred(conn, household_id, now_ms=now_ms)
        resource = entities.household(household_id, owners=owners, barred=barred)
        return Wanted(Action.INVITE_GUARDIAN, resource, "household.decided", fresh)

    async def _of_measure(self, conn: Connection, measure_id: str, action: Action) -> Wanted:
        found = await measure_rows.find(conn, measure_id)
        if found is None:
            raise AccountError(f"{measure_id}: この措置はありません。There is no such measure")
        resource = entities.measure(found.id, entered_by=found.entered_by, end_asked_by=found.end_asked_by)
        return Wanted(action, resource, "measure.decided")

    def _context(self, wanted: Wanted, now_ms: int) -> dict[str, Value]:
        context: dict[str, Value] = {
            "purpose": Ref("Purpose", wanted.purpose.value),
            "now": Moment(now_ms),
            "ordinance": self.ordinance.record(),
        }
        if wanted.fresh is not None:
            context["fresh"] = wanted.fresh
        return context
