"""Decides questions by the Cedar policies: default deny, forbid over permit, and every answer with its reasons.

Three traps of the library are closed here, and tested: entities are read with the schema only; a policy that errs
makes the answer a refusal, since a forbid that errs would vanish; questions with known answers are asked at the start.

Source: docs/ARCHITECTURE.md, "Who decides"; https://docs.cedarpolicy.com/auth/authorization.html.
"""

from __future__ import annotations

import copy
from functools import cache
from typing import Final

import cedarpy
from cedarpy import pst

from privacy.policy.question import Decision, Question, Reason
from privacy.policy.request import entities_of, request_of
from privacy.policy.source import PolicyError, PolicyTexts, speaks_to
from privacy.terms import Action

DEFAULT_DENY: Final = Reason(
    "default-deny",
    "規則1・7",
    "許す規則がないことは、できません。",
    "What no rule permits cannot be done.",
)
POLICY_ERROR: Final = Reason(
    "policy-error",
    "規則19",
    "判定に必要な事実がそろわないため、お断りします。",
    "Refused: a fact that the rules need is missing or malformed.",
)


class Engine:
    """The policies of a city, ready to decide. Holds no data of anybody.

    Attributes:
        policy_set: SHA-256 of policies and schema, hex.
        errors: how many questions were refused because they were malformed or a policy erred; more than 0 is a fault.
    """

    def __init__(self, texts: PolicyTexts) -> None:
        """Take the policies in `texts`, once they are validated.

        Raises:
            PolicyError: they do not parse, do not fit the schema, or lack an annotation.
        """
        texts.validate()
        self.policy_set = texts.digest
        self.errors = 0
        self._schema = texts.parsed_schema()
        self._by_id = {f"policy{number}": policy for number, policy in enumerate(texts.policies)}
        parsed = cedarpy.policies_to_pst(texts.text)
        self._policies = {action: _of_action(parsed, action) for action in Action}

    @staticmethod
    def load() -> Engine:
        """Return an engine with the policies of this release, which are read and checked once a process.

        Raises:
            PolicyError: they cannot be used, or answer a question with a known answer wrongly.
        """
        return copy.copy(of_this_release())

    def decide(self, question: Question) -> Decision:
        """Return the answer with the policies that decided; a question that does not fit the schema is refused."""
        try:
            result = self._ask(question)
        except (ValueError, OverflowError):  # an attribute is missing, unknown, of another type, or out of range
            return self._fault()
        found = result.diagnostics
        if found.errors or result.decision is cedarpy.Decision.NoDecision:
            return self._fault()
        deciding = [self._by_id[one] for one in found.reasons]
        reasons = tuple(sorted((one.reason for one in deciding), key=lambda reason: reason.policy)) or (DEFAULT_DENY,)
        obligations = frozenset(word for one in deciding for word in one.obligations) if result.allowed else frozenset()
        return Decision(result.allowed, reasons, self.policy_set, obligations)

    def _ask(self, question: Question) -> cedarpy.AuthzResult:
        # Without the schema, rules over groups of actions and enumerated entities would silently not apply.
        known = cedarpy.Entities.from_json_str(entities_of(question), self._schema)
        return cedarpy.is_authorized(request_of(question), self._policies[question.action], known, self._schema)

    def _fault(self) -> Decision:
        self.errors += 1
        return Decision(allowed=False, reasons=(POLICY_ERROR,), policy_set=self.policy_set)


@cache
def of_this_release() -> Engine:
    """Return the engine that `Engine.load` copies: nothing in it changes but the count of errors.

    Raises:
        PolicyError: as `Engine.load` says.
    """
    from privacy.policy import canary  # noqa: PLC0415 - it builds questions, and nothing else here needs them

    engine = Engine(PolicyTexts.read())
    wrong = [name for name, question, expected in canary.QUESTIONS if engine.decide(question).allowed != expected]
    if wrong or engine.errors:
        raise PolicyError(f"known questions are answered wrongly: {', '.join(wrong) or 'with errors'}")
    return engine


def _of_action(parsed: pst.PolicySet, action: Action) -> cedarpy.PolicySet:
    """Return the policies whose scope has `action` in it: the others never match, and asking them takes time."""
    speaking = {name: tree for name, tree in parsed.static_policies.items() if speaks_to(tree, action)}
    return cedarpy.PolicySet.from_pst(pst.PolicySet({}, speaking, ()))
