"""Proofs of the audit log, for those whom an entry concerns: one file that anybody can check without this server."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Response

from privacy.terms import Action
from privacy.transparency.proof import ENDING
from server.api import problems
from server.api.access import SIGNED_IN, AskerNow, PartsNow, permit
from server.permit.permits import Wish
from server.publiclog.errors import UnpublishedError
from server.store import look_up

router = APIRouter(prefix="/api/v1/audit", tags=["log"])
WANTED: Final = Wish((Action.VIEW_LOOK_UPS,), frozenset({"look_up"}), "lookup.viewed")
"""The look-ups of all whose record the asker may read."""
_TEXT: Final = "text/plain; charset=utf-8"
_MAX_ID: Final = 2**63 - 1
_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "C2SP tlog-proof: the entry, what opens its commitment to the ward, inclusion proof, checkpoint",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    },
    **problems.documented(*SIGNED_IN, problems.NOT_FOUND, problems.INVALID),
}


@router.get(
    "/proof/{entry}",
    summary="記録の証明書 / Proof of an entry",
    response_class=Response,
    responses=_ANSWERS,
)
async def get_proof(parts: PartsNow, asker: AskerNow, entry: Annotated[int, Path(ge=1, le=_MAX_ID)]) -> Response:
    """A look-up of your own ward as the log has it; 503 while it is not published yet, which takes about a second."""
    allowed = await permit(parts, asker, WANTED)
    async with allowed.reading() as conn:
        found = await look_up.provable(conn, entry, now_ms=parts.sessions.now_ms())
    if found is None:
        raise problems.ProblemError(problems.NOT_FOUND)
    try:
        made = await asyncio.to_thread(parts.prover.proof, found.index, found.body, [found.opening])
    except UnpublishedError as error:
        raise problems.ProblemError(problems.UNAVAILABLE, {"retry-after": "2"}) from error
    name = f'attachment; filename="{entry}{ENDING}"'
    return Response(made.text(), headers={"content-type": _TEXT, "content-disposition": name})
