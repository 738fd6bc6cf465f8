"""What the tables of a report are computed from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from server.reports.entries import Entry
from server.reports.histories import History
from server.reports.rules import ReportRules, Year
from server.reports.tables import Text


@dataclass(frozen=True, slots=True)
class Scope:
    """A year of the log.

    Attributes:
        year: that is reported on.
        rules: of the city.
        as_of_ms: time of the newest entry that counts; what is overdue is so then.
        entries: of the year.
        cases: all up to the end of the year.
        agencies: names of recipient bodies.
    """

    year: Year
    rules: ReportRules
    as_of_ms: int
    entries: tuple[Entry, ...]
    cases: tuple[History, ...]
    agencies: dict[str, Text]

    def agency(self, agency: str) -> Text:
        """Return the name of a body; its id where none was logged."""
        return self.agencies.get(agency) or Text(agency or "記録なし", agency or "Not recorded")

    def count(self, *kinds: str) -> int:
        """Return how many entries of these kinds there are that were no denials."""
        return sum(entry.kind in kinds and not entry.is_denial for entry in self.entries)

    def sum(self, kind: str, fact: str) -> int:
        """Return the sum of a number over entries of a kind."""
        return sum(entry.number(fact) for entry in self.entries if entry.kind == kind and not entry.is_denial)

    def by(self, kind: str, *facts: str) -> Counter[tuple[str, ...]]:
        """Return how often each combination of facts occurs in entries of a kind."""
        found = (entry for entry in self.entries if entry.kind == kind and not entry.is_denial)
        return Counter(tuple(entry.text(fact) for fact in facts) for entry in found)
