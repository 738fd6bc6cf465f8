"""What a change newly allows is found, with an example that both engines were asked, and nothing else is."""

import pytest

from privacy.policy.engine import Engine
from privacy.policy.source import PolicyError, PolicyTexts
from privacy.proof.difference import Difference, Opening
from privacy.proof.schema import Schema
from privacy.proof.tell import sentences

OLD = PolicyTexts.read()
NEW_PERMIT = """
@id("X01-report") @article("案") @ja("保守事業者は監査記録を読める。") @en("A provider reads reports.")
permit (principal is Mimamori::Provider, action == Mimamori::Action::"viewReport", resource);
"""


def _changed(subject: str, old: str, new: str) -> PolicyTexts:
    text = OLD.subjects[subject]
    assert text.count(old) == 1
    return PolicyTexts(OLD.schema, {**OLD.subjects, subject: text.replace(old, new)})


def _openings(new: PolicyTexts, old: PolicyTexts = OLD) -> list[Opening]:
    return [opening for _, openings in Difference(new=new, old=old).openings() for opening in openings]


def test_the_same_policies_newly_allow_nothing() -> None:
    assert _openings(OLD) == []


def test_other_words_for_the_same_newly_allow_nothing() -> None:
    reworded = _changed(
        "provider",
        "resource has provider &&\n  resource.provider == principal.agency\n};\n\n@id",
        ("resource has provider &&\n  principal.agency == resource.provider\n};\n\n@id"),
    )
    assert reworded.digest != OLD.digest
    assert _openings(reworded) == []


def test_a_stricter_rule_newly_allows_nothing() -> None:
    assert _openings(_changed("public", "resource.k >= 10", "resource.k >= 20")) == []


def test_a_loosened_limit_is_found_with_an_example_on_the_far_side_of_the_old() -> None:
    limit = "resource.longestMs <= context.ordinance.maxHours * 3600000"
    found = _openings(_changed("footage", limit, limit.replace("3600000", "36000000")))
    assert {opening.environment.action for opening in found} >= {"submitCase", "approveCase", "releaseEmergency"}
    for opening in found:
        assert [reason.policy for reason in opening.before] == ["R08-hours"]
        length_ms = opening.question.resource.attributes["longestMs"]
        assert isinstance(length_ms, int)
        assert length_ms > 6 * 3_600_000


def test_every_example_is_what_both_engines_say() -> None:
    new = _changed("footage", "  resource.exportRight\n", "  resource.exportRight || resource.hasWarrant\n")
    engines = Engine(new), Engine(OLD)
    found = _openings(new)
    assert {opening.environment.action for opening in found} == {"signUndertaking", "viewFootage", "downloadFootage"}
    assert all(engines[0].decide(opening.question).allowed for opening in found)
    assert not any(engines[1].decide(opening.question).allowed for opening in found)


def test_a_new_permit_is_found_in_words() -> None:
    new = PolicyTexts(OLD.schema, {**OLD.subjects, "new": NEW_PERMIT})
    lines = [line for opening in _openings(new) for line in sentences(opening)]
    assert lines[0].startswith("新しく許されること: 保守事業者が「報告・台帳を見る」こと。")
    assert any("これまで before: [default-deny]" in line for line in lines)
    assert any("これから now: [X01-report]" in line for line in lines)


def test_one_lock_of_two_taken_away_newly_allows_nothing() -> None:
    assert _openings(_changed("public", "resource.k >= 10", "resource.k >= 5")) == []


def test_an_attribute_of_another_type_is_not_compared() -> None:
    footage = OLD.subjects["footage"].replace("  resource.exportRight\n", "  resource.exportRight > 0\n")
    schema = OLD.schema.replace("exportRight: Bool", "exportRight: Long")
    with pytest.raises(PolicyError, match="exportRight was Bool and is now Long"):
        Difference(new=PolicyTexts(schema, {**OLD.subjects, "footage": footage}), old=OLD)


def test_a_new_fact_does_not_disturb() -> None:
    schema = OLD.schema.replace("published: Bool", "published: Bool, early?: Bool")
    new = PolicyTexts(schema, OLD.subjects)
    assert _openings(new) == []


@pytest.mark.parametrize("text", ["", "namespace Other { }", "namespace Mimamori { entity Ward in [City]; }"])
def test_a_schema_that_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(PolicyError):
        Schema.parse(text)


def test_the_schema_is_read_whole() -> None:
    schema = Schema.parse(OLD.schema)
    assert schema.members["Ward"]["provider"].is_optional
    assert schema.members["Case"]["papers"].type == "Set<String>"
    assert "disaster" in schema.enums["Purpose"]
