"""The promises hold; each is broken by policies that break it; and none is an empty word."""

from collections.abc import Mapping

import pytest
import z3

from privacy.policy.source import PolicyTexts
from privacy.proof.properties import PROPERTIES, Property
from privacy.proof.prove import Prover
from privacy.terms import Action
from tests.privacy.policy.test_case_table import SECOND_LOCKS

TEXTS = PolicyTexts.read()


def _changed(subject: str, old: str, new: str) -> PolicyTexts:
    assert TEXTS.subjects[subject].count(old) >= 1
    return PolicyTexts(TEXTS.schema, {**TEXTS.subjects, subject: TEXTS.subjects[subject].replace(old, new)})


def _without(*ids: str) -> PolicyTexts:
    subjects: Mapping[str, str] = TEXTS.subjects
    for one in ids:
        subjects = {name: _cut(text, one) for name, text in subjects.items()}
    return PolicyTexts(TEXTS.schema, subjects)


def _cut(text: str, id_: str) -> str:
    start = text.find(f'@id("{id_}")')
    return text if start < 0 else text[:start] + text[text.index("};", start) + 2 :]


def _broken(texts: PolicyTexts) -> set[str]:
    return {proof.promise.name for proof in Prover(texts).prove() if not proof.is_proved}


def test_every_promise_is_proved() -> None:
    assert [proof.promise.name for proof in Prover(TEXTS).prove() if not proof.is_proved] == []


def test_every_policy_can_decide_or_is_a_second_lock() -> None:
    assert set(Prover(TEXTS).idle()) == SECOND_LOCKS


@pytest.mark.parametrize(
    ("texts", "promises"),
    [
        (_without("N01-barred"), {"barred"}),
        (_changed("family", "resource.guardians.contains(principal)", "resource has self"), {"place"}),
        (_without("R14-hash"), {"footage"}),
        (_without("R16-undertaking"), {"footage"}),
        (_without("R09-clock"), {"footage", "export"}),
        (_without("R06-three"), {"footage", "export"}),
        (_without("R13-view-only"), {"download"}),
        (_without("R13-expiry"), {"footage"}),
        (_without("R02-papers"), {"papers"}),
        (_without("R03-planning"), {"crime"}),
        (_without("R05-window"), {"missing"}),
        (_without("R18-registered"), {"footage", "registered"}),
        (_without("R24-consent-or-warrant"), {"tag-history"}),
        (_without("R24-named-ward"), {"tag-history"}),
        (_without("R24-three"), {"tag-history"}),
        (_without("R08-cameras"), {"ceiling"}),
        (_without("R06-approve-other"), {"third"}),
        (_without("R09-ratify-other"), {"ratified"}),
        (_without("R15-mask-three"), {"mask"}),
        (_without("R20-records"), {"live"}),
        (_without("R23-gate"), {"gate"}),
        (_without("R25-reason"), {"look-up"}),
        (_without("R01-closed-list"), {"purposes"}),
        (_without("A08-two-confirm"), {"measure"}),
        (_without("A05-barred-invites-nobody"), {"invite"}),
        (
            PolicyTexts(
                TEXTS.schema,
                {name: text.replace("resource.k >= 10", "resource.k >= 9") for name, text in TEXTS.subjects.items()},
            ),
            {"statistic"},
        ),
        (
            _changed(
                "footage", "context.ordinance.emergencyHours * 3600000", "context.ordinance.emergencyHours * 3600001"
            ),
            {"footage", "export", "ratified"},
        ),
    ],
    ids=lambda value: ",".join(sorted(value)) if isinstance(value, set) else "",
)
def test_looser_policies_break_their_promise(texts: PolicyTexts, promises: set[str]) -> None:
    texts.validate()
    assert _broken(texts) == promises


def test_a_false_promise_is_not_proved() -> None:
    false = Property("false", "", "", (Action.VIEW_FOOTAGE,), lambda _: z3.BoolVal(val=False))
    (proof,) = Prover(TEXTS).prove([false])
    assert not proof.is_proved
    assert proof.broken_by


def test_a_promise_over_what_nobody_may_do_is_vacuous() -> None:
    nobody = _without("R19-audit")
    audit = next(one for one in PROPERTIES if one.name == "audit")
    (proof,) = Prover(nobody).prove([audit])
    assert (proof.broken_by, proof.is_vacuous, proof.is_proved) == ((), True, False)


def test_names_and_sentences_of_promises_differ() -> None:
    assert len({one.name for one in PROPERTIES}) == len({one.ja for one in PROPERTIES}) == len(PROPERTIES)
