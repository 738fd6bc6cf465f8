"""What a check found, in the words of the person who stands at the pole."""

from dataclasses import asdict, dataclass
from typing import Literal, Self

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding.

    Attributes:
        name: of the check, as in docs/EDGE.md.
        ja: what was found.
        en: likewise.
        do_ja: what to do; "" when nothing is.
        do_en: likewise.
    """

    name: str
    verdict: Verdict
    ja: str
    en: str
    do_ja: str = ""
    do_en: str = ""

    @classmethod
    def ok(cls, name: str, ja: str, en: str) -> Self:
        """Return that all is well."""
        return cls(name, "ok", ja, en)

    def to_do(self, ja: str, en: str) -> "Finding":
        """Return the same with what to do."""
        return Finding(self.name, self.verdict, self.ja, self.en, ja, en)

    def to_json(self) -> dict[str, str]:
        """Return it as plain values."""
        return asdict(self)


def warn(name: str, ja: str, en: str) -> Finding:
    """Return that something should be looked after; the gateway works."""
    return Finding(name, "warn", ja, en)


def fail(name: str, ja: str, en: str) -> Finding:
    """Return that something does not work."""
    return Finding(name, "fail", ja, en)
