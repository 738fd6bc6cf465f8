"""Every small damage to a policy is seen, by questions near those that are allowed, with the twin as judge."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import cedarpy
import pytest
from cedarpy import pst

from privacy.policy.request import entities_of, request_of
from privacy.policy.source import Policy, PolicyTexts, speaks_to
from privacy.proof.difference import reads
from tests.privacy.policy import mutations, twin
from tests.privacy.policy.questions import ALLOWED, REFUSED
from tests.privacy.policy.variations import by_others, neighbours

TEXTS = PolicyTexts.read()
SCHEMA = TEXTS.parsed_schema()


@dataclass(frozen=True, slots=True)
class Put:
    """A question as Cedar takes it, and whether the rule holds by the twin."""

    request: dict[str, Any]
    known: cedarpy.Entities
    holds: bool


class Corpus:
    """Questions around those of the table that differ in one of the facts that a policy reads; each is made when asked.

    They come in a shuffled order, so that a damage that shows in many of them shows early.
    """

    def __init__(self, policy: Policy) -> None:
        self._name = policy.reason.policy
        bases = (*ALLOWED.values(), *REFUSED.values())
        names, is_by_others = reads(policy.tree), mutations.reads_asker(policy.tree)
        self._questions = [
            one
            for base in bases
            if speaks_to(policy.tree, base.action)
            for one in (base, *neighbours(base, names), *(by_others(base) if is_by_others else ()))
        ]
        random.Random(0).shuffle(self._questions)
        self._put: list[Put] = []

    def __iter__(self) -> Iterator[Put]:
        yield from self._put
        for question in self._questions[len(self._put) :]:
            request = request_of(question)
            known = cedarpy.Entities.from_json_str(entities_of(question), SCHEMA)
            holds = twin.holds(self._name, twin.unwrap(question))
            self._put.append(Put({**request, "context": json.dumps(request["context"])}, known, holds))
            yield self._put[-1]


def _is_seen(mutant: pst.Template, corpus: Iterable[Put]) -> bool:
    """Return whether the policy no longer says what its rule says, or says what the schema refuses."""
    alone = _alone(mutant)
    if any(_says(alone, put) is not put.holds for put in corpus):
        return True
    return not cedarpy.validate_policies(str(alone), SCHEMA).validation_passed


def _alone(tree: pst.Template) -> cedarpy.PolicySet:
    return cedarpy.PolicySet.from_pst(pst.PolicySet({}, {tree.id: tree}, ()))


def _says(alone: cedarpy.PolicySet, put: Put) -> bool | None:
    """Return whether the only policy holds; None: it errs."""
    found = cedarpy.is_authorized(put.request, alone, put.known).diagnostics
    return None if found.errors else bool(found.reasons)


@pytest.mark.parametrize("policy", TEXTS.policies, ids=lambda policy: policy.reason.policy)
def test_every_damage_to_a_policy_is_seen(policy: Policy) -> None:
    corpus = Corpus(policy)
    sound = _alone(policy.tree)
    some = list(islice(corpus, 300))
    assert all(_says(sound, put) is put.holds for put in some)
    assert any(put.holds for put in corpus)  # so dropping the whole policy is seen
    alive = [what for what, mutant in mutations.of_policy(policy.tree) if not _is_seen(mutant, corpus)]
    assert alive == []
