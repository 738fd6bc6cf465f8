"""Sound of a camera: only where the board has opened it, and on its own opinion (rule 23)."""

from __future__ import annotations

from server.config import ServerConfig
from server.duties import cameras, gates
from server.duties.command import carried
from server.duties.errors import DutyError
from server.duties.gates import SOUND
from server.duties.hall import Desk


class OpinionError(DutyError):
    """審議会の意見が記録と違います。This is not the opinion on which the board opened the gate."""


async def approve(config: ServerConfig, account: str, detector: str, *, opinion: str, now_ms: int) -> None:
    """Return if a camera may write the level of sound, asked on behalf of `account`.

    Raises:
        OpinionError: the gate stands on another opinion.
        RefusedError: the gate is shut, the camera lacks a record, or not this account.
        ShutGateError: the board has not opened sound.
        UnknownAccountError: there is no such account in force.
        UnknownCameraError: no such camera in force.
    """

    async def asked(desk: Desk) -> None:
        await cameras.use_sensor(desk, detector, SOUND)
        row = await gates.opened(desk, SOUND)
        if row is not None and row.opinion != opinion:
            raise OpinionError

    await carried(config, account, asked, now_ms=now_ms)
