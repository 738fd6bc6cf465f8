"""Policies as formulas: Cedar's syntax tree to z3, one kind of question at a time.

Entities are elements of uninterpreted sorts, attributes are functions, enumerated entities are finite sorts, moments
and lengths of time are whole milliseconds. An evaluation that errs (an absent attribute, a sum beyond 64 bits) is
refused by the engine, so a formula may only allow more than the engine does: what is proved of it holds of the engine.

The translation is ours and is not itself verified; every counterexample is asked of the real engine before it is shown.

Source: the approach is Cedar's own analysis, https://arxiv.org/abs/2403.04651, section 5.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import z3
from cedarpy import pst

from privacy.policy.source import Policy, PolicyError, speaks_to
from privacy.proof.schema import Environment, Member, Schema
from privacy.terms import Action

_INTEGERS: Final = frozenset({"Long", "datetime", "duration"})
_ORDER: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "less": lambda left, right: left < right,
    "less_eq": lambda left, right: left <= right,
    "greater": lambda left, right: left > right,
    "greater_eq": lambda left, right: left >= right,
}
_SUMS: Final[dict[str, tuple[Callable[[Any, Any], Any], str]]] = {
    "mul": (lambda left, right: left * right, "Long"),
    "add": (lambda left, right: left + right, "Long"),
    "sub": (lambda left, right: left - right, "Long"),
    "duration_since": (lambda left, right: left - right, "duration"),
}
_worlds: Final = itertools.count()


@dataclass(frozen=True, slots=True)
class Term:
    """A value in a formula and its Cedar type."""

    value: z3.ExprRef
    type: str


class World:
    """The sorts and functions that formulas of one schema share; two sets of policies are compared in one world."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.strings: dict[str, Any] = {}
        self._number = next(_worlds)  # z3 keeps one table of enumerations for the whole process
        self._sorts: dict[str, Any] = {}
        self._constants: dict[tuple[str, str], Any] = {}
        for name, ids in schema.enums.items():
            labels = [f"{name}.{one}#{self._number}" for one in ids]
            self._sorts[name], constants = z3.EnumSort(f"{name}#{self._number}", labels)
            self._constants |= {(name, one): constant for one, constant in zip(ids, constants, strict=True)}

    def sort(self, type_: str) -> z3.SortRef:
        """Return the sort of a Cedar type."""
        if type_ in _INTEGERS:
            return z3.IntSort()
        if type_ == "Bool":
            return z3.BoolSort()
        if type_ == "Action":
            return z3.StringSort()
        if type_.startswith("Set<"):
            return z3.SetSort(self.sort(element(type_)))
        if type_ not in self._sorts:
            self._sorts[type_] = z3.DeclareSort(type_)
        return self._sorts[type_]

    def constant(self, type_: str, name: str) -> Term:
        """Return an enumerated entity.

        Raises:
            PolicyError: there is none such.
        """
        try:
            return Term(self._constants[type_, name], type_)
        except KeyError:
            raise PolicyError(f"no such entity is known: {type_}::{name}") from None

    def string(self, text: str) -> Term:
        """Return a text; different texts are different."""
        if text not in self.strings:
            self.strings[text] = z3.Const(f"text {text!r}", self.sort("String"))
        return Term(self.strings[text], "String")

    def axioms(self) -> list[z3.BoolRef]:
        """Return what holds of all formulas so far."""
        return [z3.Distinct(*self.strings.values())] if len(self.strings) > 1 else []


def element(type_: str) -> str:
    """Return the type of a set's elements."""
    return type_.removeprefix("Set<").removesuffix(">")


class Translator:
    """Formulas for one kind of question."""

    def __init__(self, world: World, environment: Environment) -> None:
        self.world = world
        self.environment = environment

    def allowed(self, policies: Iterable[Policy]) -> z3.BoolRef:
        """Return the formula that the policies allow the question."""
        speaking = [one for one in policies if speaks_to(one.tree, Action(self.environment.action))]
        permits = [self.holds(one) for one in speaking if one.is_permit]
        forbids = [self.holds(one) for one in speaking if not one.is_permit]
        return z3.simplify(z3.And(z3.Or(permits), z3.Not(z3.Or(forbids))))

    def holds(self, policy: Policy) -> z3.BoolRef:
        """Return the formula that one policy's scope and conditions are met."""
        tree = policy.tree
        scope = [
            self._scope(tree.principal, self.environment.principal),
            self._scope(tree.resource, self.environment.resource),
        ]
        if not all(scope) or not speaks_to(tree, Action(self.environment.action)):
            return z3.BoolVal(False)
        conditions = []
        for clause in tree.clauses:
            met = self._of(clause.expr).value
            conditions.append(met if isinstance(clause, pst.When) else z3.Not(met))
        return z3.And(conditions)

    def term(self, path: str) -> Term:
        """Return the term at a path such as "resource.purpose"."""
        return self._of(_expression(path))

    def at(self, path: str) -> z3.ExprRef:
        """Return the value at a path."""
        return self.term(path).value

    def members(self, path: str) -> Mapping[str, Member]:
        """Return the members of what is at a path."""
        return self.world.schema.members[self.term(path).type]

    def has(self, path: str) -> z3.BoolRef:
        """Return whether the last step of a path is there."""
        base, _, name = path.rpartition(".")
        return self.presence(self.term(base), name)

    def one_of(self, path: str, *names: str) -> z3.BoolRef:
        """Return whether the enumerated entity or text at a path is one of these."""
        term = self.term(path)
        is_text = term.type == "String"
        known = [self.world.string(one) if is_text else self.world.constant(term.type, one) for one in names]
        return z3.Or([term.value == one.value for one in known])

    def member(self, path: str, value: str | z3.ExprRef) -> z3.BoolRef:
        """Return whether a value, or a text, is in the set at a path."""
        found = self.world.string(value).value if isinstance(value, str) else value
        return z3.IsMember(found, self.at(path))

    @staticmethod
    def _scope(constraint: pst.PrincipalOrResourceConstraint, type_: str) -> bool:
        if isinstance(constraint, pst.ScopeAny):
            return True
        if isinstance(constraint, pst.ScopeIs):
            return constraint.entity_type.basename == type_
        raise PolicyError(f"no such scope is understood: {constraint}")

    def _of(self, node: pst.Expr) -> Term:
        """Return an expression as a formula.

        Raises:
            PolicyError: of a kind that the policies do not use.
        """
        if isinstance(node, pst.Var):
            return self._variable(node.name)
        if isinstance(node, pst.BoolLit | pst.LongLit | pst.StringLit | pst.EntityLit):
            return self._literal(node)
        if isinstance(node, pst.GetAttr):
            return self.attribute(self._of(node.base), node.attr)
        if isinstance(node, pst.HasAttr):
            return self._has(node)
        if isinstance(node, pst.Is):
            return Term(z3.BoolVal(self._of(node.base).type == node.entity_type.basename), "Bool")
        return self._composed(node)

    def _composed(self, node: pst.Expr) -> Term:
        if isinstance(node, pst.Set):
            return self._set([self._of(one) for one in node.elements])
        if isinstance(node, pst.UnaryOp):
            return self._unary(node)
        if isinstance(node, pst.BinaryOp) and node.op in {"and", "or"}:
            return self._joined(node.op, node.left, node.right)
        if isinstance(node, pst.BinaryOp):
            return self._binary(node.op, self._of(node.left), self._of(node.right))
        raise PolicyError(f"no such expression is understood: {node}")

    def _variable(self, name: str) -> Term:
        types = {
            "principal": self.environment.principal,
            "resource": self.environment.resource,
            "context": self.world.schema.context,
        }
        if name == "action":
            return Term(z3.StringVal(self.environment.action), "Action")
        return Term(z3.Const(name, self.world.sort(types[name])), types[name])

    def _literal(self, node: pst.BoolLit | pst.LongLit | pst.StringLit | pst.EntityLit) -> Term:
        if isinstance(node, pst.BoolLit):
            return Term(z3.BoolVal(node.value), "Bool")
        if isinstance(node, pst.LongLit):
            return Term(z3.IntVal(node.value), "Long")
        if isinstance(node, pst.StringLit):
            return self.world.string(node.value)
        if node.value.type.basename == "Action":
            return Term(z3.StringVal(node.value.id), "Action")
        return self.world.constant(node.value.type.basename, node.value.id)

    def attribute(self, base: Term, name: str) -> Term:
        """Return an attribute, whether it is there or not."""
        member = self.world.schema.members[base.type][name]
        function = z3.Function(f"{base.type}.{name}", self.world.sort(base.type), self.world.sort(member.type))
        return Term(function(base.value), member.type)

    def presence(self, base: Term, name: str) -> z3.BoolRef:
        """Return whether an attribute is there."""
        member = self.world.schema.members[base.type].get(name)
        if member is None or not member.is_optional:
            return z3.BoolVal(member is not None)
        return z3.Function(f"{base.type} has {name}", self.world.sort(base.type), z3.BoolSort())(base.value)

    def _has(self, node: pst.HasAttr) -> Term:
        if len(node.attrs) != 1:
            raise PolicyError("`has` over a path is not understood")
        return Term(self.presence(self._of(node.base), node.attrs[0]), "Bool")

    def _set(self, terms: list[Term]) -> Term:
        total = z3.EmptySet(self.world.sort(terms[0].type))
        for term in terms:
            total = z3.SetAdd(total, term.value)
        return Term(total, f"Set<{terms[0].type}>")

    def _unary(self, node: pst.UnaryOp) -> Term:
        if node.op == "not":
            return Term(z3.Not(self._of(node.arg).value), "Bool")
        if node.op == "to_milliseconds":
            return Term(self._of(node.arg).value, "Long")
        raise PolicyError(f"no such operator is understood: {node.op}")

    def _joined(self, op: str, left: pst.Expr, right: pst.Expr) -> Term:
        first = z3.simplify(self._of(left).value)
        if (z3.is_false if op == "and" else z3.is_true)(first):
            return Term(first, "Bool")  # as Cedar does: what follows need not fit this kind of question
        return Term((z3.And if op == "and" else z3.Or)(first, self._of(right).value), "Bool")

    def _binary(self, op: str, left: Term, right: Term) -> Term:
        if op in {"eq", "not_eq"}:
            same = left.value == right.value if left.type == right.type else z3.BoolVal(False)
            return Term(same if op == "eq" else z3.Not(same), "Bool")
        if op in _ORDER:
            return Term(_ORDER[op](left.value, right.value), "Bool")
        if op in _SUMS:
            compute, type_ = _SUMS[op]
            return Term(compute(left.value, right.value), type_)
        if op == "contains":
            inside = z3.IsMember(right.value, left.value) if element(left.type) == right.type else z3.BoolVal(False)
            return Term(inside, "Bool")
        if op == "contains_all":
            return Term(z3.IsSubset(right.value, left.value), "Bool")
        raise PolicyError(f"no such operator is understood: {op}")


def _expression(path: str) -> pst.Expr:
    first, *rest = path.split(".")
    node: pst.Expr = pst.Var(first)  # type: ignore[arg-type]  # one of the four names, by those who write properties
    for name in rest:
        node = pst.GetAttr(node, name)
    return node
