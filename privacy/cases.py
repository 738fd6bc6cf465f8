"""A request for footage as a state machine: which step leads from where to where. Who may take it, the policies say.

Source: docs/ORDINANCE.md, rules 5 to 17 and 22.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from privacy.terms import Action


class State(StrEnum):
    """Where a case is."""

    DRAFT = "draft"  # being written by the officer
    SUBMITTED = "submitted"  # well-formed; its window is frozen at the edge
    PREPARED = "prepared"  # 取扱者 has compared papers and request
    CHECKED = "checked"  # 取扱責任者 agrees
    APPROVED = "approved"  # 管理責任者 approved, or released in an emergency; gateways are exporting
    READY = "ready"  # all exports are here, their hashes are right
    RELEASED = "released"  # the undertaking is signed; the named officer may open it
    RETURNED = "returned"  # returned or destroyed, with a certificate
    CLOSED = "closed"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    LAPSED = "lapsed"  # undecided for too long: the freeze has ended
    REVOKED = "revoked"  # emergency not ratified in time: access is gone, destruction demanded


class Step(StrEnum):
    """What moves a case."""

    SUBMIT = "submit"
    PREPARE = "prepare"
    CHECK = "check"
    APPROVE = "approve"
    REFUSE = "refuse"
    WITHDRAW = "withdraw"
    EMERGENCY = "emergency"
    RATIFY = "ratify"
    EXPORTED = "exported"
    UNDERTAKE = "undertake"
    EXTEND = "extend"
    RETURN = "return"
    FEEDBACK = "feedback"
    FOUND = "found"
    LAPSE = "lapse"
    REVOKE = "revoke"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Move:
    """A step and where it leads."""

    step: Step
    to: State


_OPEN: Final = (Move(Step.REFUSE, State.REFUSED), Move(Step.WITHDRAW, State.WITHDRAWN), Move(Step.LAPSE, State.LAPSED))
_HURRY: Final = (Move(Step.EMERGENCY, State.APPROVED), Move(Step.FOUND, State.WITHDRAWN))

MOVES: Final[dict[State, tuple[Move, ...]]] = {
    State.DRAFT: (Move(Step.SUBMIT, State.SUBMITTED), Move(Step.WITHDRAW, State.WITHDRAWN)),
    State.SUBMITTED: (Move(Step.PREPARE, State.PREPARED), *_HURRY, *_OPEN),
    State.PREPARED: (Move(Step.CHECK, State.CHECKED), *_HURRY, *_OPEN),
    State.CHECKED: (Move(Step.APPROVE, State.APPROVED), *_HURRY, *_OPEN),
    State.APPROVED: (
        Move(Step.EXPORTED, State.READY),
        Move(Step.RATIFY, State.APPROVED),
        Move(Step.REVOKE, State.REVOKED),
        Move(Step.FOUND, State.WITHDRAWN),
        Move(Step.WITHDRAW, State.WITHDRAWN),
    ),
    State.READY: (
        Move(Step.UNDERTAKE, State.RELEASED),
        Move(Step.RATIFY, State.READY),
        Move(Step.REVOKE, State.REVOKED),
        Move(Step.FOUND, State.WITHDRAWN),
        Move(Step.WITHDRAW, State.WITHDRAWN),
    ),
    State.RELEASED: (
        Move(Step.RATIFY, State.RELEASED),
        Move(Step.EXTEND, State.RELEASED),
        Move(Step.FEEDBACK, State.RELEASED),
        Move(Step.FOUND, State.RELEASED),
        Move(Step.REVOKE, State.REVOKED),
        Move(Step.RETURN, State.RETURNED),
    ),
    State.REVOKED: (Move(Step.RETURN, State.RETURNED),),
    State.RETURNED: (Move(Step.FEEDBACK, State.RETURNED), Move(Step.CLOSE, State.CLOSED)),
    State.CLOSED: (),
    State.REFUSED: (),
    State.WITHDRAWN: (),
    State.LAPSED: (),
}

ACTION_OF: Final[dict[Step, Action]] = {
    Step.SUBMIT: Action.SUBMIT_CASE,
    Step.PREPARE: Action.PREPARE_CASE,
    Step.CHECK: Action.CHECK_CASE,
    Step.APPROVE: Action.APPROVE_CASE,
    Step.REFUSE: Action.REFUSE_CASE,
    Step.WITHDRAW: Action.WITHDRAW_CASE,
    Step.EMERGENCY: Action.RELEASE_EMERGENCY,
    Step.RATIFY: Action.RATIFY_CASE,
    Step.EXPORTED: Action.EXPORT_FOOTAGE,
    Step.UNDERTAKE: Action.SIGN_UNDERTAKING,
    Step.EXTEND: Action.EXTEND_RETURN,
    Step.RETURN: Action.CERTIFY_RETURN,
    Step.FEEDBACK: Action.ANSWER_FEEDBACK,
    Step.FOUND: Action.END_CASE,
    Step.LAPSE: Action.END_CASE,
    Step.REVOKE: Action.END_CASE,
    Step.CLOSE: Action.END_CASE,
}
"""What the policies are asked before each step."""

ENTRY_OF: Final[dict[Step, str]] = {
    Step.SUBMIT: "case.submitted",
    Step.PREPARE: "case.prepared",
    Step.CHECK: "case.checked",
    Step.APPROVE: "case.approved",
    Step.REFUSE: "case.refused",
    Step.WITHDRAW: "case.withdrawn",
    Step.EMERGENCY: "case.hastened",
    Step.RATIFY: "case.ratified",
    Step.EXPORTED: "case.exported",
    Step.UNDERTAKE: "case.undertaken",
    Step.EXTEND: "case.extended",
    Step.RETURN: "case.returned",
    Step.FEEDBACK: "case.answered",
    Step.FOUND: "case.found",
    Step.LAPSE: "case.lapsed",
    Step.REVOKE: "case.revoked",
    Step.CLOSE: "case.closed",
}
"""What the log calls each step that was taken."""
DENIED: Final = "case.denied"
"""What the log calls a step that the policies refused: `case.refused` is city hall's own refusal of a case."""

FROZEN: Final = frozenset({State.SUBMITTED, State.PREPARED, State.CHECKED, State.APPROVED, State.READY})
"""While its window must stay frozen at the edge."""
ENDED: Final = frozenset(state for state, moves in MOVES.items() if not moves)


class StepError(ValueError):
    """No such step leads on from this state."""


def after(state: State, step: Step) -> State:
    """Return the state that `step` leads to.

    Raises:
        StepError: it does not lead on from `state`.
    """
    for move in MOVES[state]:
        if move.step is step:
            return move.to
    raise StepError(f"no {step} from {state}")
