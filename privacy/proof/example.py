"""A question out of a model of z3: the example that is shown, and asked of the engines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import z3

from privacy.policy.question import Entity, Moment, Question, Ref, Value
from privacy.proof.translate import Term, Translator, element
from privacy.terms import Action, Basis, Purpose

NOW_MS: Final = 1_767_225_600_000
"""2026-01-01 09:00 in Japan: when examples are asked."""
_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
_USUAL: Final = {
    "maxCameras": 10,
    "maxHours": 6,
    "boardCameras": 50,
    "leadHours": 3,
    "emergencyHours": 24,
    "disasterHours": 72,
    "planningNeedsWarrant": True,
    "cameras": 2,
    "longestMs": 7_200_000,
    "k": 10,
    "emergency": False,
    "found": False,
    "hasWarrant": False,
}
"""What is usual of a fact that an example need not say otherwise; of flags that are not here, that they are set."""
_PAPERS: Final = ("inquiry", "request", "report", "disclosure")


_THERE: Final = frozenset(
    {"prepareBy", "checkBy", "approveBy", "releaseUntil", "lastConfirmed", "noticeOn", "provider"}
)
"""Which facts that may be absent are usually there."""


def is_ordinary(translator: Translator) -> Iterator[z3.BoolRef]:
    """Give wishes for an ordinary question: each is granted only where what is newly allowed can still be seen."""
    yield translator.at("context.now") == NOW_MS
    places = ["context.ordinance", "context", "resource"]
    if translator.environment.action == Action.VIEW_TAG_HISTORY.value:
        places.append("context.case")
    for place in places:
        for name, member in translator.members(place).items():
            path = f"{place}.{name}"
            if member.is_optional:
                is_there = translator.has(path)
                yield is_there if name in _THERE else z3.Not(is_there)
            yield from _usual(translator, path, member.type)


def _usual(translator: Translator, path: str, type_: str) -> Iterator[z3.BoolRef]:
    value, name = translator.at(path), path.rpartition(".")[2]
    if type_ == "datetime":
        distance_ms = value - NOW_MS
        yield z3.And(distance_ms >= -30 * _DAY_MS, distance_ms <= 30 * _DAY_MS)
        yield z3.And(distance_ms >= -_DAY_MS, distance_ms <= _DAY_MS, value % _HOUR_MS == 0)
    elif type_ == "Bool":
        yield value if _USUAL.get(name, True) else z3.Not(value)
    elif type_ == "Long":
        yield value == _USUAL.get(name, 1)
    elif type_.startswith("Set<"):
        yield from _usual_set(translator, path, name)
    elif path in {"resource.purpose", "context.case.purpose"}:
        yield translator.one_of(path, Purpose.CRIME.value)
    elif name == "basis":
        yield translator.one_of(path, Basis.INQUIRY.value)


def _usual_set(translator: Translator, path: str, name: str) -> Iterator[z3.BoolRef]:
    if name == "papers":
        yield from (translator.member(path, paper) for paper in _PAPERS)
    elif name == "purposes":
        yield translator.member(path, translator.world.constant("Purpose", Purpose.CRIME.value).value)
    elif name == "barred":
        yield z3.Not(translator.member(path, translator.at("principal.account")))


class Example:
    """A model read as a question."""

    def __init__(self, model: z3.ModelRef, translator: Translator) -> None:
        self._model = model
        self._translator = translator
        self._world = translator.world
        self._names: dict[str, str] = {}

    def question(self) -> Question:
        """Return the question that the model is of."""
        principal = self._entity(self._translator.term("principal"))
        resource = self._entity(self._translator.term("resource"))
        context = self._record(self._translator.term("context"))
        others = (self._entity(self._translator.term("context.case")),) if "case" in context else ()
        return Question(principal, Action(self._translator.environment.action), resource, context, others)

    def _entity(self, term: Term) -> Entity:
        return Entity(Ref(term.type, self._name(self._read(term.value))), self._record(term))

    def _record(self, term: Term) -> dict[str, Value]:
        members = self._world.schema.members[term.type]
        there = {
            name: self._translator.attribute(term, name)
            for name in members
            if z3.is_true(self._read(self._translator.presence(term, name)))
        }
        return {name: self._value(one) for name, one in there.items()}

    def _value(self, term: Term) -> Value:
        """Return a term's value in the model."""
        found = self._read(term.value)
        if term.type == "Bool":
            return bool(z3.is_true(found))
        if term.type in {"Long", "datetime"}:
            number: int = found.as_long()
            return Moment(number) if term.type == "datetime" else number
        if term.type == "String":
            return self._text(found)
        if term.type.startswith("Set<"):
            return self._set(term)
        if term.type in self._world.schema.enums:
            return Ref(term.type, self._enumerated(term.type, found))
        is_record = term.type not in self._world.schema.entities
        return self._record(term) if is_record else Ref(term.type, self._name(found))

    def _set(self, term: Term) -> Value:
        inner = element(term.type)
        inside = [one for one in self._candidates(inner) if z3.is_true(self._read(z3.IsMember(one, term.value)))]
        if inner == "String":
            return frozenset(self._text(self._read(one)) for one in inside)
        if inner in self._world.schema.enums:
            return frozenset(Ref(inner, self._enumerated(inner, one)) for one in inside)
        return frozenset(Ref(inner, self._name(self._read(one))) for one in inside)

    def _candidates(self, type_: str) -> list[z3.ExprRef]:
        if type_ in self._world.schema.enums:
            return [self._world.constant(type_, one).value for one in self._world.schema.enums[type_]]
        return list(self._model.get_universe(self._world.sort(type_)) or ())

    def _enumerated(self, type_: str, found: z3.ExprRef) -> str:
        ids = self._world.schema.enums[type_]
        return next(one for one in ids if self._world.constant(type_, one).value.eq(found))

    def _text(self, found: z3.ExprRef) -> str:
        for text, constant in self._world.strings.items():
            if self._read(constant).eq(found):
                return text
        return self._name(found)

    def _name(self, found: z3.ExprRef) -> str:
        """Return a short name for an element of an uninterpreted sort: officer-1, account-2."""
        key = str(found)
        kind = found.sort().name().lower()
        if key not in self._names:
            number = sum(name.startswith(f"{kind}-") for name in self._names.values()) + 1
            self._names[key] = f"{kind}-{number}"
        return self._names[key]

    def _read(self, formula: z3.ExprRef) -> z3.ExprRef:
        return self._model.eval(formula, model_completion=True)
