"""Every small damage to a policy is seen, by questions near those that are allowed, with the twin as judge."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import cedarpy
import pytest
from cedarpy import pst

from privacy.policy.question import Question
from privacy.policy.request import entities_of, request_of
from privacy.policy.source import Policy, PolicyTexts, speaks_to
from tests.privacy.policy import mutations, twin
from tests.privacy.policy.questions import ALLOWED
from tests.privacy.policy.variations import neighbours

TEXTS = PolicyTexts.read()
SCHEMA = TEXTS.parsed_schema()


@dataclass(frozen=True, slots=True)
class Put:
    """A question as Cedar takes it and as the twin does."""

    request: dict[str, Any]
    known: cedarpy.Entities
    asked: twin.Asked
    is_forbidden: bool


@cache
def _put(request: str, entities: str) -> tuple[dict[str, Any], cedarpy.Entities]:
    asked = json.loads(request)
    return {**asked, "context": json.dumps(asked["context"])}, cedarpy.Entities.from_json_str(entities, SCHEMA)


def _near(policy: Policy) -> Iterator[Question]:
    """Give the questions that differ from one that is allowed in one of the facts that the policy reads."""
    names = mutations.names(policy.tree)
    bases = [one for one in ALLOWED.values() if speaks_to(policy.tree, one.action)]
    yield from bases
    for base in bases:
        yield from neighbours(base, names)


def _corpus(policy: Policy) -> list[Put]:
    found: dict[tuple[str, str], Put] = {}
    for question in _near(policy):
        key = (json.dumps(request_of(question)), entities_of(question))
        if key not in found:
            asked = twin.unwrap(question)
            found[key] = Put(*_put(*key), asked, bool(twin.broken(asked)))
    return list(found.values())


def _is_seen(mutant: pst.Template, policy: Policy, corpus: list[Put]) -> bool:
    """Return whether one answer of the whole set would be another: in what it says, or in the rules that it names."""
    alone = cedarpy.PolicySet.from_pst(pst.PolicySet({}, {mutant.id: mutant}, ()))
    for put in corpus:
        if policy.is_permit and put.is_forbidden:
            continue  # whatever permits is not named then
        found = cedarpy.is_authorized(put.request, alone, put.known).diagnostics
        if found.errors or bool(found.reasons) != twin.holds(policy.reason.policy, put.asked):
            return True
    return False


@pytest.mark.parametrize("policy", TEXTS.policies, ids=lambda policy: policy.reason.policy)
def test_every_damage_to_a_policy_is_seen(policy: Policy) -> None:
    corpus = _corpus(policy)
    assert not _is_seen(policy.tree, policy, corpus)
    assert any(twin.holds(policy.reason.policy, put.asked) for put in corpus)  # so dropping it is seen
    alive = [what for what, mutant in mutations.of_policy(policy.tree) if not _is_seen(mutant, policy, corpus)]
    assert alive == []
