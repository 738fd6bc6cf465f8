"""A question to the policies and its answer. Entities are built for one question, never kept.

Source: docs/ARCHITECTURE.md, "Who decides"; the entity types are those of privacy/policies/mimamori.cedarschema.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from privacy.terms import Action


@dataclass(frozen=True, slots=True)
class Ref:
    """A reference to an entity: its Cedar type without namespace, and its id."""

    type: str
    id: str


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant, UTC milliseconds: a Cedar datetime."""

    ms: int


Value: TypeAlias = "bool | int | str | Moment | Ref | frozenset[Ref] | frozenset[str] | Mapping[str, Value]"


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity of a question with what the policies ask of it."""

    ref: Ref
    attributes: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Question:
    """May `principal` do `action` to `resource`, given `context`?

    Attributes:
        principal: who asks; a role of privacy.terms as Cedar type.
        action: what.
        resource: to what.
        context: `purpose`, `now` and what else the schema's context of the action has.
        others: further entities that attributes or context refer to.
    """

    principal: Entity
    action: Action
    resource: Entity
    context: Mapping[str, Value]
    others: tuple[Entity, ...] = ()


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a decision fell: a policy, its article and its sentence.

    Attributes:
        policy: the policy's `@id`; "default-deny" when nothing permits.
        article: `@article`, of the profile's ordinance or of a law.
        ja: the rule as a sentence.
        en: the same.
    """

    policy: str
    article: str
    ja: str
    en: str


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer.

    Attributes:
        allowed: whether it may be done.
        reasons: the policies that decided: those that permit, or all that forbid.
        policy_set: SHA-256 of the policies and schema that decided, hex.
        obligations: words of `@obligation` of the permitting policies.
    """

    allowed: bool
    reasons: tuple[Reason, ...]
    policy_set: str
    obligations: frozenset[str] = frozenset()
