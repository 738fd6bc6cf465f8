"""An opening in words: a sentence in Japanese and English, with the example that was asked of both engines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from privacy.policy.question import Moment, Ref, Value
from privacy.policy.words import ACTION, ASKER, FACT
from privacy.proof.difference import Opening
from privacy.proof.example import NOW_MS

_MINUTE_MS: Final = 60_000


def sentences(opening: Opening) -> tuple[str, ...]:
    """Return the lines that say what is newly allowed."""
    who, what = ASKER[opening.environment.principal], ACTION[opening.question.action]
    return (
        f"新しく許されること: {who.ja}が「{what.ja}」こと。Newly allowed: {who.en} may {what.en}.",
        f"  例 example: {'、'.join(_facts(opening))}",
        *(f"  これまで before: [{one.policy}] {one.ja}{one.en}" for one in opening.before),
        *(f"  これから now: [{one.policy}] {one.ja}{one.en}" for one in opening.now),
    )


def _facts(opening: Opening) -> Iterator[str]:
    """Give what the deciding policies look at, as the example has it; what is nowhere is said to be absent."""
    question = opening.question
    ordinance = question.context["ordinance"]
    places: list[tuple[str, Mapping[str, Value]]] = [
        (f"{ASKER[question.principal.ref.type].ja}の", question.principal.attributes),
        ("", question.resource.attributes),
        *(("依頼の", one.attributes) for one in question.others),
        ("質問の", question.context),
        *([("", ordinance)] if isinstance(ordinance, Mapping) else []),
    ]
    names = sorted(opening.facts & FACT.keys() - {"ordinance", "case", "now"})
    for prefix, place in places:
        for name in names:
            if name in place:
                yield f"{prefix}{FACT[name].ja}({name})={_text(name, place[name])}"
    for name in names:
        if not any(name in place for _, place in places):
            yield f"{FACT[name].ja}({name})=なし absent"


def _text(name: str, value: Value) -> str:
    if isinstance(value, bool):
        return "はい yes" if value else "いいえ no"
    if isinstance(value, Moment):
        distance_ms = value.ms - NOW_MS
        return f"今 now {'-' if distance_ms < 0 else '+'} {_length(abs(distance_ms))}"
    if isinstance(value, int):
        return _length(value) if name.endswith("Ms") else str(value)
    if isinstance(value, Ref):
        return value.id
    if isinstance(value, frozenset):
        return f"{{{', '.join(sorted(one.id if isinstance(one, Ref) else one for one in value))}}}"
    return str(value)


def _length(length_ms: int) -> str:
    """Return a length of time such as "3 h 00 min"; to the millisecond, since limits are met exactly."""
    minutes, rest_ms = divmod(length_ms, _MINUTE_MS)
    tail = f" {rest_ms} ms" if rest_ms else ""
    return f"{minutes // 60} h {minutes % 60:02d} min{tail}"
