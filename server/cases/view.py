"""What a screen is told of a case besides its rows: deadlines, what the reader may do now, what stands against it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from privacy.cases import ACTION_OF, State, Step
from privacy.policy.question import Reason
from privacy.terms import Role
from server.cases.facts import APPROVING, NO_RECIPIENT, Whole
from server.cases.office import Office, context_of, steps_from
from server.permit.ask import Asker

DeadlineKind: TypeAlias = Literal["freeze", "ratify", "release", "return", "copy", "feedback"]
_HOUR_MS: Final = 3_600_000
_UNDECIDED: Final = frozenset({State.SUBMITTED, State.PREPARED, State.CHECKED})
_RATIFIABLE: Final = frozenset({State.APPROVED, State.READY, State.RELEASED})
_NEXT: Final[dict[tuple[Role, State], Step]] = {
    (Role.OFFICER, State.DRAFT): Step.SUBMIT,
    (Role.HANDLER, State.SUBMITTED): Step.PREPARE,
    (Role.SUPERVISOR, State.PREPARED): Step.CHECK,
    (Role.MANAGER, State.CHECKED): Step.APPROVE,
    (Role.OFFICER, State.READY): Step.UNDERTAKE,
    (Role.OFFICER, State.RELEASED): Step.RETURN,
    (Role.OFFICER, State.REVOKED): Step.RETURN,
}


@dataclass(frozen=True, slots=True)
class Deadline:
    """A time at which something happens by itself, or is overdue."""

    kind: DeadlineKind
    at_ms: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a reader of a case may do.

    Attributes:
        may: steps that he or she may take now.
        problems: the rules that stand against his or her next step.
    """

    may: tuple[Step, ...]
    problems: tuple[Reason, ...]


def deadlines(whole: Whole, office: Office) -> tuple[Deadline, ...]:
    """Return the times that run, the next one first."""
    row, found = whole.row, []
    if row.state in _UNDECIDED and row.freeze_until_ms is not None:
        found.append(Deadline("freeze", row.freeze_until_ms))
    ratify_ms = ratify_by_ms(whole, office)
    if ratify_ms is not None and row.state in _RATIFIABLE:
        found.append(Deadline("ratify", ratify_ms))
    if row.state is State.RELEASED and row.release_until_ms is not None and row.found_ms is None:
        found.append(Deadline("release", row.release_until_ms))
    if row.state in {State.RELEASED, State.REVOKED} and row.return_by_ms is not None:
        found.append(Deadline("return", row.return_by_ms))
    copy_ms = copies_until_ms(whole, office)
    if copy_ms is not None:
        found.append(Deadline("copy", copy_ms))
    feedback_ms = feedback_by_ms(whole, office)
    if feedback_ms is not None and row.feedback is None and row.state in {State.RELEASED, State.RETURNED}:
        found.append(Deadline("feedback", feedback_ms))
    return tuple(sorted(found, key=lambda one: one.at_ms))


def ratify_by_ms(whole: Whole, office: Office) -> int | None:
    """Return until when an emergency release must be ratified; None: it is none, or was."""
    row = whole.row
    if row.emergency_ms is None or row.ratified_ms is not None:
        return None
    return row.emergency_ms + office.profile.number_of("emergency_hours") * _HOUR_MS


def copies_until_ms(whole: Whole, office: Office) -> int | None:
    """Return when the city's copies must be gone, counted from the first that came; None: there are none."""
    here = [one.whole_ms for one in whole.copies if one.whole_ms is not None]
    return min(here) + office.days_ms("copy_days") if here else None


def feedback_by_ms(whole: Whole, office: Office) -> int | None:
    """Return until when the answer is due; None: nothing was released."""
    return None if whole.undertaken_ms is None else whole.undertaken_ms + office.days_ms("feedback_days")


def outlook(whole: Whole, office: Office, asker: Asker) -> Outlook:
    """Return what `asker` may do now. Nothing follows from it: each step is asked for anew, and logged, when taken."""
    now_ms = office.now_ms()
    decisions = {
        step: office.decide(asker, whole, ACTION_OF[step], context_of(step, now_ms, until_ms=now_ms + _HOUR_MS))
        for step in steps_from(whole.row.state)
    }
    step = _NEXT.get((asker.role, whole.row.state))
    if asker.role is Role.MANAGER and ratify_by_ms(whole, office) is not None and whole.row.state in _RATIFIABLE:
        step = Step.RATIFY
    against = decisions[step].reasons if step is not None and not decisions[step].allowed else ()
    may = tuple(step for step, decision in decisions.items() if decision.allowed)
    if not whole.has_recipient and APPROVING & {step, *may}:
        against = (*against, NO_RECIPIENT)
        may = tuple(step for step in may if step not in APPROVING)
    return Outlook(_sensible(may, whole), against)


def _sensible(may: tuple[Step, ...], whole: Whole) -> tuple[Step, ...]:
    """Leave out what was done already and would change nothing."""
    row = whole.row
    done = {
        Step.FEEDBACK: row.feedback is not None,
        Step.FOUND: row.found_ms is not None,
        Step.RATIFY: row.ratified_ms is not None,
    }
    return tuple(step for step in may if not done.get(step, False))
