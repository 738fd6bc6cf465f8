"""Each rule that refuses, by its id: one question that only this rule stands against, a change away from a yes."""

from __future__ import annotations

from typing import Final

import pytest

from privacy.policy.engine import Engine
from privacy.policy.question import Entity, Moment, Question, Ref
from privacy.policy.source import PolicyTexts
from privacy.terms import Action, Purpose
from tests.privacy.policy.questions import ALLOWED, ASKERS, HOUR_MS, NOW_MS, SUPERVISOR, context
from tests.privacy.policy.variations import Choice, changed

ENGINE = Engine.load()
SECOND_LOCKS: Final = {
    "R06-outsiders",
    "R13-named-officer",
    "N02-place",
    "R24-officer-only",
    "S02-crowd",
    "R19-board-only",
}
"""Rules whose permits already say the same: they name the rule that a stranger breaks, and hold if a permit slips."""
A = Ref("Account", "a")
TABLE: Final[tuple[tuple[str, str, tuple[tuple[str, str, Choice], ...]], ...]] = (
    ("N01-barred", "viewPlace, mother", (("resource", "barred", frozenset({Ref("Account", "mother")})),)),
    ("N01-barred", "look up, Handler", (("resource", "barred", frozenset({A})),)),
    (
        "R01-closed-list",
        "submit crime",
        (
            ("both", "purpose", Ref("Purpose", "open_statistics")),
            ("ordinance", "purposes", frozenset({Ref("Purpose", "open_statistics")})),
        ),
    ),
    ("R01-ordinance-purpose", "submit disaster", (("ordinance", "purposes", frozenset[Ref]()),)),
    ("R01-camera-purpose", "approve crime", (("resource", "withinPurpose", False),)),
    ("R01-disclosure", "submit subject_disclosure", (("resource", "papers", frozenset({"request"})),)),
    ("R01-disclosure", "submit subject_disclosure", (("resource", "basis", Ref("Basis", "consent")),)),
    ("R02-papers", "submit crime", (("resource", "papers", frozenset({"request"})),)),
    ("R02-papers", "approve crime", (("resource", "papers", frozenset({"inquiry"})),)),
    ("R02-papers", "ratify crime", (("resource", "papers", frozenset[str]()),)),
    ("R02-basis", "submit crime", (("resource", "basis", Ref("Basis", "consent")),)),
    ("R02-offence", "submit crime", (("resource", "hasOffence", False),)),
    ("R02-traffic", "submit traffic_accident", (("resource", "papers", frozenset({"request"})),)),
    ("R02-traffic-basis", "submit traffic_accident", (("resource", "basis", Ref("Basis", "consent")),)),
    ("R03-planning", "submit crime", (("resource", "hasOccurred", False),)),
    ("R04-warrant", "view crime, on a warrant", (("resource", "papers", frozenset({"inquiry", "request"})),)),
    ("R05-basis", "submit missing_person", (("resource", "basis", Ref("Basis", "inquiry")),)),
    ("R05-report", "submit missing_person", (("resource", "hasReport", False),)),
    ("R05-kind", "submit missing_person", (("resource", "missingKind", ""),)),
    ("R05-window", "submit missing_person", (("resource", "lastConfirmed", None),)),
    ("R05-window", "submit missing_person", (("resource", "lastConfirmed", Moment(NOW_MS - 2 * HOUR_MS + 1)),)),
    ("R05-found", "view missing_person", (("resource", "found", True),)),
    ("R06-three", "view crime", (("resource", "approveBy", Ref("Account", "b")),)),
    ("R06-three", "export crime", (("resource", "checkBy", None),)),
    ("R06-check-other", "check crime", (("resource", "prepareBy", Ref("Account", "b")),)),
    ("R06-approve-other", "approve crime", (("resource", "checkBy", Ref("Account", "c")),)),
    ("R06-approve-other", "approve crime", (("resource", "checkBy", A),)),
    ("R08-explicit", "submit crime", (("resource", "cameras", 0),)),
    ("R08-explicit", "submit crime", (("resource", "until", Moment(NOW_MS - 5 * HOUR_MS)),)),
    ("R08-cameras", "approve crime", (("resource", "cameras", 11), ("resource", "hasReason", False))),
    ("R08-hours", "approve crime", (("resource", "longestMs", 6 * HOUR_MS + 1),)),
    ("R09-once", "release crime", (("resource", "emergencyBy", A),)),
    ("R09-ratify-other", "ratify crime", (("resource", "emergencyBy", Ref("Account", "c")),)),
    ("R09-ratify-other", "ratify crime", (("resource", "emergencyAt", Moment(NOW_MS - 24 * HOUR_MS)),)),
    (
        "R09-clock",
        "viewFootage of crime in an emergency",
        (("resource", "emergencyAt", Moment(NOW_MS - 24 * HOUR_MS)),),
    ),
    (
        "R09-clock",
        "viewFootage of crime in an emergency",
        (("resource", "emergencyAt", Moment(NOW_MS - 24 * HOUR_MS)), ("resource", "approveBy", A)),
    ),
    ("R11-kept", "submit crime", (("resource", "kept", False),)),
    ("R13-expiry", "view crime", (("resource", "releaseUntil", Moment(NOW_MS)),)),
    ("R13-view-only", "download crime", (("resource", "mayDownload", False),)),
    ("R14-hash", "view crime, on a warrant", (("resource", "exportRight", False),)),
    ("R14-hash", "sign crime", (("resource", "exportRight", False),)),
    ("R15-mask-three", "mask, check", (("resource", "prepareBy", Ref("Account", "b")),)),
    ("R15-mask-three", "mask, approve", (("resource", "checkBy", A),)),
    ("R15-no-mask", "go live", (("resource", "hasMask", False),)),
    ("R16-undertaking", "view crime", (("resource", "hasUndertaking", False),)),
    ("R17-reason", "extend, by Manager", (("context", "hasReason", False),)),
    ("R17-reason", "extend, by Manager", (("context", "until", Moment(NOW_MS)),)),
    ("R18-registered", "view crime", (("resource", "registered", False),)),
    ("R18-basis", "register a station", (("resource", "hasBasis", False),)),
    ("R20-records", "go live", (("resource", "hasNotice", False),)),
    ("R23-recipient", "register a hospital", (("resource", "gate", "recipient:press"),)),
    ("R23-sensor", "go live", (("resource", "gates", frozenset({"sensor:sound", "ai:faces"})),)),
    ("R23-gate", "open a gate", (("resource", "noticeOn", Moment(NOW_MS + 1)),)),
    ("R23-gate", "open a gate", (("resource", "hasOpinion", False),)),
    ("R24-named-ward", "tag history by consent", (("case", "tagWard", None),)),
    ("R24-named-ward", "tag history by warrant", (("case", "tagWard", Ref("Ward", "other-ward")),)),
    ("R24-consent-or-warrant", "tag history by consent", (("case", "papers", frozenset({"report"})),)),
    ("R24-consent-or-warrant", "tag history by warrant", (("case", "basis", Ref("Basis", "inquiry")),)),
    ("R24-consent-or-warrant", "tag history by consent", (("case", "found", True),)),
    ("R24-three", "tag history by consent", (("case", "checkBy", A),)),
    ("R24-three", "tag history by warrant", (("case", "approveBy", None), ("case", "emergencyBy", A))),
    ("R24-bounds", "tag history by consent", (("case", "releaseUntil", Moment(NOW_MS)),)),
    ("R25-reason", "look up, Provider", (("context", "reference", ""),)),
    ("R25-hold-dated", "hold", (("context", "by", Ref("Account", "c")),)),
    ("R25-hold-dated", "hold", (("context", "until", None),)),
    ("R25-disaster", "submit disaster", (("resource", "disasterUntil", Moment(NOW_MS)),)),
    ("R25-disaster-basis", "submit disaster", (("resource", "basis", Ref("Basis", "inquiry")),)),
    ("R25-disaster-bounds", "declare", (("resource", "until", Moment(NOW_MS + 72 * HOUR_MS + 1)),)),
    ("R25-disaster-bounds", "declare", (("resource", "cameras", 0),)),
    ("A05-barred-invites-nobody", "invite", (("resource", "barred", frozenset({Ref("Account", "mother")})),)),
    ("A08-two-confirm", "confirm a measure, Manager", (("resource", "enteredBy", Ref("Account", "c")),)),
    ("A09-two-lift", "lift a measure, Manager", (("resource", "endAskedBy", Ref("Account", "c")),)),
)
"""Rule, the allowed question that it starts from, and what is changed in it."""


def _refusal(question: Question) -> list[str]:
    decision = ENGINE.decide(question)
    assert not decision.allowed
    return [reason.policy for reason in decision.reasons]


@pytest.mark.parametrize(("rule", "base", "changes"), TABLE, ids=[f"{rule}: {base}" for rule, base, _ in TABLE])
def test_a_rule_refuses_alone(rule: str, base: str, changes: tuple[tuple[str, str, Choice], ...]) -> None:
    question = ALLOWED[base]
    assert ENGINE.decide(question).allowed
    for change in changes:
        question = changed(question, *change)
    assert _refusal(question) == [rule]


def test_every_rule_that_refuses_stands_in_the_table_or_is_a_second_lock() -> None:
    forbids = {policy.reason.policy for policy in PolicyTexts.read().policies if not policy.is_permit}
    elsewhere = {"R09-life", "A03-not-oneself"}  # below: what they refuse is more than one fact away
    assert forbids - {rule for rule, _, _ in TABLE} == SECOND_LOCKS | elsewhere


def test_a_disclosure_is_no_emergency() -> None:
    question = changed(ALLOWED["submit subject_disclosure"], "resource", "state", Ref("CaseState", "submitted"))
    released = Question(SUPERVISOR, Action.RELEASE_EMERGENCY, question.resource, context(Purpose.CASE_WORK))
    assert _refusal(released) == ["R09-life"]


def test_nobody_manages_their_own_account() -> None:
    question = ALLOWED["manage an account, Manager"]
    mine = Question(question.principal, question.action, Entity(Ref("Account", "c")), question.context)
    assert _refusal(mine) == ["A03-not-oneself"]


@pytest.mark.parametrize("name", ["viewPlace, mother", "viewTrack, mother", "viewEvents, mother"])
def test_nobody_but_the_family_gets_a_place(name: str) -> None:
    for asker in ASKERS:
        question = ALLOWED[name]
        allowed = ENGINE.decide(Question(asker, question.action, question.resource, question.context)).allowed
        assert allowed == (asker.ref in {Ref("Guardian", "mother"), Ref("Watched", "child")})


def test_a_refusal_names_every_rule_that_it_breaks() -> None:
    question = changed(ALLOWED["submit crime"], "resource", "papers", frozenset[str]())
    for name in ("hasOffence", "hasOccurred", "kept", "registered"):
        question = changed(question, "resource", name, choice=False)
    assert _refusal(question) == ["R02-offence", "R02-papers", "R03-planning", "R11-kept", "R18-registered"]
