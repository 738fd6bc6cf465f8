"""Every way to ask a question a little differently: each fact of the schema with the values that matter to a rule."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import replace
from typing import Final, TypeAlias

from hypothesis import strategies as st

from privacy.cases import State
from privacy.policy.question import Entity, Moment, Question, Ref, Value
from privacy.terms import Basis, Purpose
from tests.privacy.policy.questions import ALLOWED, ASKERS, HOUR_MS, NOW_MS

Choice: TypeAlias = "Value | None"
"""A value of a fact; None: it is absent."""
FLAG: Final[tuple[Choice, ...]] = (True, False)
_PEOPLE: Final = tuple(Ref("Account", one) for one in ("a", "b", "c", "d"))
_MAYBE_PERSON: Final[tuple[Choice, ...]] = (None, *_PEOPLE)
_PURPOSES: Final[tuple[Choice, ...]] = tuple(Ref("Purpose", one.value) for one in Purpose)


def _near(*offsets_ms: int, may_lack: bool = True) -> tuple[Choice, ...]:
    """Return moments at and one millisecond around each offset from now."""
    moments = {Moment(NOW_MS + offset_ms + step_ms) for offset_ms in offsets_ms for step_ms in (-1, 0, 1)}
    return (*(None,) * may_lack, *sorted(moments, key=lambda one: one.ms))


_PAPERS: Final[tuple[Choice, ...]] = tuple(
    frozenset(one.split())
    for one in (
        "",
        "inquiry",
        "request",
        "inquiry request",
        "inquiry request warrant",
        "request warrant",
        "report",
        "report consent",
        "disclosure",
        "consent",
        "inquiry request warrant report consent disclosure",
    )
)
_AGENCIES: Final = (Ref("Agency", "station"), Ref("Agency", "other-station"))
_PROVIDERS: Final[tuple[Choice, ...]] = (None, Ref("Agency", "tagshop"), Ref("Agency", "rival"))
_GATES: Final[tuple[Choice, ...]] = tuple(
    frozenset(one.split()) for one in ("", "sensor:sound", "sensor:sound ai:faces", "recipient:hospital")
)
ORDINANCE: Final[Mapping[str, tuple[Choice, ...]]] = {
    "purposes": (frozenset[Ref](), frozenset(Ref("Purpose", one.value) for one in Purpose)),
    "maxCameras": (1, 2, 10, 60),
    "maxHours": (1, 2, 6),
    "boardCameras": (1, 2, 50, 51),
    "leadHours": (0, 2, 3, 4),
    "planningNeedsWarrant": FLAG,
    "emergencyHours": (22, 23, 24, 99, 100),
    "disasterHours": (71, 72, 73),
    "gates": (*_GATES, frozenset({"purpose:crime", "purpose:traffic_accident"})),
}
CONTEXT: Final[Mapping[str, tuple[Choice, ...]]] = {
    "purpose": _PURPOSES,
    "now": (Moment(NOW_MS), Moment(NOW_MS + HOUR_MS), Moment(NOW_MS - 30 * HOUR_MS)),
    "case": (None,),
    "step": (None, *(Ref("Step", one) for one in ("prepare", "check", "approve", "found", "lapse", "revoke", "close"))),
    "hasReason": (None, *FLAG),
    "reference": (None, "", "S-12"),
    "until": _near(0, HOUR_MS),
    "by": _MAYBE_PERSON,
    "fresh": (None, *FLAG),
}
FACTS: Final[Mapping[str, Mapping[str, tuple[Choice, ...]]]] = {
    "Agency": {"hasBasis": FLAG, "gate": (None, "recipient:hospital", "recipient:press")},
    "Ward": {
        "guardians": (frozenset[Ref](), frozenset({Ref("Guardian", "stranger"), Ref("Guardian", "father")})),
        "barred": (
            frozenset[Ref](),
            *(frozenset({Ref("Account", one)}) for one in ("mother", "child", "a", "officer")),
        ),
        "self": (None, Ref("Watched", "child"), Ref("Watched", "other-child")),
        "provider": _PROVIDERS,
    },
    "Case": {
        "agency": _AGENCIES,
        "registered": FLAG,
        "officer": (Ref("Officer", "officer"), Ref("Officer", "colleague")),
        "purpose": _PURPOSES,
        "gate": ("purpose:crime", "purpose:traffic_accident"),
        "basis": tuple(Ref("Basis", one.value) for one in Basis),
        "state": tuple(Ref("CaseState", one.value) for one in State),
        "emergency": FLAG,
        "emergencyAt": _near(0, -22 * HOUR_MS, -23 * HOUR_MS, -24 * HOUR_MS),
        "papers": _PAPERS,
        "hasOffence": FLAG,
        "hasOccurred": FLAG,
        "hasWarrant": FLAG,
        "hasReport": FLAG,
        "missingKind": ("", "child"),
        "cameras": (0, 1, 10, 11, 50, 51),
        "longestMs": (0, *(hours * HOUR_MS + one for hours in (2, 6) for one in (-1, 0, 1))),
        "from": _near(-5 * HOUR_MS, -3 * HOUR_MS, may_lack=False),
        "until": _near(-5 * HOUR_MS, -3 * HOUR_MS, may_lack=False),
        "lastConfirmed": _near(-5 * HOUR_MS, -3 * HOUR_MS, -2 * HOUR_MS),
        "found": FLAG,
        "hasReason": FLAG,
        "kept": FLAG,
        "withinPurpose": FLAG,
        "disasterUntil": _near(0, HOUR_MS),
        "prepareBy": _MAYBE_PERSON,
        "checkBy": _MAYBE_PERSON,
        "approveBy": _MAYBE_PERSON,
        "emergencyBy": _MAYBE_PERSON,
        "ratifyBy": _MAYBE_PERSON,
        "hasUndertaking": FLAG,
        "exportRight": FLAG,
        "releaseUntil": _near(0, HOUR_MS),
        "mayDownload": FLAG,
        "tagWard": (None, Ref("Ward", "ward"), Ref("Ward", "other-ward")),
    },
    "Camera": {
        **dict.fromkeys(("hasMask", "hasSign", "hasConsultation", "hasNotice"), FLAG),
        "gates": _GATES,
    },
    "MaskChange": {"prepareBy": _MAYBE_PERSON, "checkBy": _MAYBE_PERSON},
    "Gate": {"hasOpinion": FLAG, "hasChecklist": FLAG, "noticeOn": _near(0)},
    "Disaster": {"cameras": (0, 1, 2), "until": _near(0, 72 * HOUR_MS, may_lack=False)},
    "Device": {"provider": _PROVIDERS},
    "City": {},
    "Statistic": {"k": (0, 9, 10, 11), "noised": FLAG},
    "AuditLog": {},
    "Report": {"published": FLAG},
    "Account": {},
    "Household": {
        "owners": (frozenset[Ref](), frozenset({Ref("Guardian", "stranger"), Ref("Guardian", "father")})),
        "barred": (frozenset[Ref](), frozenset({Ref("Account", "mother")})),
    },
    "Measure": {"enteredBy": _PEOPLE, "endAskedBy": _MAYBE_PERSON},
    "Receipt": {"volunteer": (Ref("Volunteer", "walker"), Ref("Volunteer", "runner"))},
}
"""Type to attribute to the values that rules tell apart; the test of the schema holds them complete."""


def by_others(question: Question) -> Iterator[Question]:
    """Give the question as everybody else asks it."""
    return (replace(question, principal=asker) for asker in ASKERS if asker != question.principal)


def neighbours(question: Question, names: Container[str]) -> Iterator[Question]:
    """Give the question with each single one of the named facts changed."""
    return (changed(question, *place) for place in _places(question) if place[1] in names)


def changed(question: Question, place: str, name: str, choice: Choice) -> Question:
    """Return the question with one fact changed; `place`: "resource", "context", "both", "ordinance", "case"."""
    if place == "both":
        return changed(changed(question, "resource", name, choice), "context", name, choice)
    if place == "resource":
        return replace(question, resource=_entity(question.resource, name, choice))
    if place == "case":
        return replace(question, others=tuple(_entity(one, name, choice) for one in question.others))
    if place == "ordinance":
        rules = question.context["ordinance"]
        assert isinstance(rules, Mapping)
        return replace(question, context={**question.context, "ordinance": _with(rules, name, choice)})
    return replace(question, context=_with(question.context, name, choice))


@st.composite
def questions(draw: st.DrawFn) -> Question:
    """Draw a question near one that is allowed: none to nine facts changed, and now and then the one who asks."""
    question = draw(st.sampled_from(sorted(ALLOWED.items())))[1]
    places = list(_places(question))
    for place, name, choice in draw(st.lists(st.sampled_from(places), max_size=9)):
        question = changed(question, place, name, choice)
    if draw(st.integers(0, 3)) == 0:
        question = replace(question, principal=draw(st.sampled_from(ASKERS)))
    return question


def _places(question: Question) -> Iterator[tuple[str, str, Choice]]:
    """Give all that can be changed: where, which fact, to what."""
    pools: list[tuple[str, Mapping[str, tuple[Choice, ...]]]] = [
        ("resource", FACTS[question.resource.ref.type]),
        ("context", CONTEXT),
        ("ordinance", ORDINANCE),
        *(("case", FACTS[one.ref.type]) for one in question.others),
    ]
    if question.resource.attributes.get("purpose") == question.context["purpose"]:
        pools.append(("both", {"purpose": _PURPOSES}))  # one alone would only be a question for another purpose
    for place, pool in pools:
        for name, choices in pool.items():
            yield from ((place, name, choice) for choice in choices)


def _entity(entity: Entity, name: str, choice: Choice) -> Entity:
    return replace(entity, attributes=_with(entity.attributes, name, choice))


def _with(facts: Mapping[str, Value], name: str, choice: Choice) -> dict[str, Value]:
    others = {one: value for one, value in facts.items() if one != name}
    return others if choice is None else {**others, name: choice}
