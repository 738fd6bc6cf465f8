"""Exports as they arrive, and the end of the city's copies: compared with what gateways signed, destroyed on time.

Source: docs/ORDINANCE.md, rules 12 and 14.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from pathlib import Path
from typing import Final

from privacy.cases import ACTION_OF, State, Step
from server.cases import view
from server.cases.office import context_of
from server.cases.release import is_whole
from server.clerk.room import CLERK, Tending, step
from server.footage.exports import ARRIVING, SUFFIX
from server.store import case as cases
from server.store import case_order, case_record
from server.store.case_order import ExportState
from server.store.case_record import Certificate
from server.store.connection import at
from wire import cbor
from wire.entry import MAX_OCTETS

METHOD: Final = "file deleted; its content was sealed to the recipient's key alone"
_OVER: Final = frozenset({State.RETURNED, State.WITHDRAWN, State.REFUSED, State.LAPSED, State.REVOKED})
"""Nobody may open a copy in these states any more, so it need not wait for its day."""


async def exported(tending: Tending) -> bool:
    """Make a case ready once every export is here, whole, and is what its gateway signed."""
    whole = tending.whole
    if whole.row.state is not State.APPROVED or not whole.is_export_right:
        return False
    for export in whole.exports:
        if not await _is_as_signed(tending, export):
            return False
    context = context_of(Step.EXPORTED, tending.now_ms)
    if not tending.room.office.decide(CLERK, whole, ACTION_OF[Step.EXPORTED], context).allowed:
        return False
    await step(tending, Step.EXPORTED)
    return True


async def _is_as_signed(tending: Tending, export: ExportState) -> bool:
    """Return whether the file on disk has the hash that the gateway signed, in its parts and in its log."""
    order = next((one for one in reversed(tending.whole.orders) if one.export == export.id), None)
    if order is None or order.state != "done" or order.result is None or export.sha256 is None:
        return False  # the gateway's report may come after the last part
    told = cbor.loads(order.result, max_octets=MAX_OCTETS)
    if told.get("sha256") != export.sha256:
        return False
    return await asyncio.to_thread(is_whole, _path(tending, export), export.sha256)


async def destroy(tending: Tending) -> bool:
    """Destroy the city's copies when their days are over, or nobody may open them any more; write a certificate."""
    row = tending.whole.row
    until_ms = view.copies_until_ms(tending.whole, tending.room.office)
    if until_ms is None or (tending.now_ms < until_ms and row.state not in _OVER):
        return False
    here = tending.whole.copies
    # First the files: killed here, the next look finds none and still certifies. The other way round one would stay.
    for export in here:
        await asyncio.to_thread(_delete, _path(tending, export))
    hashes = tuple(sorted(one.sha256.hex() for one in here if one.sha256 is not None))
    digest = hashlib.sha256("\n".join(hashes).encode()).hexdigest()
    entry = await tending.write("copy.destroyed", {"count": len(here), "hashes": digest, "method": METHOD})
    certificate = Certificate("copy", tending.now_ms, METHOD, hashes)
    await case_record.certify(tending.conn, row.id, certificate, account=None, entry=entry)
    for export in here:
        await case_order.destroyed(tending.conn, export.id, at_ms=tending.now_ms)
    await cases.change(tending.conn, row.id, {"copies_destroyed_at": at(tending.now_ms)})
    return True


def _path(tending: Tending, export: ExportState) -> Path:
    return tending.room.exports / f"{export.id}{SUFFIX}"


def _delete(path: Path) -> None:
    """Delete a copy and what is left of tries to bring it, for good also after a power cut."""
    for left in path.parent.glob(f"{path.name.removesuffix(SUFFIX)}.*{ARRIVING}"):
        left.unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    with contextlib.suppress(FileNotFoundError):
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
