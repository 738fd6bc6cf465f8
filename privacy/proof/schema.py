"""The schema of the policies as types: what a proof ranges over.

Reads the part of Cedar's schema language that mimamori.cedarschema uses, and refuses the rest.

Source: https://docs.cedarpolicy.com/schema/human-readable-schema-grammar.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Self

from privacy.policy.source import PolicyError

_COMMENT: Final = re.compile(r"//[^\n]*")
_STATEMENT: Final = re.compile(
    r"""
    entity \s+ (?P<enum>\w+) \s+ enum \s* \[ (?P<words>[^\]]*) \] \s* ;
  | entity \s+ (?P<entity>\w+) \s* (?: \{ (?P<facts>[^}]*) \} )? \s* ;
  | type \s+ (?P<record>\w+) \s* = \s* \{ (?P<members>[^}]*) \} \s* ;
  | action \s+ (?P<actions>[\w\s,]+?) \s+ appliesTo \s* \{
      \s* principal \s* : \s* \[ (?P<principals>[^\]]*) \] \s* ,
      \s* resource  \s* : \s* \[ (?P<resources>[^\]]*) \] \s* ,
      \s* context   \s* : \s* (?P<context>\w+) \s* \} \s* ;
    """,
    re.VERBOSE,
)
_MEMBER: Final = re.compile(r"^(?P<name>\w+)(?P<optional>\??)\s*:\s*(?P<type>\w+|Set<\w+>)$")
_WHOLE: Final = re.compile(r"^\s*namespace\s+Mimamori\s*\{(?P<body>.*)\}\s*$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an entity or record: its type, and whether it may be absent."""

    type: str
    is_optional: bool


@dataclass(frozen=True, slots=True, order=True)
class Environment:
    """One kind of question: who asks, what, of what kind of thing."""

    principal: str
    action: str
    resource: str


@dataclass(frozen=True, slots=True)
class Schema:
    """The types.

    Attributes:
        enums: enumerated entity type to its ids.
        members: entity or record type to its members.
        entities: names of the entity types that are not enumerated.
        environments: every kind of question there is.
        context: name of the context's record type.
    """

    enums: Mapping[str, tuple[str, ...]]
    members: Mapping[str, Mapping[str, Member]]
    entities: frozenset[str]
    environments: tuple[Environment, ...]
    context: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the types of a schema's text.

        Raises:
            PolicyError: something in it is not understood here.
        """
        whole = _WHOLE.match(_COMMENT.sub("", text))
        if whole is None:
            raise PolicyError("the schema is not one namespace Mimamori")
        enums: dict[str, tuple[str, ...]] = {}
        members: dict[str, Mapping[str, Member]] = {}
        entities: set[str] = set()
        environments: list[Environment] = []
        contexts: set[str] = set()
        for found in _statements(whole["body"]):
            if found["enum"]:
                enums[found["enum"]] = tuple(re.findall(r'"([^"]+)"', found["words"]))
            elif found["entity"]:
                members[found["entity"]] = _members(found["facts"] or "")
                entities.add(found["entity"])
            elif found["record"]:
                members[found["record"]] = _members(found["members"])
            else:
                environments += _environments(found)
                contexts.add(found["context"])
        if len(contexts) != 1:
            raise PolicyError("actions differ in the type of their context")
        return cls(enums, members, frozenset(entities), tuple(environments), contexts.pop())


def _statements(body: str) -> Iterator[re.Match[str]]:
    place = 0
    while body[place:].strip():
        place += len(body[place:]) - len(body[place:].lstrip())
        found = _STATEMENT.match(body, place)
        if found is None:
            raise PolicyError(f"the schema is not understood at: {body[place : place + 60]!r}")
        yield found
        place = found.end()


def _members(text: str) -> dict[str, Member]:
    members = {}
    for part in _words(text):
        found = _MEMBER.match(part)
        if found is None:
            raise PolicyError(f"the schema is not understood at: {part!r}")
        members[found["name"]] = Member(found["type"], bool(found["optional"]))
    return members


def _environments(found: re.Match[str]) -> list[Environment]:
    return [
        Environment(principal, action, resource)
        for action in _words(found["actions"])
        for principal in _words(found["principals"])
        for resource in _words(found["resources"])
    ]


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]
