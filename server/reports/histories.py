"""What became of each case of footage, folded from its entries: the case's own rows are not asked.

Source: privacy/cases.py for the steps; docs/ORDINANCE.md, rules 9, 17 and 22.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from privacy.terms import CASE_PURPOSES
from server.reports.entries import Entry

_PURPOSES: Final = frozenset(purpose.value for purpose in CASE_PURPOSES)
_ENDS: Final = ("case.refused", "case.withdrawn", "case.found", "case.lapsed")
_GRACE_MS: Final = 3_600_000
"""The clerk looks every few seconds; an hour allows for a restart."""
_MOMENTS: Final = {
    "case.submitted": "submitted_ms",
    "case.approved": "approved_ms",
    "case.hastened": "emergency_ms",
    "case.exported": "exported_ms",
    "case.undertaken": "released_ms",
    "case.ratified": "ratified_ms",
    "case.revoked": "revoked_ms",
    "case.returned": "returned_ms",
    "case.overdue": "overdue_ms",
    "copy.destroyed": "copies_gone_ms",
}
"""Which moment of a case an entry tells, the first time it comes."""


@dataclass(slots=True)
class History:
    """One case up to the last entry that was read. Times are UTC ms; None: it has not come to that.

    Attributes:
        number: of the case.
        agency: that asked; `purpose` and `basis` of its request.
        cameras: how many; `camera_hours` of them together, rounded up.
        submitted_ms, approved_ms, exported_ms, released_ms, returned_ms: of these steps.
        ended_by: kind of the entry that ended it without a release; "" where none did.
        emergency_ms: when it was released by one alone; `ratified_ms` and `revoked_ms`: what followed.
        overdue_ms: when the certificate of return did not come on its day, the first time.
        copies_gone_ms: when the city's own copies were destroyed.
        feedback: "used", "not_used", "not_relevant"; "" where none came.
    """

    number: str
    agency: str = ""
    purpose: str = ""
    basis: str = ""
    cameras: int = 0
    camera_hours: int = 0
    submitted_ms: int | None = None
    approved_ms: int | None = None
    exported_ms: int | None = None
    released_ms: int | None = None
    returned_ms: int | None = None
    ended_by: str = ""
    emergency_ms: int | None = None
    ratified_ms: int | None = None
    revoked_ms: int | None = None
    overdue_ms: int | None = None
    copies_gone_ms: int | None = None
    feedback: str = ""

    def take(self, entry: Entry) -> None:
        """Let one entry of this case happen."""
        self._describe(entry)
        self._step(entry)

    @property
    def outcome(self) -> str:
        """What became of it: "released", "revoked" before that, the kind of the entry that ended it, or "open"."""
        if self.released_ms is not None:
            return "released"
        return "revoked" if self.revoked_ms is not None else self.ended_by or "open"

    def copies_overdue_ms(self, keep_ms: int, as_of_ms: int) -> int | None:
        """Return since when the city's copies are kept too long, or were; None: they were not up to `as_of_ms`."""
        if self.exported_ms is None:
            return None
        until_ms = self.exported_ms + keep_ms
        ended_ms = as_of_ms if self.copies_gone_ms is None else self.copies_gone_ms
        return until_ms if ended_ms > until_ms + _GRACE_MS else None

    def _describe(self, entry: Entry) -> None:
        self.agency = entry.text("agency") or self.agency
        purpose = entry.text("purpose")  # of the step that is logged: city hall's own may be case work
        self.purpose = purpose if purpose in _PURPOSES else self.purpose
        self.basis = entry.text("basis") or self.basis
        self.cameras = entry.number("cameras") or self.cameras
        self.camera_hours = entry.number("camera_hours") or self.camera_hours

    def _step(self, entry: Entry) -> None:
        moment = _MOMENTS.get(entry.kind)
        if moment is not None and getattr(self, moment) is None:
            setattr(self, moment, entry.at_ms)
        if entry.kind in _ENDS and self.released_ms is None:
            self.ended_by = self.ended_by or entry.kind
        if answer := entry.text("feedback"):
            self.feedback = answer


def histories(entries: Iterable[Entry]) -> tuple[History, ...]:
    """Return the cases by number; denials change none of them."""
    found: dict[str, History] = {}
    for entry in entries:
        number = entry.text("case")
        if entry.kind.startswith(("case.", "copy.")) and number and not entry.is_denial:
            found.setdefault(number, History(number)).take(entry)
    return tuple(found[number] for number in sorted(found))
