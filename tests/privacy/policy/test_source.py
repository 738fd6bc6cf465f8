import re
from pathlib import Path

import pytest

from privacy.cases import ACTION_OF, State, Step
from privacy.policy import words
from privacy.policy.entities import TYPE_OF
from privacy.policy.source import FOLDER, OBLIGATIONS, SCHEMA_NAME, PolicyError, PolicyTexts
from privacy.proof.difference import reads
from privacy.proof.schema import Schema
from privacy.terms import Action, Basis, Purpose, Role
from tests.privacy.policy import variations

TEXTS = PolicyTexts.read()
SCHEMA = Schema.parse(TEXTS.schema)
ONE = """@id("X") @article("a") @ja("あ") @en("a")
permit (principal, action == Mimamori::Action::"readAudit", resource);
"""


def _with(text: str) -> PolicyTexts:
    return PolicyTexts(TEXTS.schema, {"one": text})


def test_the_policies_fit_their_schema() -> None:
    TEXTS.validate()


def test_every_policy_has_a_sentence_in_both_languages() -> None:
    for policy in TEXTS.policies:
        said = policy.reason
        assert re.search(r"[ぁ-ん]", said.ja), said.policy
        assert said.ja.endswith("。"), said.policy
        assert re.fullmatch(r"[A-Z].*[a-z]{3}.*\.", said.en), said.policy


def test_a_policy_is_named_after_its_rule() -> None:
    assert all(re.fullmatch(r"(R\d\d|[A-Z]\d\d)-[a-z-]+", policy.reason.policy) for policy in TEXTS.policies)
    rules = {int(policy.reason.policy[1:3]) for policy in TEXTS.policies if policy.reason.policy.startswith("R")}
    assert rules >= {*range(1, 12), *range(13, 19), 23, 24, 25}


@pytest.mark.parametrize(
    ("type_", "values"),
    [("Purpose", Purpose), ("Basis", Basis), ("CaseState", State)],
)
def test_the_closed_lists_are_those_of_the_ordinance(type_: str, values: type[Purpose | Basis | State]) -> None:
    assert set(SCHEMA.enums[type_]) == {one.value for one in values}


def test_the_steps_are_those_of_a_case_and_of_a_mask() -> None:
    of_cases = {step for step, action in ACTION_OF.items() if action is Action.END_CASE}
    assert set(SCHEMA.enums["Step"]) == {*of_cases, Step.PREPARE, Step.CHECK, Step.APPROVE}


def test_every_action_can_be_asked_by_every_role_and_no_other() -> None:
    asked = {(one.action, one.principal) for one in SCHEMA.environments}
    assert asked == {(action.value, TYPE_OF[role]) for action in Action for role in Role}


def test_the_variations_know_every_fact_of_the_schema() -> None:
    pools = {**variations.FACTS, "Asked": variations.CONTEXT, "Ordinance": variations.ORDINANCE}
    askers = set(TYPE_OF.values())
    known = {name: set(members) for name, members in SCHEMA.members.items() if name not in askers and members}
    ordinance = known["Asked"] - {"ordinance"}
    assert {name: set(pool) for name, pool in pools.items() if pool} == {**known, "Asked": ordinance}


def test_every_word_of_the_policies_is_explained() -> None:
    assert set(words.SUBJECT) == set(TEXTS.subjects)
    assert set(words.ACTION) == set(Action)
    assert set(words.ASKER) == set(TYPE_OF.values())
    assert set(words.OBLIGATION) == OBLIGATIONS
    assert set(words.FACT) >= frozenset[str]().union(*(reads(policy.tree) for policy in TEXTS.policies))


def test_another_text_is_another_set() -> None:
    assert _with(ONE).digest != _with(ONE + " ").digest
    assert _with(ONE).digest != PolicyTexts(TEXTS.schema, {"two": ONE}).digest
    assert _with(ONE).digest != PolicyTexts(TEXTS.schema + " ", {"one": ONE}).digest


def test_the_order_in_which_files_are_found_changes_nothing() -> None:
    reversed_ = PolicyTexts(TEXTS.schema, dict(reversed(list(TEXTS.subjects.items()))))
    assert (reversed_.digest, reversed_.text) == (TEXTS.digest, TEXTS.text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (ONE.replace('@ja("あ") ', ""), "X has no @ja"),
        (ONE.replace('@id("X") ', ""), "has no @id"),
        (ONE + ONE, "two policies are called X"),
        (ONE.replace("@en", '@obligation("dance") @en'), "nobody knows how to dance"),
        ("permit (", "one: "),
        (ONE.replace("principal,", "principal == ?principal,"), "templates are not used"),
        (ONE.replace("readAudit", "readAudits"), "X: "),
        (ONE.replace("resource)", "resource) when { resource.age > 3 }"), "X: "),
        (ONE.replace("resource)", 'resource) when { context.purpose == Mimamori::Purpose::"general" }'), "X: "),
        (ONE.replace("resource)", "resource) when { context.hasReason }"), "X: "),
    ],
)
def test_a_wrong_policy_is_refused_by_name(text: str, why: str) -> None:
    with pytest.raises(PolicyError, match=re.escape(why)):
        _refuse(text)


def _refuse(text: str) -> None:
    texts = _with(text)
    assert texts.policies
    texts.validate()


def test_a_folder_without_policies_is_refused(tmp_path: Path) -> None:
    (tmp_path / SCHEMA_NAME).write_text(TEXTS.schema, "utf-8")
    with pytest.raises(PolicyError, match="no policies"):
        PolicyTexts.read(tmp_path)


def test_a_folder_without_schema_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one.cedar").write_text(ONE, "utf-8")
    with pytest.raises(PolicyError):
        PolicyTexts.read(tmp_path)


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / SCHEMA_NAME).write_text(TEXTS.schema, "utf-8")
    (tmp_path / "one.cedar").write_bytes(b"\xff\xfe")
    with pytest.raises(PolicyError):
        PolicyTexts.read(tmp_path)


def test_a_wrong_schema_is_refused() -> None:
    with pytest.raises(PolicyError, match="the schema"):
        PolicyTexts("namespace {", {"one": ONE}).validate()


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    assert max(len(file.read_text("utf-8").splitlines()) for file in FOLDER.glob("*.cedar")) < 600
