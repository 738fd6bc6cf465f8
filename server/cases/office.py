"""What every service of cases works with: the city's rules, the engine, the clock; and what the log is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Self
from zoneinfo import ZoneInfo

from privacy.cases import DENIED, MOVES, State, Step
from privacy.ordinance import Profile
from privacy.policy.engine import Engine
from privacy.policy.question import Decision, Moment, Question, Ref, Value
from privacy.terms import Action
from privacy.transparency.record import Fact
from server.cases import facts
from server.cases.facts import Around, Whole
from server.config import ServerConfig
from server.permit.ask import Asker, Decider, Logged
from server.permit.ordinance import profile_of
from server.store.case import CaseRow
from server.store.connection import Connection

_BY_TIME: Final = frozenset({Step.EXPORTED, Step.LAPSE, Step.REVOKE})
"""Steps that no person takes."""
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Office:
    """What is the same for every case of a city.

    Attributes:
        city: id.
        zone: of the city: a year of numbers and a day of papers are there.
        profile: the city's ordinance.
        engine: decides.
        now_ms: wall clock.
        paper_key: of keys/papers.bin; the clerk has none, it reads no papers.
    """

    city: str
    zone: ZoneInfo
    profile: Profile
    engine: Decider
    now_ms: Callable[[], int]
    paper_key: bytes = field(default=b"", repr=False)

    @classmethod
    def of(cls, config: ServerConfig, now_ms: Callable[[], int], *, paper_key: bytes = b"") -> Self:
        """Return the office of the configured city.

        Raises:
            ConfigError: the city's ordinance profile is wrong.
            PolicyError: the policies cannot be used.
        """
        zone, profile = ZoneInfo(config.city.tz), profile_of(config)
        return cls(config.city.id, zone, profile, Engine.load(), now_ms, paper_key)

    def days_ms(self, key: str) -> int:
        """Return a number of days of the profile in milliseconds."""
        return self.profile.number_of(key) * _DAY_MS

    async def whole(self, conn: Connection, row: CaseRow, now_ms: int) -> Whole:
        """Return a case with all that belongs to it."""
        return await facts.whole(conn, row, Around(self.city, self.profile, now_ms))

    def question(self, asker: Asker, whole: Whole, action: Action, context: Mapping[str, Value]) -> Question:
        """Return a question about a case."""
        return facts.question(asker, whole, action, context)

    def decide(self, asker: Asker, whole: Whole, action: Action, context: Mapping[str, Value]) -> Decision:
        """Return a decision that nothing follows from, so that the log has no entry of it: what a screen offers."""
        return self.engine.decide(self.question(asker, whole, action, context))


def context_of(step: Step, now_ms: int, *, has_reason: bool = True, until_ms: int | None = None) -> dict[str, Value]:
    """Return what the question before a step is told besides purpose and ordinance."""
    context: dict[str, Value] = {"now": Moment(now_ms)}
    if step in {Step.FOUND, Step.LAPSE, Step.REVOKE, Step.CLOSE}:
        context["step"] = Ref("Step", step.value)
    if step is Step.EXTEND:
        context["hasReason"] = has_reason
        if until_ms is not None:
            context["until"] = Moment(until_ms)
    return context


def steps_from(state: State) -> tuple[Step, ...]:
    """Return the steps that persons may take from a state, as far as the machine goes."""
    return tuple(move.step for move in MOVES[state] if move.step not in _BY_TIME)


def logged(
    whole: Whole, kind: str, now_ms: int, *, state: State | None = None, more: Mapping[str, Fact] | None = None
) -> Logged:
    """Return what an entry of a case says: numbers and kinds, the officer as a commitment.

    Args:
        whole: the case.
        kind: of the entry.
        now_ms: wall time.
        state: after what the entry tells of; None: it stays.
        more: facts of this kind of entry.
    """
    row, scope = whole.row, whole.scope
    said: dict[str, Fact] = {
        "case": row.number,
        "agency": row.agency_id,
        "basis": row.basis.value,
        "state": (state or row.state).value,
        "cameras": scope.cameras,
        "camera_hours": scope.camera_hours,
        "emergency": row.is_emergency,
    }
    return Logged(kind, row.purpose, now_ms, {**said, **(more or {})}, {"officer": row.officer_id}, DENIED)
