"""Orders to gateways: freeze what was asked for, export what was approved, let go what is over.

Each order, its row in the case and its entry in the log are one transaction: killed between any two of them, none is
there, and the next look finds the same to do.

Source: docs/CASES.md; docs/ORDINANCE.md, rules 7, 10 and 14.
"""

from __future__ import annotations

import secrets
from typing import Final

from privacy.cases import FROZEN, State
from privacy.policy.question import Moment
from privacy.terms import Action
from server.cases.office import logged
from server.clerk.room import CLERK, Tending
from server.orders import issue
from server.permit.ask import ask_entry
from server.store import case_order
from server.store import export as exports
from server.store.case import Window
from server.store.case_order import NewOrder, OrderRow
from server.store.export import Expected
from wire import cbor
from wire.entry import MAX_OCTETS
from wire.orders import Command, Export, Freeze, Thaw

RETRY_MS: Final = 600_000
"""A gateway that refused or failed is asked again after so long."""
MOST_TRIES: Final = 5
_FAILED: Final = frozenset({"refused", "failed"})


async def freeze(tending: Tending) -> bool:
    """Order the windows frozen that are not; once approved, for as long as it takes to fetch them."""
    row = tending.whole.row
    if row.state not in FROZEN:
        return False
    done = False
    for number, window in enumerate(tending.whole.windows, 1):
        given = [one for one in _of(tending, "freeze", number) if one.at_ms >= (row.approved_ms or 0)]
        if _is_due(given, tending.now_ms):
            command = Freeze(row.number, window.from_ms, window.to_ms, _until_ms(tending))
            entry = await tending.write("order.issued", {"order": "freeze", "camera": window.detector})
            await _give(tending, window.detector, command, number=number, entry=entry)
            done = True
    return done


def _until_ms(tending: Tending) -> int:
    row = tending.whole.row
    if row.approved_ms is not None:
        return row.approved_ms + tending.room.office.days_ms("copy_days")
    return row.freeze_until_ms or tending.now_ms + tending.room.office.days_ms("freeze_days")


async def export(tending: Tending) -> bool:
    """Order the export of every frozen window of an approved case, sealed to the key that was approved."""
    whole, now_ms = tending.whole, tending.now_ms
    if whole.row.state is not State.APPROVED or whole.row.recipient is None:
        return False
    due = [
        (number, window)
        for number, window in enumerate(whole.windows, 1)
        if _is_frozen(tending, number) and _is_export_due(tending, number)
    ]
    context = {"now": Moment(now_ms)}
    if not due or not tending.room.office.decide(CLERK, whole, Action.EXPORT_FOOTAGE, context).allowed:
        return False
    for number, window in due:
        await _order_export(tending, number, window)
    return True


async def _order_export(tending: Tending, number: int, window: Window) -> None:
    whole, conn = tending.whole, tending.conn
    row, office = whole.row, tending.room.office
    question = office.question(CLERK, whole, Action.EXPORT_FOOTAGE, {"now": Moment(tending.now_ms)})
    said = logged(whole, "order.issued", tending.now_ms, more={"order": "export", "camera": window.detector})
    decision, entry = await ask_entry(conn, office.engine, CLERK, question, said)
    if not decision.allowed or row.recipient is None:
        return
    name = f"{row.number}-{number}-{secrets.token_hex(6)}"
    expected = Expected(name, window.detector, row.number, window.from_ms, window.to_ms, row.recipient)
    await exports.expect(conn, expected)
    url = f"{tending.room.upload_url}/{name}"
    command = Export(name, row.number, window.from_ms, window.to_ms, row.recipient, url)
    await _give(tending, window.detector, command, number=number, entry=entry)


async def thaw(tending: Tending) -> bool:
    """Order the windows of a case let go that no longer has to hold them."""
    if tending.whole.row.state in {*FROZEN, State.DRAFT}:
        return False
    frozen = {one.detector for one in tending.whole.orders if one.kind == "freeze"}
    done = False
    for detector in sorted(frozen):
        given = [one for one in tending.whole.orders if one.kind == "thaw" and one.detector == detector]
        if _is_due(given, tending.now_ms):
            entry = await tending.write("order.issued", {"order": "thaw", "camera": detector})
            await _give(tending, detector, Thaw(tending.whole.row.number), number=None, entry=entry)
            done = True
    return done


def failed(tending: Tending) -> bool:
    """Return whether a gateway will not do what this case needs, however often it is asked: people must look."""
    numbers = range(1, len(tending.whole.windows) + 1)
    return tending.whole.row.state in FROZEN and any(_has_failed(tending, number) for number in numbers)


def _has_failed(tending: Tending, number: int) -> bool:
    tries = (_of(tending, "freeze", number), _of(tending, "export", number))
    given_up = any(len(one) >= MOST_TRIES and one[-1].state in _FAILED for one in tries)
    frozen = [one for one in tries[0] if one.state == "done"]
    return given_up or bool(frozen and not any(_has_footage(one) for one in frozen))


def _of(tending: Tending, kind: str, number: int) -> list[OrderRow]:
    return [one for one in tending.whole.orders if one.kind == kind and one.camera == number]


def _is_due(given: list[OrderRow], now_ms: int) -> bool:
    if not given:
        return True
    last = given[-1]
    return last.state in _FAILED and len(given) < MOST_TRIES and now_ms - last.at_ms >= RETRY_MS


def _is_export_due(tending: Tending, number: int) -> bool:
    given = _of(tending, "export", number)
    states = {one.id: one.state for one in tending.whole.exports}
    if given and given[-1].export is not None and states.get(given[-1].export) == "refused":
        return len(given) < MOST_TRIES and tending.now_ms - given[-1].at_ms >= RETRY_MS
    return _is_due(given, tending.now_ms)


def _is_frozen(tending: Tending, number: int) -> bool:
    return any(one.state == "done" and _has_footage(one) for one in _of(tending, "freeze", number))


def _has_footage(order: OrderRow) -> bool:
    return order.result is not None and bool(cbor.loads(order.result, max_octets=MAX_OCTETS).get("segments"))


async def _give(tending: Tending, detector: str, command: Command, *, number: int | None, entry: int) -> None:
    sequence = await issue.issue(tending.conn, detector, command, now_ms=tending.now_ms)
    match command:
        case Export():
            kind: case_order.OrderKind = "export"
        case Thaw():
            kind = "thaw"
        case _:
            kind = "freeze"
    new = NewOrder(
        case=tending.whole.row.id,
        detector=detector,
        sequence=sequence,
        kind=kind,
        at_ms=tending.now_ms,
        entry=entry,
        camera=number,
        export=command.export if isinstance(command, Export) else None,
    )
    await case_order.add(tending.conn, new)
