"""What a new set of policies newly allows: an example of each kind of question, which both engines are asked.

Equal behaviour gives nothing, however much the texts differ. An example is made as ordinary as it can be, so that what
is unusual in it is what the change lets through.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import z3
from cedarpy import pst

from privacy.policy.engine import Engine
from privacy.policy.question import Question, Reason
from privacy.policy.source import PolicyError, PolicyTexts
from privacy.proof.example import Example, is_ordinary
from privacy.proof.schema import Environment, Member, Schema
from privacy.proof.translate import Translator, World

LIMIT_MS: Final = 20_000
MOST: Final = 3
"""How many examples of one kind of question are shown: each is stopped by other rules of the old set."""


@dataclass(frozen=True, slots=True)
class Opening:
    """Something that is newly allowed.

    Attributes:
        environment: who asks, what, of what.
        question: an example.
        before: why the old policies refuse it.
        now: which policies now allow it.
        facts: names of what those policies look at.
    """

    environment: Environment
    question: Question
    before: tuple[Reason, ...]
    now: tuple[Reason, ...]
    facts: frozenset[str]


class Difference:
    """Two sets of policies side by side."""

    def __init__(self, *, new: PolicyTexts, old: PolicyTexts) -> None:
        """Translate both in one world.

        Raises:
            PolicyError: a set cannot be used, or the two give one name two types.
        """
        self._new, self._old = new.policies, old.policies
        self._engines = (Engine(new), Engine(old))
        self._world = World(_merged(Schema.parse(new.schema), Schema.parse(old.schema)))

    def __len__(self) -> int:
        return len(self._world.schema.environments)

    def openings(self) -> Iterator[tuple[Environment, tuple[Opening, ...]]]:
        """Give every kind of question with what of it is newly allowed.

        Raises:
            PolicyError: z3 could not tell within its time.
        """
        for environment in self._world.schema.environments:
            yield environment, tuple(self._of(environment))

    def _of(self, environment: Environment) -> Iterator[Opening]:
        translator = Translator(self._world, environment)
        allowed = translator.allowed(self._new)
        if z3.is_false(allowed):
            return
        solver = z3.Solver()
        solver.set("timeout", LIMIT_MS)
        solver.add(allowed, z3.Not(translator.allowed(self._old)))
        for _ in range(MOST):
            solver.push()
            found = self._example(solver, translator)
            solver.pop()
            if found is None:
                return
            yield found
            names = {reason.policy for reason in found.before}
            stopping = [translator.holds(one) for one in self._old if not one.is_permit and one.reason.policy in names]
            if not stopping:
                return  # nothing forbade it: no rule permitted it, and one example says that
            solver.add(z3.Not(z3.And(stopping)))

    def _example(self, solver: z3.Solver, translator: Translator) -> Opening | None:
        solver.add(*self._world.axioms())
        answer = solver.check()
        if answer == z3.unknown:
            raise PolicyError(f"{translator.environment}: not decided within {LIMIT_MS} ms")
        if answer == z3.unsat:
            return None
        for wish in is_ordinary(translator):
            solver.push()
            solver.add(wish)
            if solver.check() != z3.sat:
                solver.pop()
        solver.check()
        question = Example(solver.model(), translator).question()
        return self._confirmed(translator.environment, question)

    def _confirmed(self, environment: Environment, question: Question) -> Opening:
        new, old = (engine.decide(question) for engine in self._engines)
        if not new.allowed or old.allowed:
            raise PolicyError(
                f"{environment}: the engine does not say what the proof says; this is a fault of the proof"
            )
        names = {reason.policy for reason in (*new.reasons, *old.reasons)}
        facts = (reads(one.tree) for one in (*self._new, *self._old) if one.reason.policy in names)
        return Opening(environment, question, old.reasons, new.reasons, frozenset[str]().union(*facts))


def reads(node: object) -> frozenset[str]:
    """Return the names of the attributes that an expression, clause or policy looks at."""
    own = frozenset[str]()
    if isinstance(node, pst.GetAttr):
        own = frozenset({node.attr})
    elif isinstance(node, pst.HasAttr):
        own = frozenset(node.attrs)
    return own.union(*(reads(one) for one in parts(node)))


def parts(node: object) -> tuple[object, ...]:
    """Return what a policy, clause or expression is made of."""
    if isinstance(node, pst.Template):
        return node.clauses
    if isinstance(node, pst.When | pst.Unless):
        return (node.expr,)
    if isinstance(node, pst.GetAttr | pst.HasAttr | pst.Is):
        return (node.base,)
    if isinstance(node, pst.BinaryOp):
        return (node.left, node.right)
    return (node.arg,) if isinstance(node, pst.UnaryOp) else node.elements if isinstance(node, pst.Set) else ()


def _merged(new: Schema, old: Schema) -> Schema:
    """Return a schema that both sets of policies can be read in; the kinds of questions are those of the new."""
    enums = {
        name: tuple(dict.fromkeys((*new.enums.get(name, ()), *old.enums.get(name, ()))))
        for name in {**new.enums, **old.enums}
    }
    kinds = {**new.members, **old.members}
    members = {name: _both(name, new.members.get(name, {}), old.members.get(name, {})) for name in kinds}
    return Schema(enums, members, new.entities | old.entities, new.environments, new.context)


def _both(kind: str, new: Mapping[str, Member], old: Mapping[str, Member]) -> dict[str, Member]:
    for name in new.keys() & old.keys():
        if new[name].type != old[name].type:
            raise PolicyError(
                f"{kind}.{name} was {old[name].type} and is now {new[name].type}: they cannot be compared"
            )
    return {**old, **new}
