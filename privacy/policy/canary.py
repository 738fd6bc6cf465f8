"""Questions whose answers are known: asked when the policies are loaded, before any real one.

They catch what no test of the texts can: a library that reads policies, schema or entities otherwise than it did.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from privacy.cases import State, Step
from privacy.policy.entities import CaseFacts, OrdinanceFacts, principal, ward
from privacy.policy.question import Moment, Question, Ref, Value
from privacy.policy.resources import statistic
from privacy.terms import Action, Basis, Purpose, Role

_HOUR_MS: Final = 3_600_000
_NOW_MS: Final = 1_767_225_600_000  # 2026-01-01T00:00:00Z
_RULES: Final = OrdinanceFacts(
    purposes=frozenset({"crime", "missing_person"}),
    max_cameras=10,
    max_hours=6,
    board_cameras=50,
    lead_hours=3,
    planning_needs_warrant=True,
    emergency_hours=24,
    disaster_hours=72,
)
_WARD: Final = ward("ward", guardians=("mother", "father"), barred=("father",), provider="provider")
_CASE: Final = CaseFacts(
    id="case",
    agency="station",
    is_registered=True,
    officer="officer",
    purpose=Purpose.CRIME,
    basis=Basis.INQUIRY,
    state=State.RELEASED,
    papers=frozenset({"inquiry", "request"}),
    has_offence=True,
    has_occurred=True,
    cameras=1,
    longest_ms=_HOUR_MS,
    from_ms=_NOW_MS - 2 * _HOUR_MS,
    to_ms=_NOW_MS - _HOUR_MS,
    steps_by=(
        (Step.PREPARE, Role.HANDLER, "a"),
        (Step.CHECK, Role.SUPERVISOR, "b"),
        (Step.APPROVE, Role.MANAGER, "c"),
    ),
    has_undertaking=True,
    is_export_right=True,
    release_until_ms=_NOW_MS + _HOUR_MS,
)


def _context(purpose: Purpose) -> dict[str, Value]:
    return {"purpose": Ref("Purpose", purpose.value), "now": Moment(_NOW_MS), "ordinance": _RULES.record()}


def _place(account: str, role: Role = Role.GUARDIAN) -> Question:
    agency = "provider" if role is Role.PROVIDER else None
    asker = principal(role, account, agency)
    return Question(asker, Action.VIEW_PLACE, _WARD, _context(Purpose.FAMILY_WATCH))


def _footage(facts: CaseFacts, officer: str = "officer") -> Question:
    asker = principal(Role.OFFICER, officer, "station")
    return Question(asker, Action.VIEW_FOOTAGE, facts.entity(), _context(facts.purpose))


def _tag_history(facts: CaseFacts) -> Question:
    context = {**_context(facts.purpose), "case": Ref("Case", facts.id)}
    asker = principal(Role.OFFICER, facts.officer, facts.agency)
    return Question(asker, Action.VIEW_TAG_HISTORY, _WARD, context, (facts.entity(),))


def _statistic(k: int) -> Question:
    asker = principal(Role.PUBLIC, "public")
    resource = statistic("day", k=k, is_noised=True)
    return Question(asker, Action.VIEW_STATISTIC, resource, _context(Purpose.OPEN_STATISTICS))


QUESTIONS: Final = (
    ("a guardian sees the place", _place("mother"), True),
    ("a stranger does not", _place("stranger"), False),
    ("a barred guardian does not", _place("father"), False),
    ("a provider does not", _place("someone", Role.PROVIDER), False),
    ("the named officer views released footage", _footage(_CASE), True),
    ("another officer does not", _footage(_CASE, "other"), False),
    ("without its papers a crime gives nothing", _footage(replace(_CASE, papers=frozenset())), False),
    (
        "nor does one person in two roles",
        _footage(replace(_CASE, steps_by=(*_CASE.steps_by[:2], ("approve", Role.MANAGER, "a")))),
        False,
    ),
    ("footage gives no tag history", _tag_history(_CASE), False),
    ("a crowd may be counted", _statistic(10), True),
    ("a few may not", _statistic(9), False),
)
"""Name, question, and whether it is allowed."""
