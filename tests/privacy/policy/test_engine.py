"""The engine, and the three traps of the library that it closes."""

import json
from dataclasses import replace

import cedarpy
import pytest

from privacy.policy import canary
from privacy.policy.engine import DEFAULT_DENY, POLICY_ERROR, Engine, of_this_release
from privacy.policy.question import Entity, Moment, Question, Ref, Value
from privacy.policy.request import entities_of, request_of
from privacy.policy.source import PolicyError, PolicyTexts
from privacy.terms import Action, Purpose
from tests.privacy.policy import twin
from tests.privacy.policy.questions import ALLOWED, CRIME, MOTHER, OFFICER, REFUSED, WARD, of_case, of_ward, tag_history

TEXTS = PolicyTexts.read()
PLACE = of_ward(MOTHER, Action.VIEW_PLACE, Purpose.FAMILY_WATCH)
FORBID_BY_GROUP = """@id("X") @article("a") @ja("あ") @en("a")
forbid (principal, action in Mimamori::Action::"seeing", resource) when { resource.barred.contains(principal.account) };
"""


@pytest.fixture
def engine() -> Engine:
    return Engine.load()


def test_what_no_rule_permits_is_refused(engine: Engine) -> None:
    stranger = replace(PLACE, principal=Entity(Ref("Guardian", "x"), {"account": Ref("Account", "x")}))
    decision = engine.decide(stranger)
    assert (decision.allowed, decision.reasons) == (False, (DEFAULT_DENY,))


def test_an_answer_names_its_policies_in_both_languages_and_the_set(engine: Engine) -> None:
    decision = engine.decide(of_case(OFFICER, Action.SUBMIT_CASE, replace(CRIME, papers=frozenset(), cameras=0)))
    assert [reason.policy for reason in decision.reasons] == ["R02-papers", "R08-explicit"]
    assert all(reason.ja and reason.en and reason.article for reason in decision.reasons)
    assert decision.policy_set == TEXTS.digest == engine.policy_set


def test_a_yes_comes_with_its_obligations_and_a_no_with_none(engine: Engine) -> None:
    assert engine.decide(ALLOWED["approve more cameras than the board's"]).obligations == {"board_sample"}
    assert engine.decide(ALLOWED["submit crime"]).obligations == {"freeze"}
    assert engine.decide(of_case(OFFICER, Action.SUBMIT_CASE, replace(CRIME, cameras=0))).obligations == frozenset()


@pytest.mark.parametrize(
    "question",
    [
        replace(PLACE, principal=replace(MOTHER, attributes={})),
        replace(PLACE, resource=replace(WARD, attributes={**WARD.attributes, "age": 9})),
        replace(PLACE, resource=replace(WARD, attributes={**WARD.attributes, "barred": "father"})),
        replace(PLACE, resource=CRIME.entity()),
        replace(PLACE, context={name: value for name, value in PLACE.context.items() if name != "now"}),
        replace(PLACE, context={**PLACE.context, "purpose": Ref("Purpose", "general_monitoring")}),
        replace(PLACE, context={**PLACE.context, "now": Moment(10**18)}),
        replace(PLACE, context={**PLACE.context, "until": 2**70}),
        replace(PLACE, others=(replace(WARD, attributes={**WARD.attributes, "barred": frozenset[Ref]()}),)),
        replace(PLACE, principal=replace(MOTHER, ref=Ref("Nobody", "mother"))),
        replace(tag_history(CRIME), others=()),
    ],
    ids=[str(number) for number in range(11)],
)
def test_a_malformed_question_is_refused_and_counted(engine: Engine, question: Question) -> None:
    decision = engine.decide(question)
    assert (decision.allowed, decision.reasons, engine.errors) == (False, (POLICY_ERROR,), 1)


@pytest.mark.parametrize("odd", ['"}]', "\n", "\u2028", "\x00", "\u200b", "a" * 10_000, 'x"::Guardian::"mother'])
def test_an_id_is_never_read_as_syntax(engine: Engine, odd: str) -> None:
    guardians = frozenset({Ref("Guardian", odd)})
    ward = replace(WARD, ref=Ref("Ward", odd), attributes={**WARD.attributes, "guardians": guardians})
    asker = Entity(Ref("Guardian", odd), {"account": Ref("Account", odd)})
    assert engine.decide(replace(PLACE, principal=asker, resource=ward)).allowed
    assert not engine.decide(replace(PLACE, resource=ward)).allowed


def test_asking_only_the_policies_of_the_action_gives_the_same_answers(engine: Engine) -> None:
    schema, whole = TEXTS.parsed_schema(), cedarpy.PolicySet.from_str(TEXTS.text)
    for question in (*ALLOWED.values(), *REFUSED.values()):
        known = cedarpy.Entities.from_json_str(entities_of(question), schema)
        found = cedarpy.is_authorized(request_of(question), whole, known, schema)
        ids = {TEXTS.policies[int(one.removeprefix("policy"))].reason.policy for one in found.diagnostics.reasons}
        decision = engine.decide(question)
        assert (found.allowed, ids) == (decision.allowed, {reason.policy for reason in decision.reasons})


def test_entities_read_without_a_schema_would_let_a_barred_father_see() -> None:
    # Trap 1: then a rule over a group of actions does not apply, and nothing says so. The engine reads none so.
    grouped = "action viewPlace in [seeing] appliesTo { principal: [Guardian], resource: [Ward], context: Asked };"
    schema = TEXTS.schema.replace("viewPlace, ", "", 1).replace(
        "action viewWard", f"action seeing; {grouped} action viewWard"
    )
    policies = TEXTS.subjects["family"] + FORBID_BY_GROUP
    father = replace(PLACE, principal=Entity(Ref("Guardian", "father"), {"account": Ref("Account", "father")}))
    request, entities = request_of(father), entities_of(father)
    with_schema = cedarpy.Entities.from_json_str(entities, schema)
    without = cedarpy.Entities.from_json_str(entities)
    assert cedarpy.validate_policies(policies, schema).validation_passed
    assert not cedarpy.is_authorized(request, policies, with_schema, schema).allowed
    assert cedarpy.is_authorized(request, policies, without, schema).allowed


def test_no_policy_of_ours_speaks_of_a_group_of_actions() -> None:
    assert all(set(_named(policy.tree.action)) <= {action.value for action in Action} for policy in TEXTS.policies)


def _named(scope: object) -> list[str]:
    entities = getattr(scope, "entities", None) or (getattr(scope, "entity"),)  # noqa: B009 - any kind of scope
    return [one.id for one in entities]


def test_a_forbid_that_errs_makes_the_answer_a_refusal() -> None:
    # Trap 2: Cedar leaves out a policy that errs, a forbid too. Here a sum runs over 64 bits, which no schema prevents.
    overflow = """@id("X") @article("a") @ja("あ") @en("a")
    forbid (principal, action == Mimamori::Action::"viewStatistic", resource)
    when { resource.k * 9223372036854775807 > 0 };"""
    engine = Engine(PolicyTexts(TEXTS.schema, {**TEXTS.subjects, "x": overflow}))
    question = ALLOWED["statistic"]
    known = cedarpy.Entities.from_json_str(entities_of(question), TEXTS.parsed_schema())
    assert cedarpy.is_authorized(request_of(question), TEXTS.text + overflow, known).allowed
    decision = engine.decide(question)
    assert (decision.allowed, decision.reasons, engine.errors) == (False, (POLICY_ERROR,), 1)


def test_a_list_that_a_rule_asks_to_contain_is_never_from_the_one_who_asks() -> None:
    # Trap 3: whatever contains all of nothing. `containsAll` stands over lists of the ordinance and the case alone.
    empty: dict[str, Value] = {**CRIME.entity().attributes, "papers": frozenset[str]()}
    assert twin.answer(of_case(OFFICER, Action.SUBMIT_CASE, replace(CRIME, papers=frozenset())))[0] is False
    lists = [line.strip() for line in TEXTS.text.splitlines() if "containsAll(" in line]
    assert {line.partition("containsAll")[0] + line.partition("containsAll")[2] for line in lists} == {
        'resource.papers.(["inquiry", "request"]) ||',
        "context.ordinance.gates.(resource.gates)",
    }
    assert "containsAny(" not in TEXTS.text
    assert (
        not Engine.load().decide(replace(ALLOWED["submit crime"], resource=Entity(CRIME.entity().ref, empty))).allowed
    )


def test_policies_that_answer_a_known_question_wrongly_are_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = {
        **TEXTS.subjects,
        "never": TEXTS.subjects["never"].replace("resource.barred.contains(", "!resource.barred.contains("),
    }
    monkeypatch.setattr(PolicyTexts, "read", lambda: PolicyTexts(TEXTS.schema, changed))
    of_this_release.cache_clear()
    with pytest.raises(PolicyError, match="a barred guardian does not"):
        Engine.load()


def test_engines_of_one_process_count_their_own_errors() -> None:
    one, other = Engine.load(), Engine.load()
    one.decide(replace(ALLOWED["submit crime"], resource=Entity(CRIME.entity().ref, {})))
    assert (one.errors, other.errors) == (1, 0)


def test_policies_that_do_not_fit_the_schema_are_not_loaded() -> None:
    text = TEXTS.subjects["family"].replace("resource.guardians", "resource.guardian")
    with pytest.raises(PolicyError, match="F01-guardian"):
        Engine(PolicyTexts(TEXTS.schema, {**TEXTS.subjects, "family": text}))


def test_the_known_questions_have_both_answers() -> None:
    assert {expected for _, _, expected in canary.QUESTIONS} == {True, False}


def test_a_question_is_json_that_names_what_it_is_about() -> None:
    entities = json.loads(entities_of(PLACE))
    assert [one["uid"]["id"] for one in entities] == ["mother", "ward"]
    assert request_of(PLACE)["context"]["now"] == {"__extn": {"fn": "datetime", "arg": "2026-01-01T00:00:00.000Z"}}
