"""The texts of the policies: one readable file a subject, a schema, and what their annotations say.

Source: privacy/policies/; the language is Cedar, https://docs.cedarpolicy.com/policies/syntax-policy.html.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final, Self

import cedarpy
from cedarpy import pst

from privacy.policy.entities import TYPE_OF
from privacy.policy.question import Reason
from privacy.terms import Action

NAMESPACE: Final = "Mimamori"
SCHEMA_NAME: Final = "mimamori.cedarschema"
FOLDER: Final = Path(__file__).parent.parent / "policies"
"""Where the policies of this release are."""
OBLIGATIONS: Final = frozenset({"board_sample", "family_log", "freeze", "log_opening", "tell_board"})
"""What a yes may oblige to. The servers know these words and no other, so no policy may use another."""
_WANTED: Final = ("id", "article", "ja", "en")


class PolicyError(ValueError):
    """The policies cannot be used. Nothing is decided with them."""


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy as it was read.

    Attributes:
        subject: name of its file without ending.
        reason: its annotations.
        obligations: words of `@obligation`.
        tree: its syntax tree.
    """

    subject: str
    reason: Reason
    obligations: frozenset[str]
    tree: pst.Template = field(repr=False)

    @property
    def is_permit(self) -> bool:
        """Whether it permits; otherwise it forbids."""
        return self.tree.effect == "permit"

    @property
    def askers(self) -> frozenset[str]:
        """Types of those of whom its scope and its `is` conditions speak; all where neither says."""
        if isinstance(self.tree.principal, pst.ScopeIs):
            return frozenset({self.tree.principal.entity_type.basename})
        return frozenset(one for clause in self.tree.clauses for one in _types(clause.expr)) or frozenset(
            TYPE_OF.values()
        )


@dataclass(frozen=True)
class PolicyTexts:
    """The texts of one set of policies.

    Attributes:
        schema: text of the schema.
        subjects: file name without ending to text.
    """

    schema: str = field(repr=False)
    subjects: Mapping[str, str] = field(repr=False)

    @classmethod
    def read(cls, folder: Path = FOLDER) -> Self:
        """Return the texts in a folder.

        Raises:
            PolicyError: no policy or no schema there, or not UTF-8.
        """
        try:
            subjects = {file.stem: file.read_text("utf-8") for file in sorted(folder.glob("*.cedar"))}
            schema = (folder / SCHEMA_NAME).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PolicyError(f"{folder}: {error}") from error
        if not subjects:
            raise PolicyError(f"{folder}: no policies")
        return cls(schema, subjects)

    @property
    def text(self) -> str:
        """All policies as one text, in the order of their files."""
        return "\n".join(self.subjects[name] for name in sorted(self.subjects))

    @property
    def digest(self) -> str:
        """SHA-256 over names and texts in sorted order, schema included, hex."""
        total = hashlib.sha256()
        for name, text in sorted({**self.subjects, SCHEMA_NAME: self.schema}.items()):
            octets = text.encode()
            total.update(f"{name}\0{len(octets)}\0".encode())
            total.update(octets)
        return total.hexdigest()

    @cached_property
    def policies(self) -> tuple[Policy, ...]:
        """All policies, in the order of `text`: number n is what Cedar calls `policy<n>`.

        Raises:
            PolicyError: a text does not parse, or an annotation is missing, twice there or unknown.
        """
        found = tuple(policy for name in sorted(self.subjects) for policy in self._of(name))
        ids = [policy.reason.policy for policy in found]
        twice = sorted({one for one in ids if ids.count(one) > 1})
        if twice:
            raise PolicyError(f"two policies are called {', '.join(twice)}")
        return found

    def parsed_schema(self) -> cedarpy.Schema:
        """Return the schema as Cedar holds it.

        Raises:
            PolicyError: it does not parse.
        """
        try:
            return cedarpy.Schema.from_str(self.schema)
        except ValueError as error:
            raise PolicyError(f"the schema: {error}") from error

    def validate(self) -> None:
        """Check the policies against the schema.

        Raises:
            PolicyError: says which policy and why.
        """
        result = cedarpy.validate_policies(self.text, self.parsed_schema())
        if result.validation_passed:
            return
        names = {f"policy{number}": policy.reason.policy for number, policy in enumerate(self.policies)}
        raise PolicyError("; ".join(f"{names.get(one.policy_id, one.policy_id)}: {one.error}" for one in result.errors))

    def _of(self, subject: str) -> Iterator[Policy]:
        try:
            parsed = cedarpy.policies_to_pst(self.subjects[subject])
        except ValueError as error:
            raise PolicyError(f"{subject}: {error}") from error
        if parsed.templates:
            raise PolicyError(f"{subject}: templates are not used here")
        trees = sorted(parsed.static_policies.values(), key=lambda tree: int(tree.id.removeprefix("policy")))
        return (_policy(subject, tree) for tree in trees)


def speaks_to(tree: pst.Template, action: Action) -> bool:
    """Return whether a policy's scope has `action` in it.

    Raises:
        PolicyError: the scope is none of `action`, `action == …` and `action in […]`.
    """
    scope = tree.action
    if isinstance(scope, pst.ActionEq):
        return scope.entity.id == action.value
    if isinstance(scope, pst.ActionIn):
        return any(one.id == action.value for one in scope.entities)
    if isinstance(scope, pst.ScopeAny):
        return True
    raise PolicyError(f"{tree.id}: no such scope is used here: {scope}")


def _types(node: pst.Expr) -> Iterator[str]:
    """Give the types that `principal is …` names."""
    if isinstance(node, pst.Is) and node.base == pst.Var("principal"):
        yield node.entity_type.basename
    elif isinstance(node, pst.BinaryOp):
        yield from _types(node.left)
        yield from _types(node.right)


def _policy(subject: str, tree: pst.Template) -> Policy:
    said = tree.annotations
    missing = [name for name in _WANTED if not said.get(name)]
    if missing:
        raise PolicyError(f"{subject}: {said.get('id', tree.id)} has no @{', @'.join(missing)}")
    obligations = frozenset(said["obligation"].split(",")) if "obligation" in said else frozenset[str]()
    if not obligations <= OBLIGATIONS:
        raise PolicyError(f"{said['id']}: nobody knows how to {', '.join(sorted(obligations - OBLIGATIONS))}")
    return Policy(subject, Reason(said["id"], said["article"], said["ja"], said["en"]), obligations, tree)
