"""Asks the policies and writes the answer into the audit log, in the transaction that reads the facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from privacy.policy.engine import DEFAULT_DENY
from privacy.policy.question import Decision, Question, Reason
from privacy.terms import Purpose, Role
from privacy.transparency.record import Fact, Record
from server.errors import ServerError
from server.store import audit
from server.store.connection import Connection

_UNTOLD: Final = frozenset({"N01-barred", "A05-barred-invites-nobody"})
"""Policies that no entry names: whoever is barred knows when he asked, and would read in the published log why not."""


class Decider(Protocol):
    """What decides: privacy.policy.engine.Engine."""

    def decide(self, question: Question) -> Decision:
        """Return the decision."""
        ...


class RefusedError(ServerError):
    """The policies say no. The refusal is in the log.

    Attributes:
        reasons: the rules that speak against it.
    """

    def __init__(self, reasons: tuple[Reason, ...]) -> None:
        super().__init__("; ".join(reason.policy for reason in reasons))
        self.reasons = reasons


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, as the session says.

    Attributes:
        account: id.
        role: of the account.
        agency: of officers and providers.
        session: SHA-256 of the session's token; None: the system itself.
    """

    account: str
    role: Role
    agency: str | None = None
    session: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Logged:
    """What the entry of a decision says besides the decision.

    Attributes:
        kind: of the entry where it is allowed, such as "place.viewed".
        purpose: what for.
        at_ms: wall time, UTC ms.
        facts: see privacy/transparency/record.py.
        personal: likewise; the account is always added.
        refused: kind of the entry where it is refused; "" means `<noun>.refused`.
    """

    kind: str
    purpose: Purpose
    at_ms: int
    facts: Mapping[str, Fact] = field(default_factory=dict)
    personal: Mapping[str, str] = field(default_factory=dict)
    refused: str = ""


async def ask(conn: Connection, engine: Decider, asker: Asker, question: Question, logged: Logged) -> Decision:
    """Return the decision, allowed or not, once its entry is written; it counts when the transaction commits.

    Raises:
        DatabaseError: see `ask_entry`.
    """
    return (await ask_entry(conn, engine, asker, question, logged))[0]


async def ask_entry(
    conn: Connection, engine: Decider, asker: Asker, question: Question, logged: Logged
) -> tuple[Decision, int]:
    """Return the decision and the id of its entry, for rows that name the entry they stand on.

    Args:
        conn: of the role `warden` or `clerk`, in a transaction; the facts of the question were read in it.
        engine: the policies.
        asker: who asks.
        question: with entities made from those facts.
        logged: what the entry says.

    Raises:
        DatabaseError: the entry cannot be written; nothing may be answered then.
    """
    decision = engine.decide(question)
    noun = logged.kind.split(".", 1)[0]
    facts: dict[str, Fact] = {
        **logged.facts,
        "action": question.action.value,
        "purpose": logged.purpose.value,
        "allowed": decision.allowed,
        "policies": ",".join(_told(decision)),
        "policy_set": decision.policy_set,
    }
    kind = logged.kind if decision.allowed else logged.refused or f"{noun}.refused"
    personal = {**logged.personal, "account": asker.account}
    entry = await audit.append(conn, Record(kind, logged.at_ms, asker.role, facts, personal))
    return decision, entry


def _told(decision: Decision) -> list[str]:
    """Return the policies that the log names: of a person who is barred the same as of one who is a stranger."""
    told = [reason.policy for reason in decision.reasons if reason.policy not in _UNTOLD]
    return told or [DEFAULT_DENY.policy]
