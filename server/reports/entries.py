"""Entries of the audit log as a report reads them. Anybody with the published log reads the same.

Source: privacy/transparency/record.py, which writes them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from privacy.transparency.record import Fact
from server.reports.errors import ReportError

MARKS: Final = (
    b'"kind":"agency.registered"',
    b'"kind":"breach.',
    b'"kind":"camera.',
    b'"kind":"case.',
    b'"kind":"complaint.',
    b'"kind":"copy.',
    b'"kind":"disaster.',
    b'"kind":"footage.',
    b'"kind":"gate.',
    b'"kind":"inspection.',
    b'"kind":"lookup.',
    b'"kind":"mask.',
    b'"kind":"retention.',
    b'"kind":"statistic.',
    b'"kind":"ward.erased"',
    b'"allowed":false',
)
"""What stands in every entry that a report may count. Most of a log is families who look at their own: passed over."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a report takes from an entry.

    Attributes:
        kind: `noun.verb`.
        at_ms: wall time, UTC ms.
        role: of who did it.
        facts: as they were written.
    """

    kind: str
    at_ms: int
    role: str
    facts: Mapping[str, Fact]

    def text(self, name: str) -> str:
        """Return a fact as text; "" where it is missing or is none."""
        value = self.facts.get(name)
        return value if isinstance(value, str) else ""

    def number(self, name: str) -> int:
        """Return a fact as a whole number; 0 where it is missing or is none."""
        value = self.facts.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else 0

    @property
    def is_denial(self) -> bool:
        """Whether the policies refused what is logged here."""
        return self.facts.get("allowed") is False


def counted(bodies: Iterable[bytes]) -> Iterator[Entry]:
    """Yield those entries that a report may count, in the order of the log.

    Raises:
        ReportError: an entry is not what record.py writes; the log is of another version, or not a log.
    """
    for index, body in enumerate(bodies):
        if any(mark in body for mark in MARKS):
            yield parse(body, index)


def parse(body: bytes, index: int = 0) -> Entry:
    """Return the entry in `body`; `index` is its place in the log, for the error.

    Raises:
        ReportError: it is none.
    """
    try:
        read = json.loads(body)
        entry = Entry(read["kind"], read["at_ms"], read["role"], read["facts"])
        is_right = read["v"] == 1
    except (ValueError, KeyError, TypeError) as error:
        raise ReportError(f"log: entry {index} cannot be read") from error
    kinds = ((entry.kind, str), (entry.at_ms, int), (entry.role, str), (entry.facts, dict))
    if not is_right or not all(isinstance(value, wanted) for value, wanted in kinds):
        raise ReportError(f"log: entry {index} is of a form that this version does not know")
    return entry
