"""What is wrong with a published log, in words for whoever checks it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Fault(Enum):
    """What can be wrong: a sentence in Japanese and one in English; {} takes the place in the log."""

    NO_CHECKPOINT = ("チェックポイントがありません", "There is no checkpoint")
    UNSIGNED = (
        "チェックポイントの署名が正しくありません（{detail}）",
        "The checkpoint is not properly signed ({detail})",
    )
    NO_QUORUM = (
        "十分な数の証人が署名したチェックポイントがありません。公開者だけの署名です",
        "No checkpoint is cosigned by enough witnesses: there is the publisher's word alone",
    )
    UNWITNESSED = (
        "記録 {where} は、十分な数の証人がまだ確認していません。公開者だけの署名です",
        "Entries {where} are not cosigned by enough witnesses yet: of them there is the publisher's word alone",
    )
    MISSING_ENTRIES = (
        "記録 {where} のファイルがないか壊れています",
        "The file of entries {where} is missing or broken",
    )
    MISSING_TILE = ("ハッシュのファイル {detail} がないか壊れています", "The file {detail} is missing or broken")
    CHANGED = ("記録 {where} が書き換えられています", "Entry {where} was changed")
    REMOVED = ("記録 {where} が消されています", "Entry {where} was removed")
    ADDED = ("記録 {where} が書き加えられています", "Entry {where} was added")
    REORDERED = ("記録 {where} の順序が変えられています", "Entries {where} were put into another order")
    WRONG_TILE = ("ハッシュのファイル {detail} が記録と合いません", "The file {detail} does not fit the entries")
    WRONG_ROOT = (
        "記録全体が、署名されたチェックポイントと合いません",
        "The entries do not make up the tree whose checkpoint is signed",
    )
    OLD_HEAD = (
        "以前のチェックポイント（{detail}、{size}件）と食い違います。記録 {where} のどこかが後から変えられています",
        "An earlier checkpoint ({detail}, {size} entries) says otherwise: entries {where} are not as they were",
    )
    SHORTER = (
        "以前のチェックポイント（{detail}）は{size}件と言っています。末尾が消されています",
        "An earlier checkpoint ({detail}) speaks of {size} entries: the end was cut off",
    )
    FORGED_HEAD = (
        "{detail} は正しいチェックポイントではありません",
        "{detail} is no proper checkpoint of this log",
    )


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        fault: which kind.
        first: place of the first entry concerned, from 0; None: no entry in particular.
        last: of the last one.
        detail: name of a file, or why.
        size: of the tree that a checkpoint speaks of.
    """

    fault: Fault
    first: int | None = None
    last: int | None = None
    detail: str = ""
    size: int = 0

    @property
    def ja(self) -> str:
        """The sentence in Japanese."""
        return self._said(self.fault.value[0], "〜")

    @property
    def en(self) -> str:
        """The sentence in English."""
        return self._said(self.fault.value[1], " to ")

    def _said(self, sentence: str, to: str) -> str:
        where = "" if self.first is None else f"{self.first:,}"
        if self.last is not None and self.last != self.first:
            where += f"{to}{self.last:,}"
        return sentence.format(where=where, detail=self.detail, size=f"{self.size:,}")
