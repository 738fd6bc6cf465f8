"""The policies as a document for people who do not read Cedar: docs/POLICY.md is made here, and a test holds it so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from privacy.policy.source import Policy, PolicyTexts, speaks_to
from privacy.policy.words import ACTION, ASKER, OBLIGATION, SUBJECT, Word
from privacy.terms import Action

_HEAD: Final = """# 誰が何をできるか · Who may do what

この文書は `mimamori policy show --markdown docs/POLICY.md` が `privacy/policies/*.cedar` から作ります。
直接は直しません。This document is made from `privacy/policies/*.cedar` by that command. Do not edit it.

- 許す規則がないことは、できません。禁じる規則は、許す規則より強く働きます。What no rule permits cannot be done, and
  what one rule forbids no other rule permits.
- 断るときは、破られた規則をすべて示します。A refusal names every rule that it breaks.
- 「規則n」は [ORDINANCE.md](ORDINANCE.md) の番号です。時間や台数は、市の条例の値です。"規則n" is rule n there; numbers
  such as hours and cameras are those of the city's own ordinance.
- 判定に要る事実が欠けていれば、断ります。If a fact that a rule needs is missing, the answer is no.
"""
_PROVED: Final = """## 証明されていること · What is proved

`mimamori policy check` は、次のことを、あらゆる質問とデータについて証明します（z3）。Cedarから論理式への翻訳は
このソフトウェアのもので、翻訳そのものは検証されていません。`mimamori policy check` proves the following for every
question and all data, with z3. The translation from Cedar to formulas is this software's own, and is itself not
verified.
"""


def markdown(texts: PolicyTexts, promises: Iterable[tuple[str, str, str]]) -> str:
    """Return the document.

    Args:
        texts: the policies.
        promises: name, Japanese and English of each proved property.
    """
    lines = [_HEAD]
    for subject, word in SUBJECT.items():
        lines.append(f"## {word.ja} · {word.en}\n\n`privacy/policies/{subject}.cedar`\n")
        lines.append(_table(("規則 id", "", "条 article", "日本語", "English"), _rows(texts.policies, subject)))
    lines.append("## 操作 · Actions\n")
    lines.append(_table(("操作 action", "", "許されうる人 who can ever be allowed"), _actions(texts.policies)))
    lines.append(_PROVED)
    lines.append(_table(("id", "日本語", "English"), promises))
    return "\n".join(lines)


def effect(policy: Policy) -> Word:
    """Return what a policy does, in words."""
    return Word("許す", "permits") if policy.is_permit else Word("禁じる", "forbids")


def source_of(texts: PolicyTexts, policy: Policy) -> str:
    """Return a policy's own text in Cedar, annotations included."""
    text = texts.subjects[policy.subject]
    start = text.index(f'@id("{policy.reason.policy}")')
    return text[start : text.index("};", start) + 2]


def _rows(policies: Sequence[Policy], subject: str) -> Iterator[tuple[str, ...]]:
    for policy in policies:
        if policy.subject == subject:
            duties = [OBLIGATION[one] for one in sorted(policy.obligations)]
            ja = policy.reason.ja + "".join(f"（{one.ja}）" for one in duties)
            en = policy.reason.en + "".join(f" ({one.en})" for one in duties)
            yield f"`{policy.reason.policy}`", effect(policy).ja, policy.reason.article, ja, en


def _actions(policies: Sequence[Policy]) -> Iterator[tuple[str, ...]]:
    for action in Action:
        word = ACTION[action]
        permits = [one for one in policies if one.is_permit and speaks_to(one.tree, action)]
        askers = [name for name in ASKER if any(name in one.askers for one in permits)]
        who = "、".join(ASKER[name].ja for name in askers)
        yield f"`{action}`", f"{word.ja} {word.en}", who


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
