"""A question as Cedar takes it: JSON of the request and of the entities it speaks of, small and made for one question.

Source: https://docs.cedarpolicy.com/auth/entities-syntax.html.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from privacy.policy.question import Entity, Moment, Question, Ref, Value
from privacy.policy.source import NAMESPACE

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def request_of(question: Question) -> dict[str, Any]:
    """Return principal, action, resource and context.

    Raises:
        OverflowError: a moment lies outside the years 1 to 9999.
    """
    return {
        "principal": _uid(question.principal.ref),
        "action": {"type": f"{NAMESPACE}::Action", "id": question.action.value},
        "resource": _uid(question.resource.ref),
        "context": {name: _json(value) for name, value in question.context.items()},
    }


def entities_of(question: Question) -> str:
    """Return the entities as JSON.

    Raises:
        OverflowError: as in `request_of`.
    """
    return json.dumps([_entity(one) for one in (question.principal, question.resource, *question.others)])


def _uid(ref: Ref) -> dict[str, str]:
    return {"type": f"{NAMESPACE}::{ref.type}", "id": ref.id}


def _entity(entity: Entity) -> dict[str, object]:
    attributes = {name: _json(value) for name, value in entity.attributes.items()}
    return {"uid": _uid(entity.ref), "attrs": attributes, "parents": []}


def _json(value: Value) -> object:
    if isinstance(value, bool | int | str):
        return value
    if isinstance(value, Ref):
        return {"__entity": _uid(value)}
    if isinstance(value, Moment):
        moment = (_EPOCH + timedelta(milliseconds=value.ms)).isoformat(timespec="milliseconds")
        return {"__extn": {"fn": "datetime", "arg": moment.replace("+00:00", "Z")}}
    if isinstance(value, frozenset):
        return [_json(one) for one in value]
    return {name: _json(one) for name, one in value.items()}
