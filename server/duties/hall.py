"""What every duty needs: the policies, the profile of the city, and a question with its entry in the log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from privacy.ordinance import Profile
from privacy.policy.entities import principal
from privacy.policy.question import Decision, Entity, Moment, Question, Ref, Value
from privacy.terms import Action, Purpose, Role
from privacy.transparency.record import Fact
from server.duties.errors import UnknownAccountError
from server.permit.ask import Asker, Decider, Logged, RefusedError, ask_entry
from server.permit.ordinance import ordinance_facts
from server.store import staff
from server.store.connection import Connection


@dataclass(frozen=True, slots=True)
class Hall:
    """City hall.

    Attributes:
        engine: the policies.
        profile: of the city's ordinance.
        city: id.
        channel: by which way it is asked, said in every entry: "command_line" or "web".
    """

    engine: Decider
    profile: Profile
    city: str
    channel: str = "web"


@dataclass(frozen=True, slots=True)
class Asking:
    """What is asked and how the log says it.

    Attributes:
        action: what is to be done.
        resource: to what.
        purpose: what for.
        kind: of the entry where it is allowed.
        facts: of the entry.
        context: what the action wants to know besides purpose, time and ordinance.
    """

    action: Action
    resource: Entity
    purpose: Purpose
    kind: str
    facts: Mapping[str, Fact] = field(default_factory=dict)
    context: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Desk:
    """Where somebody asks for something.

    Attributes:
        conn: of the role `warden`.
        hall: city hall.
        asker: who asks.
        now_ms: wall time.
    """

    conn: Connection
    hall: Hall
    asker: Asker
    now_ms: int


async def ask(desk: Desk, asking: Asking) -> tuple[Decision, int]:
    """Return the decision and its entry; the desk's connection is in a transaction.

    The transaction must commit also where it is refused: the refusal is in the log. `settled` raises afterwards.
    """
    hall, asker = desk.hall, desk.asker
    ordinance = await ordinance_facts(desk.conn, hall.profile)
    context: dict[str, Value] = {
        "purpose": Ref("Purpose", asking.purpose.value),
        "now": Moment(desk.now_ms),
        "ordinance": ordinance.record(),
        **asking.context,
    }
    question = Question(principal(asker.role, asker.account, asker.agency), asking.action, asking.resource, context)
    logged = Logged(asking.kind, asking.purpose, desk.now_ms, {**asking.facts, "channel": hall.channel})
    return await ask_entry(desk.conn, hall.engine, asker, question, logged)


def settled(decision: Decision) -> None:
    """Return if it is allowed.

    Raises:
        RefusedError: it is not; the entry that says so is committed by now.
    """
    if not decision.allowed:
        raise RefusedError(decision.reasons)


async def asker_of(conn: Connection, account: str) -> Asker:
    """Return who asks at the server's own command line, where nobody signs in: the operator says for whom he acts.

    Raises:
        UnknownAccountError: no such account in force.
    """
    found = await staff.role_of(conn, account)
    if found is None:
        raise UnknownAccountError
    return Asker(account, Role(found.role), found.agency)
