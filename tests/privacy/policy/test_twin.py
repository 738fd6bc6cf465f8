"""The policies and the twin answer alike, with the same rules named: whatever is asked."""

from hypothesis import given, settings

from privacy.policy.engine import Engine
from privacy.policy.question import Question
from privacy.policy.source import PolicyTexts
from tests.privacy.policy import twin
from tests.privacy.policy.questions import ALLOWED, REFUSED
from tests.privacy.policy.variations import questions

ENGINE = Engine.load()


def _answer(question: Question) -> tuple[bool, frozenset[str]]:
    decision = ENGINE.decide(question)
    return decision.allowed, frozenset(reason.policy for reason in decision.reasons)


@settings(max_examples=1_500, deadline=None)
@given(questions())
def test_any_question_gets_the_same_answer_for_the_same_reasons(question: Question) -> None:
    before = ENGINE.errors
    assert _answer(question) == twin.answer(question)
    assert ENGINE.errors == before


def test_all_questions_of_the_table_are_answered_as_it_says() -> None:
    assert all(_answer(question) == twin.answer(question) for question in (*ALLOWED.values(), *REFUSED.values()))
    assert all(twin.answer(question)[0] for question in ALLOWED.values())
    assert not any(twin.answer(question)[0] for question in REFUSED.values())


def test_the_twin_has_the_same_rules() -> None:
    policies = PolicyTexts.read().policies
    assert {one.reason.policy for one in policies if one.is_permit} == set(twin.PERMITS)
    assert {one.reason.policy for one in policies if not one.is_permit} == set(twin.FORBIDS)


def test_every_permit_decides_a_question_of_the_table() -> None:
    named = frozenset[str]().union(*(twin.answer(question)[1] for question in ALLOWED.values()))
    assert named == set(twin.PERMITS)
