"""What falls due by time: a case lapses, an emergency is revoked, a return is overdue, a case is closed.

Source: docs/ORDINANCE.md, rules 5, 8, 9, 10, 17 and 22; the table is in docs/CASES.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from privacy.cases import ACTION_OF, FROZEN, State, Step
from server.cases import view
from server.cases.office import context_of
from server.clerk import orders
from server.clerk.room import CLERK, Tending, step
from server.store import case as cases
from server.store import case_record
from server.store.connection import at

_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
UNDECIDED_MS: Final = 2 * _DAY_MS
"""So long before it lapses city hall is reminded of an undecided case."""
UNRATIFIED_MS: Final = 6 * _HOUR_MS
UNRETURNED_MS: Final = 3 * _DAY_MS
FEEDBACK_MS: Final = 14 * _DAY_MS
_OPEN: Final = frozenset({State.SUBMITTED, State.PREPARED, State.CHECKED})
_RATIFIABLE: Final = frozenset({State.APPROVED, State.READY, State.RELEASED})
_OUT: Final = frozenset({State.RELEASED, State.REVOKED})
_ANSWERABLE: Final = frozenset({State.RELEASED, State.RETURNED})


async def lapse(tending: Tending) -> bool:
    """Let a case lapse that nobody decided in time; its freeze ends."""
    row = tending.whole.row
    is_due = row.state in _OPEN and row.freeze_until_ms is not None and tending.now_ms >= row.freeze_until_ms
    return is_due and await _step(tending, Step.LAPSE)


async def revoke(tending: Tending) -> bool:
    """Revoke an emergency release that nobody ratified in time: access ends, destruction is demanded."""
    until_ms = view.ratify_by_ms(tending.whole, tending.room.office)
    is_due = tending.whole.row.state in _RATIFIABLE and until_ms is not None and tending.now_ms >= until_ms
    return is_due and await _step(tending, Step.REVOKE)


async def end_found(tending: Tending) -> bool:
    """End the release of a case whose person was found: what is out is to be destroyed."""
    row = tending.whole.row
    if row.found_ms is None or row.demanded_ms is not None or row.state is not State.RELEASED:
        return False
    columns: dict[str, object] = {"demanded_at": at(tending.now_ms)}
    if row.release_until_ms is not None and row.release_until_ms > tending.now_ms:
        columns["release_until"] = at(tending.now_ms)
    await tending.write("case.release_ended", {"why": "found"})
    await cases.change(tending.conn, row.id, columns)
    return True


async def mark_overdue(tending: Tending) -> bool:
    """Mark a case whose certificate of return did not come on its day."""
    row = tending.whole.row
    is_due = row.state in _OUT and row.return_by_ms is not None and tending.now_ms > row.return_by_ms
    if not is_due or row.overdue_ms is not None:
        return False
    await tending.write("case.overdue", {"state": row.state.value})
    await cases.change(tending.conn, row.id, {"overdue_at": at(tending.now_ms)})
    return True


async def mark_unanswered(tending: Tending) -> bool:
    """Mark a case whose officer did not say in time whether the footage was of use."""
    row = tending.whole.row
    due_ms = view.feedback_by_ms(tending.whole, tending.room.office)
    is_due = row.state in _ANSWERABLE and row.feedback is None and due_ms is not None and tending.now_ms > due_ms
    if not is_due or row.feedback_missing_ms is not None:
        return False
    await tending.write("case.unanswered", {"state": row.state.value})
    await cases.change(tending.conn, row.id, {"feedback_missing_at": at(tending.now_ms)})
    return True


async def close(tending: Tending) -> bool:
    """Close a case of which nothing is left to do: returned, answered or given up, its copies destroyed."""
    row = tending.whole.row
    is_answered = row.feedback is not None or row.feedback_missing_ms is not None
    is_due = row.state is State.RETURNED and is_answered and not tending.whole.copies
    return is_due and await _step(tending, Step.CLOSE)


async def remind(tending: Tending) -> bool:
    """Write the reminders that are due, and settle those whose cause is gone."""
    open_ = {one.kind for one in tending.whole.reminders if one.settled_ms is None}
    ever = {one.kind for one in tending.whole.reminders}
    done = False
    for kind, is_so in _CAUSES.items():
        due = is_so(tending)
        if due and kind not in open_ and not (kind in _ONCE and kind in ever):
            entry = await tending.write("case.reminded", {"reminder": kind, "state": tending.whole.row.state.value})
            await case_record.remind(tending.conn, tending.whole.row.id, kind, at_ms=tending.now_ms, entry=entry)
            done = True
        elif not due and kind in open_:
            await case_record.settle_reminder(tending.conn, tending.whole.row.id, kind, at_ms=tending.now_ms)
            done = True
    return done


async def _step(tending: Tending, wanted: Step) -> bool:
    """Take a step if the policies allow it: asked in vain it would fill the log at every look."""
    context = context_of(wanted, tending.now_ms)
    if not tending.room.office.decide(CLERK, tending.whole, ACTION_OF[wanted], context).allowed:
        return False
    await step(tending, wanted)
    return True


def _undecided(tending: Tending) -> bool:
    row = tending.whole.row
    until_ms = row.freeze_until_ms
    return row.state in _OPEN and until_ms is not None and tending.now_ms >= until_ms - UNDECIDED_MS


def _unratified(tending: Tending) -> bool:
    until_ms = view.ratify_by_ms(tending.whole, tending.room.office)
    return (
        tending.whole.row.state in _RATIFIABLE and until_ms is not None and tending.now_ms >= until_ms - UNRATIFIED_MS
    )


def _unreturned(tending: Tending) -> bool:
    row = tending.whole.row
    return row.state in _OUT and row.return_by_ms is not None and tending.now_ms >= row.return_by_ms - UNRETURNED_MS


def _escalated(tending: Tending) -> bool:
    row = tending.whole.row
    return row.state in _OUT and row.return_by_ms is not None and tending.now_ms > row.return_by_ms


def _feedback(tending: Tending) -> bool:
    row = tending.whole.row
    due_ms = view.feedback_by_ms(tending.whole, tending.room.office)
    is_open = row.state in _ANSWERABLE and row.feedback is None
    return is_open and due_ms is not None and tending.now_ms >= due_ms - FEEDBACK_MS


def _board(tending: Tending) -> bool:
    """Tell of an emergency release, and of an approval of more cameras than the ordinance lets pass unseen."""
    row, most = tending.whole.row, tending.whole.ordinance.board_cameras
    is_large = row.approved_ms is not None and tending.whole.scope.cameras > most
    return row.emergency_ms is not None or is_large


_CAUSES: Final[dict[str, Callable[[Tending], bool]]] = {
    "undecided": _undecided,
    "unratified": _unratified,
    "unreturned": _unreturned,
    "escalated": _escalated,
    "destroy": lambda tending: tending.whole.row.demanded_ms is not None and tending.whole.row.state in _OUT,
    "feedback": _feedback,
    "export_failed": lambda tending: tending.whole.row.state in FROZEN and orders.failed(tending),
    "board": _board,
}
_ONCE: Final = frozenset({"board"})
