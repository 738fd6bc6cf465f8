"""What the tables of a report are computed from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from server.reports.entries import Entry
from server.reports.histories import History, histories
from server.reports.names import agencies_of
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


def scope_of(entries: Sequence[Entry], year: Year, rules: ReportRules) -> Scope:
    """Return what there is to say of a year; what was written after it changes nothing."""
    known = tuple(entry for entry in entries if entry.at_ms < year.to_ms)
    newest_ms = max((entry.at_ms for entry in known), default=year.from_ms)
    return Scope(
        year=year,
        rules=rules,
        as_of_ms=max(newest_ms, year.from_ms),
        entries=tuple(entry for entry in known if year.has(entry.at_ms)),
        cases=histories(known),
        agencies=agencies_of(known),
    )
