"""Names of recipient bodies as the log has them: a report asks nothing but the log."""

from __future__ import annotations

from collections.abc import Iterable

from server.reports.entries import Entry
from server.reports.tables import Text


def agencies_of(entries: Iterable[Entry]) -> dict[str, Text]:
    """Return the names under which bodies were registered, the newest ones; a body without a name keeps its id."""
    return {
        agency: Text(entry.text("name_ja") or agency, entry.text("name_en") or agency)
        for entry in entries
        if entry.kind == "agency.registered" and not entry.is_denial and (agency := entry.text("agency"))
    }
