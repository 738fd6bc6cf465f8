"""Protective measures (DV等支援措置): bar an account from a ward at once; two persons make it last, two lift it.

Barring is the safe side, so it takes effect with the first person; unconfirmed it ends by itself after `PROVISIONAL_S`.
Source: 住民基本台帳事務における支援措置: one year, renewable, on the opinion of police or a consultation centre.
"""

from __future__ import annotations

from typing import Final

from privacy.transparency.record import Record
from server.accounts.desk import AccountError, Deed, in_force
from server.store import audit
from server.store import measures as rows
from server.store.connection import Connection

PROVISIONAL_S: Final = 7 * 86_400
YEAR_S: Final = 365 * 86_400


async def enter(conn: Connection, deed: Deed, *, ward_id: str, account_id: str, lasts_s: int = YEAR_S) -> str:
    """Return the id of a new measure, in force from this moment.

    Raises:
        AccountError: no such account in force, or nobody who enters it.
        DatabaseError: no such ward.
    """
    await in_force(conn, account_id)
    new = rows.NewMeasure(
        ward_id=ward_id,
        account_id=account_id,
        entered_by=_person(deed),
        since_ms=deed.now_ms,
        until_ms=deed.now_ms + min(lasts_s, PROVISIONAL_S) * 1000,
        asked_until_ms=deed.now_ms + lasts_s * 1000,
    )
    measure_id = await rows.enter(conn, new)
    await _note(conn, deed, "measure.entered", measure_id)
    return measure_id


async def confirm(conn: Connection, deed: Deed, measure_id: str) -> None:
    """Let a second person confirm a measure.

    Raises:
        AccountError: no such measure in force, or not by this person.
    """
    if not await rows.confirm(conn, measure_id, _person(deed), now_ms=deed.now_ms):
        raise AccountError("確認できる措置がありません。There is no such measure for this person to confirm")
    await _note(conn, deed, "measure.confirmed", measure_id)


async def end(conn: Connection, deed: Deed, measure_id: str) -> bool:
    """Ask that a measure be lifted, or lift it when somebody else asked; return whether it is lifted now.

    Raises:
        AccountError: no such measure in force, or the same person asks twice.
    """
    person = _person(deed)
    if await rows.ask_end(conn, measure_id, person, now_ms=deed.now_ms):
        await _note(conn, deed, "measure.end_asked", measure_id)
        return False
    if not await rows.end(conn, measure_id, person, now_ms=deed.now_ms):
        raise AccountError("解除できる措置がありません。There is no such measure for this person to lift")
    await _note(conn, deed, "measure.ended", measure_id)
    return True


def _person(deed: Deed) -> str:
    if deed.by is None:
        raise AccountError("だれの決定かを示してください。A measure needs to be somebody's decision: say whose")
    return deed.by


async def _note(conn: Connection, deed: Deed, kind: str, measure_id: str) -> None:
    # Neither ward nor barred account: whoever could open these commitments could find who has fled from whom.
    assert deed.by is not None  # noqa: S101 - _person asked before
    await audit.append(conn, Record(kind, deed.now_ms, deed.role, {"measure": measure_id}, {"by": deed.by}))
