"""A desk at the server's own command line, for the length of one command."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from privacy.policy.engine import Engine
from server.config import ServerConfig
from server.duties.hall import Desk, Hall, asker_of
from server.permit.ordinance import profile_of
from server.store.connection import connect


async def carried(config: ServerConfig, account: str, do: Callable[[Desk], Awaitable[Any]], *, now_ms: int) -> Any:  # noqa: ANN401 - what `do` returns
    """Return what `do` returns, done on behalf of `account` over a connection of the role `warden`.

    Raises:
        ConfigError: the profile of the ordinance is wrong.
        DatabaseError: the database is away, or refuses.
        PolicyError: the policies cannot be used.
        RefusedError: the policies say no; that is in the log.
        UnknownAccountError: there is no such account in force.
    """
    hall = Hall(Engine.load(), profile_of(config), config.city.id, "command_line")
    async with await connect(config.dsn("warden")) as conn:
        return await do(Desk(conn, hall, await asker_of(conn, account), now_ms))
