"""Proves the properties, and that neither they nor the policies are empty words.

A property that nothing could break proves nothing, and a policy that can never decide protects nobody: both are looked
for. Answers come from z3; "unknown" within the time limit counts as not proved.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import z3

from privacy.policy.source import Policy, PolicyTexts
from privacy.proof.properties import PROPERTIES, Property
from privacy.proof.schema import Environment, Schema
from privacy.proof.translate import Translator, World

LIMIT_MS: Final = 20_000
"""How long z3 may think of one formula."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What came of one property.

    Attributes:
        promise: that was looked at.
        environments: kinds of questions that it speaks of and that the policies allow at all.
        broken_by: kinds of questions in which an allowed question breaks it, or z3 could not tell.
        is_vacuous: nothing it could be broken by is ever allowed to anybody.
    """

    promise: Property
    environments: int
    broken_by: tuple[Environment, ...]
    is_vacuous: bool

    @property
    def is_proved(self) -> bool:
        """Whether it holds of every question, and says something."""
        return not self.broken_by and not self.is_vacuous


class Prover:
    """The formulas of one set of policies."""

    def __init__(self, texts: PolicyTexts) -> None:
        """Translate the policies.

        Raises:
            PolicyError: schema or policies use what is not understood here.
        """
        self._world = World(Schema.parse(texts.schema))
        self._policies = texts.policies
        self._possible: dict[Environment, tuple[Translator, z3.BoolRef]] = {}
        for environment in self._world.schema.environments:
            translator = Translator(self._world, environment)
            allowed = translator.allowed(self._policies)
            if not z3.is_false(allowed):
                self._possible[environment] = (translator, allowed)

    def prove(self, properties: Iterable[Property] = PROPERTIES) -> Iterator[Proof]:
        """Give what comes of each property, in order."""
        return (self._prove(one) for one in properties)

    def idle(self) -> tuple[str, ...]:
        """Return the ids of policies that can never decide: no question is allowed or refused by them alone."""
        return tuple(one.reason.policy for one in self._policies if not self._decides(one))

    def _prove(self, one: Property) -> Proof:
        spoken = [environment for environment in self._possible if one.speaks_of(environment)]
        broken = tuple(environment for environment in spoken if not self._holds(one, environment))
        # A "never" speaks of kinds of questions that are not possible: it says something if others may do it.
        actions = {action.value for action in one.actions}
        has_subject = any(environment.action in actions and self._can_be(environment) for environment in self._possible)
        return Proof(one, len(spoken), broken, is_vacuous=not has_subject)

    def _holds(self, one: Property, environment: Environment) -> bool:
        translator, allowed = self._possible[environment]
        return bool(self._check(allowed, z3.Not(one.holds(translator))) == z3.unsat)

    def _can_be(self, environment: Environment) -> bool:
        return bool(self._check(self._possible[environment][1]) == z3.sat)

    def _decides(self, policy: Policy) -> bool:
        others = [one for one in self._policies if one is not policy]
        for environment in self._world.schema.environments:
            translator = Translator(self._world, environment)
            holds = translator.holds(policy)
            if z3.is_false(z3.simplify(holds)):
                continue
            without = translator.allowed([policy, *others] if policy.is_permit else others)
            if self._check(holds, without) == z3.sat:
                return True
        return False

    def _check(self, *formulas: z3.BoolRef) -> z3.CheckSatResult:
        solver = z3.Solver()
        solver.set("timeout", LIMIT_MS)
        solver.add(*formulas, *self._world.axioms())
        return solver.check()
